"""The agent's bodies, up and down: framing and back-pressure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking_agent import Endless, Notes, an_agent, asking, cause, clients, get, pause
from scripted_server import answer, serving
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.web.client import RequestGenerationFailed, ResponseFailed, readBody
from twisted.web.iweb import UNKNOWN_LENGTH

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
