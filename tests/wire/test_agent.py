"""`Agent` at its limits, through real sockets: what it fails with, when, and what is left open afterwards."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
from asking_agent import Endless, Notes, an_agent, asking, cause, get, get_body, lengths, pause
from scripted_server import answer, serving
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss

from crawler.fetch.agent import Agent, Limits
from crawler.fetch.failures import BadAnswer, BodyTooLarge, CannotConnect, HeadTooLarge, TimedOut
from crawler.model import Reason

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
