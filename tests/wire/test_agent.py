"""`Agent` at its limits, through real sockets: what it fails with, when, and what is left open afterwards."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from scripted_server import ScriptedServer, answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.logger import globalLogPublisher
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, ResponseFailed, ResponseNeverReceived, readBody
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.dns import Resolver
from crawler.fetch.failures import BadAnswer, BodyTooLarge, CannotConnect, HeadTooLarge, TimedOut
from crawler.fetch.guard import Guard
from crawler.model import Reason

LOOPBACK = ["127.0.0.0/8"]


def clients() -> list[Any]:
    """Return the sockets of clients that the reactor knows of."""
    return [one for one in (*reactor.getReaders(), *reactor.getWriters()) if isinstance(one, Client)]


@contextlib.asynccontextmanager
async def an_agent(names: dict[str, str] | None = None, **limits: Any) -> AsyncIterator[Agent]:
    """Give an agent that may connect to loopback addresses; closed, it has no socket and no thread."""

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        return [(None, None, None, "", ((names or {})[host], 0))]

    known = {"timeout": 5.0, "connect_timeout": 2.0} | limits
    agent = Agent(reactor, limits=Limits(**known), guard=Guard((), LOOPBACK), resolver=Resolver(reactor, getaddrinfo=getaddrinfo))
    try:
        yield agent
    finally:
        await agent.close()
    assert clients() == []


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


def get(agent: Agent, url: str, method: bytes = b"GET", body: Any = None) -> Deferred[Any]:
    return agent.request(method, url.encode(), None, body)


async def get_body(agent: Agent, url: str, method: bytes = b"GET", body: Any = None) -> bytes:
    content: bytes = await readBody(await get(agent, url, method, body))
    return content


def asking(agent: Agent, url: str, **more: Any) -> Deferred[bytes]:
    return Deferred.fromCoroutine(get_body(agent, url, **more))


def cause(raised: Any) -> Any:
    return raised.value.reasons[0].value


def lengths(server: ScriptedServer) -> list[int]:
    return [len(one.requests) for one in server.conversations]


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """Listen with a backlog that is full: connections stay half open."""
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


# What it fails with


@pytest.mark.parametrize("method", [b"", b"GE T", b"GET\r\n", b"G\xc3\x89T", b"CONNECT"])
async def test_what_is_no_method(method: bytes) -> None:
    async with an_agent() as agent:
        with pytest.raises(ValueError, match="method"):
            await get(agent, "http://127.0.0.1:1/", method)


@pytest.mark.parametrize("uri", [b"http://", b"http://[::1", b"http://a b/", b"http://127.0.0.1:99999/", b"http://\xff\xfe/"])
async def test_what_is_no_url(uri: bytes) -> None:
    async with an_agent() as agent:
        with pytest.raises(ValueError):
            await agent.request(b"GET", uri)


@pytest.mark.parametrize("uri", [b"ftp://127.0.0.1/", b"file:///etc/passwd", b"javascript:1", b"//127.0.0.1/", b"/path", b""])
async def test_what_is_neither_http_nor_https(uri: bytes) -> None:
    async with an_agent() as agent:
        with pytest.raises(SchemeNotSupported):
            await agent.request(b"GET", uri)


async def test_a_refused_connection_and_a_name_that_does_not_exist() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with an_agent() as agent:
            with pytest.raises(CannotConnect) as refused:
                await get(agent, f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert (refused.value.reason, refused.value.detail) == (Reason.CONNECT, "connection refused")
    agent = Agent(reactor, limits=Limits(timeout=5.0))
    with pytest.raises(CannotConnect) as unknown:
        await get(agent, "http://nowhere.invalid/")
    await agent.close()
    assert unknown.value.reason is Reason.DNS


async def test_addresses_that_are_not_public_are_forbidden_by_default() -> None:
    with serving({"/": [answer()]}) as server:
        agent = Agent(reactor, limits=Limits(timeout=5.0))
        for host in ("127.0.0.1", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"):
            with pytest.raises(CannotConnect) as forbidden:
                await get(agent, f"http://{host}:{server.port}/")
            assert forbidden.value.reason is Reason.ADDRESS
        await agent.close()
        assert server.conversations == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (["close"], ResponseNeverReceived),
        (["reset"], ResponseNeverReceived),
        ([b"HTTP/1.1 200", "close"], ConnectionDone),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", "close"], ConnectionDone),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], HeadTooLarge),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 60], HeadTooLarge),
        ([b"220 mail.example ESMTP\r\n\r\n"], BadAnswer),
        ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"], BadAnswer),
    ],
    ids=["closed", "reset", "cut", "interim only", "large head", "many interim", "another protocol", "101"],
)
async def test_an_answer_without_a_head(script: Any, expected: type[Exception]) -> None:
    with serving({"/": script}) as server:
        async with an_agent() as agent:
            with pytest.raises(ResponseFailed) as raised:
                await get(agent, server.url())
            assert isinstance(raised.value, expected) or isinstance(cause(raised), expected)
            assert isinstance(raised.value, ResponseNeverReceived) == (expected is ResponseNeverReceived)
            await server.conversations[0].lost.addTimeout(1, reactor)
        assert lengths(server) == [1]


class Notes(Protocol):
    """Gathers a body and how it ended; `hold` pauses once that many bytes are in."""

    def __init__(self, hold: int | None = None) -> None:
        self.body = b""
        self.hold = hold
        self.ended: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.body += data
        if self.hold is not None and len(self.body) >= self.hold:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(reason.value)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "close"], ConnectionDone),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "close"], ConnectionDone),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"], BadAnswer),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], TimedOut),
        ([b"HTTP/1.1 200 OK\r\n\r\nabc", "close"], PotentialDataLoss),
    ],
    ids=["short", "no last chunk", "no chunk", "stalls", "until close"],
)
async def test_how_a_body_ends_that_is_not_known_to_be_whole(script: Any, expected: type[Exception]) -> None:
    with serving({"/": script}) as server:
        async with an_agent(timeout=0.3) as agent:
            notes = Notes()
            (await get(agent, server.url())).deliverBody(notes)
            ended = await notes.ended
            assert isinstance(ended, PotentialDataLoss if expected is PotentialDataLoss else ResponseFailed)
            assert expected is PotentialDataLoss or isinstance(ended.reasons[0].value, expected)
            assert notes.body == b"abc"
            await server.conversations[0].lost.addTimeout(1, reactor)


async def test_a_body_beyond_the_limit_ends_at_the_limit() -> None:
    with serving({"/": [answer(b"x" * 100)], "/fits": [answer(b"x" * 60)]}) as server:
        async with an_agent(max_body=60) as agent:
            notes = Notes()
            (await get(agent, server.url())).deliverBody(notes)
            ended = await notes.ended
            assert isinstance(ended.reasons[0].value, BodyTooLarge)
            assert len(notes.body) == 60
            assert len(await get_body(agent, server.url("/fits"))) == 60
        assert lengths(server) == [1, 1]


async def test_first_byte_and_least_rate() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    drip: list[Any] = [head, *[step for _ in range(20) for step in (0.1, b"x")]]
    with serving({"/silent": [5.0], "/head": [b"HTTP/1.1 200", 0.4, head[12:] + b"x" * 99], "/drip": drip}) as server:
        async with an_agent(first_byte_timeout=0.2, min_rate=50, rate_window=0.25) as agent:
            with pytest.raises(ResponseFailed) as silent:
                await get(agent, server.url("/silent"))
            assert str(cause(silent)) == "head: no answer within 0.2 s"
            with pytest.raises(ResponseFailed) as dripping:
                await get_body(agent, server.url("/drip"))
            assert isinstance(cause(dripping), TimedOut)
            assert "slower than is taken" in str(cause(dripping))
        async with an_agent(first_byte_timeout=0.2, min_rate=0, rate_window=0.25) as agent:
            assert len(await get_body(agent, server.url("/head"))) == 99
        await pause(0.02)
        assert not any(one.open for one in server.conversations)


STAGES = ["queue", "dns", "connect", "tls", "head", "upload", "body"]


@contextlib.asynccontextmanager
async def a_stage(stage: str, **limits: Any) -> AsyncIterator[tuple[ScriptedServer, Callable[[], Deferred[Any]]]]:
    """Give a server and what makes a request that does not get beyond `stage`."""
    gate = threading.Event()
    stalled = Resolver(reactor, timeout=9, getaddrinfo=lambda *_: gate.wait(3) and [])
    head = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
    with serving({"/": [5.0], "/body": head, "/upload": ["deaf"]}) as server, deaf_port() as deaf:
        known = {"timeout": 5.0, "per_origin": 1} | limits
        agent = Agent(reactor, limits=Limits(**known), guard=Guard((), LOOPBACK), resolver=stalled if stage == "dns" else None)
        urls = {"dns": "http://named.test/", "connect": f"http://127.0.0.1:{deaf}/", "tls": server.url().replace("http", "https")}
        url = urls.get(stage) or server.url(f"/{stage}" if stage in ("body", "upload") else "/")
        first = get(agent, server.url()) if stage == "queue" else succeed(None)

        def ask() -> Deferred[Any]:
            if stage == "upload":
                return get(agent, url, b"POST", Endless())
            return get(agent, url).addCallback(readBody) if stage == "body" else get(agent, url)

        try:
            yield server, ask
            await pause(0.05)
            assert len(clients()) == (1 if stage == "queue" and not first.called else 0)
        finally:
            gate.set()
            first.addErrback(lambda _: None)
            await agent.close()


@implementer(IBodyProducer)
class Endless:
    """A body of 100 MB, written as it is taken; it ends as `stop` says, after `upto` bytes."""

    def __init__(self, length: Any = 100 * 2**20, upto: int | None = None, stop: Deferred[Any] | None = None) -> None:
        self.length = length
        self.upto = length if upto is None else upto
        self.written = 0
        self.stopped = self.paused = self._coming = False
        self._stop = stop
        self._consumer: Any = None
        self._done: Deferred[Any] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[Any]:
        self._consumer = consumer
        self._soon()
        return self._done

    def _soon(self) -> None:
        if not self._coming:
            self._coming = True
            reactor.callLater(0, self._write)

    def _write(self) -> None:
        self._coming = False
        if self.stopped or self.paused:
            return
        piece = b"x" * min(65536, self.upto - self.written)
        self.written += len(piece)
        self._consumer.write(piece)
        if self.stopped:
            return
        if self.written < self.upto:
            self._soon()
        elif self._stop is None:
            self._done.callback(None)
        else:
            self._stop.addBoth(self._done.callback)

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._soon()

    def stopProducing(self) -> None:
        self.stopped = True


@pytest.mark.parametrize("stage", STAGES)
async def test_the_whole_deadline_holds_in_every_stage(stage: str) -> None:
    async with a_stage(stage, timeout=0.4) as (server, ask):
        begun = reactor.seconds()
        if stage == "queue":
            await pause(0.1)  # so that the first request's time is up first, unless it is the queue's own that counts
            asked = ask()
            assert server.conversations[0].open
        else:
            asked = ask()
        with pytest.raises(ResponseFailed) as raised:
            await asked
        assert isinstance(cause(raised), TimedOut)
        assert 0.3 < reactor.seconds() - begun < 1.5
        said = {"upload": "head", "queue": "head"}.get(stage, stage)  # the queue ends with the first request: then it is its turn
        assert str(cause(raised)).startswith(f"{said}: not finished within 0.4 s")


async def test_waiting_in_the_queue_counts() -> None:
    with serving({"/": [0.5, answer()]}) as server:
        async with an_agent(timeout=0.2, per_origin=1) as agent:
            blocker, waiting = get(agent, server.url()), get(agent, server.url())
            for one, stage in ((blocker, "head"), (waiting, "queue")):
                with pytest.raises(ResponseFailed) as raised:
                    await one
                assert str(cause(raised)) == f"{stage}: not finished within 0.2 s"
        assert lengths(server) == [1]


@pytest.mark.parametrize("stage", STAGES)
async def test_cancelling_leaves_nothing_open_in_any_stage(stage: str) -> None:
    async with a_stage(stage) as (server, ask):
        asked = ask()
        await pause(0.15)
        asked.cancel()
        with pytest.raises(CancelledError):
            await asked
        await pause(0.1)
        if stage == "upload":
            server.conversations[0].transport.resumeProducing()  # it reads nothing, and so does not see the end
            await pause(0.3)
        assert sum(one.open for one in server.conversations) == (stage == "queue")


# Kept connections


@pytest.mark.parametrize(
    ("method", "length", "again"),
    [(b"GET", None, True), (b"HEAD", None, True), (b"DELETE", None, True), (b"POST", None, False), (b"PUT", 3, False)],
)
async def test_what_is_sent_again_over_a_fresh_connection(method: bytes, length: int | None, again: bool) -> None:
    with serving({"/": [[answer(b"1")], ["close"], [answer(b"")]]}) as server:
        async with an_agent() as agent:
            await get_body(agent, server.url())
            asked = get(agent, server.url(), method, Endless(length) if length else None)
            if again:
                assert (await asked).code == 200
            else:
                with pytest.raises(ResponseNeverReceived):
                    await asked
    assert lengths(server) == ([2, 1] if again else [2])


async def test_it_is_sent_again_once_however_many_connections_are_kept() -> None:
    slow = [0.05, answer()]
    with serving({"/": [slow, slow, slow, ["close"]]}) as server:
        async with an_agent(per_origin=3) as agent:
            await gatherResults([asking(agent, server.url()) for _ in range(3)])
            with pytest.raises(ResponseNeverReceived):
                await get_body(agent, server.url())
    assert lengths(server) == [1, 1, 2, 1]


ODD = {
    "connection: close": answer(b"x", "200 OK", "Connection: close"),
    "http/1.0": answer(b"x").replace(b"1.1", b"1.0"),
    "surplus": answer(b"x") + b"surplus",
    "a second answer": answer(b"x") * 2,
    "204 with a body": b"HTTP/1.1 204 No\r\n\r\nbody",
    "304 with a body": b"HTTP/1.1 304 Not\r\nContent-Length: 4\r\n\r\nbody",
    "bare line feeds": answer(b"x").replace(b"\r\n", b"\n"),
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "two lengths": answer(b"x", "200 OK", "Content-Length: 1"),
    "a space before the colon": answer(b"x").replace(b"Length:", b"Length :"),
    "a folded field": answer(b"x", "200 OK", "X: a\r\n b"),
    "a line that is no field": answer(b"x", "200 OK", "no field"),
}


@pytest.mark.parametrize("last", ODD.values(), ids=ODD)
async def test_a_connection_is_not_used_again_after_anything_odd(last: bytes) -> None:
    with serving({"/": [last]}) as server:
        async with an_agent() as agent:
            for _ in range(2):
                with contextlib.suppress(ResponseFailed):
                    response = await get(agent, server.url())
                    notes = Notes()
                    response.deliverBody(notes)
                    await notes.ended
                await pause(0.02)
            assert not any(one.open for one in server.conversations)
    assert lengths(server) == [1, 1]


async def test_a_receiver_that_raises_at_the_end_does_no_harm_to_the_next_request() -> None:
    class Raises(Protocol):
        def connectionLost(self, reason: Failure = connectionDone) -> None:
            raise ZeroDivisionError

    logged: list[Any] = []
    bodies: list[bytes] = []
    globalLogPublisher.addObserver(logged.append)
    with pytest.raises(AssertionError), serving({"/": [0.01, answer()]}) as server:  # noqa: PT012 (which fails for what is logged)
        async with an_agent(per_origin=1) as agent:
            first, second = get(agent, server.url()), asking(agent, server.url())
            first.addCallback(lambda response: response.deliverBody(Raises()))
            bodies.append(await second)
    globalLogPublisher.removeObserver(logged.append)
    failures = [event["log_failure"] for event in logged if "log_failure" in event]
    assert [failure.type for failure in failures] == [ZeroDivisionError]
    for failure in failures:
        failure.value.__traceback__ = failure.tb = None  # the log keeps its latest events, and so whatever their frames hold
    assert bodies == [b"hello"]
    assert lengths(server) == [2]


# Bodies up


class Sink(Protocol):
    """Takes what comes; `on_data` is told each time, and can answer."""

    def __init__(self, on_data: Callable[[Sink], None], all_of_them: list[Sink]) -> None:
        self.on_data = on_data
        self.received = 0
        self.tail = b""
        self.lost: Deferred[None] = Deferred()
        all_of_them.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        self.tail = (self.tail + data)[-100:]
        self.on_data(self)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.lost.callback(None)


@contextlib.contextmanager
def sinking(on_data: Callable[[Sink], None] = lambda _: None) -> Iterator[tuple[str, list[Sink]]]:
    sinks: list[Sink] = []
    factory = Factory.forProtocol(lambda: Sink(on_data, sinks))
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"http://127.0.0.1:{port.getHost().port}/", sinks
    port.stopListening()


@pytest.mark.parametrize(
    ("length", "ends"), [(200_000, "fails"), (200_000, "short"), (200_000, "long"), (UNKNOWN_LENGTH, "fails")], ids=str
)
async def test_a_body_that_is_not_what_was_said(length: Any, ends: str) -> None:
    produced = {"fails": 100_000, "short": 100_000, "long": 300_000}[ends]
    with sinking() as (url, sinks):
        async with an_agent() as agent:
            body = Endless(length, upto=produced, stop=fail(OSError("disk")) if ends == "fails" else None)
            with pytest.raises(ResponseFailed) as raised:
                await get(agent, url, b"PUT", body)
            assert isinstance(cause(raised), RequestGenerationFailed)
            assert isinstance(cause(raised).reasons[0].value, OSError if ends == "fails" else ValueError)
            await sinks[0].lost.addTimeout(1, reactor)
    assert not sinks[0].tail.endswith(b"0\r\n\r\n"), "it must not look whole"
    assert sinks[0].received < 200_000 + 1000


async def test_an_answer_that_comes_before_the_body_is_sent_ends_the_sending() -> None:
    def refuse(sink: Sink) -> None:
        sink.transport.pauseProducing()
        if sink.tail:
            sink.tail = b""
            sink.transport.write(answer(b"too large", "413 Content Too Large"))

    with sinking(refuse) as (url, sinks):
        async with an_agent() as agent:
            for count in (1, 2):
                body = Endless()
                response = await get(agent, url, b"POST", body)
                assert (response.code, await readBody(response)) == (413, b"too large")
                assert body.stopped
                assert len(sinks) == count, "what carried half a request carries no other"
            await pause(0.02)
            assert clients() == [], "although the server reads nothing, not even the end"
        for sink in sinks:
            sink.transport.abortConnection()


async def test_a_slow_server_holds_the_producer_up() -> None:
    def take(sink: Sink) -> None:
        if sink.tail.endswith(b"0\r\n\r\n"):
            sink.transport.write(answer(b"thanks"))
        elif not sink.on_hold:  # type: ignore[attr-defined]
            sink.on_hold = True  # type: ignore[attr-defined]
            sink.transport.pauseProducing()
            reactor.callLater(0.4, sink.transport.resumeProducing)

    Sink.on_hold = False  # type: ignore[attr-defined]
    with sinking(take) as (url, sinks):
        async with an_agent(first_byte_timeout=0.2, timeout=20.0) as agent:
            body = Endless(UNKNOWN_LENGTH, upto=50 * 2**20)
            asked = asking(agent, url, method=b"POST", body=body)
            await pause(0.3)
            held = body.written
            assert body.paused
            assert held < 20 * 2**20, "no more than the sockets' own buffers and one of ours"
            assert await asked == b"thanks", "the time for the first byte began when all was sent"
            assert sinks[0].received > body.written == 50 * 2**20
    del Sink.on_hold  # type: ignore[attr-defined]


async def test_the_time_for_the_first_byte_begins_when_the_body_is_sent() -> None:
    with sinking() as (url, _):
        async with an_agent(first_byte_timeout=0.2) as agent:
            with pytest.raises(ResponseFailed) as raised:
                await get(agent, url, b"POST", Endless(1000))
            assert str(cause(raised)) == "head: no answer within 0.2 s"


# Bodies down


@pytest.mark.parametrize("asked_for", [False, True], ids=["nobody reads", "reads slowly"])
async def test_a_slow_receiver_holds_the_server_up(asked_for: bool) -> None:
    with serving({"/": [b"HTTP/1.1 200 OK\r\n\r\n", "endless"]}) as server:
        async with an_agent(min_rate=1000, rate_window=0.1, first_byte_timeout=0.2) as agent:
            response = await get(agent, server.url())
            notes = Notes(hold=200_000)
            if asked_for:
                response.deliverBody(notes)
            await pause(0.5)
            written = server.conversations[0].written
            await pause(0.1)
            assert server.conversations[0].written == written < 20 * 2**20, "no more than the sockets' own buffers"
            if not asked_for:
                response.deliverBody(notes)
                await pause(0.1)
            assert 200_000 <= len(notes.body) < 400_000
            notes.hold = None
            notes.transport.resumeProducing()
            await pause(0.1)
            assert len(notes.body) > 400_000
            notes.transport.abortConnection()
            assert isinstance(await notes.ended, ResponseFailed)
            await server.conversations[0].lost.addTimeout(1, reactor)


async def test_a_pause_asked_for_at_once_is_kept() -> None:
    class Waits(Notes):
        def connectionMade(self) -> None:
            self.transport.pauseProducing()

    with serving({"/": [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0.05, b"abcdef"]}) as server:
        async with an_agent() as agent:
            notes = Waits()
            (await get(agent, server.url())).deliverBody(notes)
            await pause(0.15)
            assert notes.body == b""
            notes.transport.resumeProducing()
            await notes.ended
            assert notes.body == b"abcdef"


# Limits


class Counting(WrappingFactory):
    """Counts connections that are open at once."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.protocol = ProtocolWrapper
        self.noisy = False
        self.most = 0

    def registerProtocol(self, protocol: Any) -> None:
        super().registerProtocol(protocol)
        self.most = max(self.most, sum(map(is_open, self.protocols)))


def is_open(protocol: Any) -> bool:
    """Tell whether the client has a connection open; its end may wait to be read."""
    try:
        return protocol.transport.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def counting(scripts: Any) -> Iterator[tuple[ScriptedServer, Counting]]:
    factories: list[Counting] = []

    def listen(factory: Any) -> Any:
        factories.append(Counting(factory))
        return reactor.listenTCP(0, factories[0], interface="127.0.0.1")

    with serving(scripts, listen=listen) as server:
        yield server, factories[0]


@pytest.mark.parametrize(("per_origin", "behind"), [(1, 0), (4, 3)])
async def test_a_hundred_requests_to_one_origin_in_the_order_of_asking(per_origin: int, behind: int) -> None:
    with counting({f"/{number}": [0.002, answer(b"%d" % number)] for number in range(100)}) as (server, count):
        async with an_agent(per_origin=per_origin) as agent:
            asked = [asking(agent, server.url(f"/{number}")) for number in range(100)]
            assert await gatherResults(asked) == [b"%d" % number for number in range(100)]
            assert (count.most, len(server.conversations)) == (per_origin, per_origin)
            seen = [int(request.split(b" ")[1][1:]) for one in server.conversations for request in one.requests]
            assert sorted(seen) == list(range(100))
            for one in server.conversations:
                order = [int(request.split(b" ")[1][1:]) for request in one.requests]
                assert order == sorted(order)
                assert all(later - earlier <= per_origin + behind for earlier, later in itertools.pairwise(order))


async def test_ten_connections_over_thirty_origins() -> None:
    names = {f"h{number}.test": "127.0.0.1" for number in range(30)}
    with counting({"/": [0.002, answer()]}) as (server, count):
        async with an_agent(names, connections=10, idle=100) as agent:
            for _ in range(2):
                asked = [asking(agent, f"http://{name}:{server.port}/") for name in names for _ in range(3)]
                assert await gatherResults(asked) == [b"hello"] * 90
            assert 5 <= count.most <= 10
            await pause(0.02)
            assert len(clients()) >= 7, "kept for the next, but those that made room for who was served otherwise"
            assert len(server.conversations) < 180, "and used by those of their origin first"


async def test_waiters_that_are_cancelled_leave_the_queue() -> None:
    with serving({"/": [0.05, answer()], "/unwanted": [answer()]}) as server:
        async with an_agent(per_origin=1) as agent:
            wanted = [asking(agent, server.url())]
            unwanted = [get(agent, server.url("/unwanted")) for _ in range(3)]
            wanted.append(asking(agent, server.url()))
            for one in unwanted:
                one.cancel()
                with pytest.raises(CancelledError):
                    await one
            assert await gatherResults(wanted) == [b"hello"] * 2
    assert lengths(server) == [2]


async def test_a_connection_that_fails_passes_its_place_on() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        async with an_agent(per_origin=1, connections=1) as agent:
            asked = [get(agent, url) for _ in range(20)]
            for one in asked:
                with pytest.raises(CannotConnect):
                    await one


async def test_closing_ends_everything_with_cancelled_error() -> None:
    calls, readers = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    late: list[Any] = []
    with serving({"/": [9.0], "/body": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 9.0], "/idle": [answer()]}) as server:
        async with an_agent(per_origin=2) as agent:
            await get_body(agent, server.url("/idle"))
            notes = Notes()
            (await get(agent, server.url("/body"))).deliverBody(notes)
            asked = [get(agent, server.url()) for _ in range(3)]
            asked[0].addErrback(lambda problem: late.append(get(agent, server.url())) or problem)
            await pause(0.05)
            await agent.close()
            for one in (*asked, *late, get(agent, server.url())):
                with pytest.raises(CancelledError):
                    await one
            assert len(late) == 1
            assert isinstance(await notes.ended, CancelledError)
            await agent.close()
        await pause(0.02)
        assert not any(one.open for one in server.conversations)
    await pause(0.02)
    assert not set(reactor.getDelayedCalls()) - calls
    assert not set(reactor.getReaders()) - readers
