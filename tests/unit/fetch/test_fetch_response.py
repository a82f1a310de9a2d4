"""A connection and the answers that come over it, without sockets: bodies as treq's callers take them, and nobody else's bytes."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
from sites.mangled import mangled
from test_fetch_answer import ANSWERS, HEAD
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IClientRequest, IResponse
from zope.interface.verify import verifyObject

from crawler.fetch.connection import Connection
from crawler.fetch.response import Request, Response


class Asking:
    """Who waits for one answer: cancelling `answer` closes the connection."""

    def __init__(self, connection: Connection) -> None:
        self.answer: Deferred[Response] = Deferred(lambda _: connection.abandon())
        self.over = 0

    def head_came(self, response: Response) -> None:
        self.answer.callback(response)

    def no_head(self, problem: Exception) -> None:
        self.answer.errback(problem)

    def body_over(self) -> None:
        self.over += 1
        assert self.over == 1


class Wire:
    """A connection over a transport in memory, and what it told."""

    def __init__(self) -> None:
        self.idle = 0
        self.transport = StringTransport()
        self.connection = Connection("http://a.test", secure=False, on_open=lambda: None, on_idle=self._idle, on_lost=lambda *_: None)
        self.connection.makeConnection(self.transport)

    def _idle(self, _connection: Connection) -> None:
        self.idle += 1

    def ask(self, method: bytes = b"GET", limit: int | None = None) -> Deferred[Response]:
        asking = Asking(self.connection)
        self.connection.request(Request(method, b"http://a.test/x", Headers(), method + b" /x HTTP/1.1\r\n\r\n"), asking, limit)
        return asking.answer

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.dataReceived(piece)

    def lose(self, reason: Exception) -> None:
        self.connection.connectionLost(Failure(reason))

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)


class Receiver(Protocol):
    """Gathers a body; `slow` holds the transport up with the first piece."""

    def __init__(self, slow: bool = False) -> None:
        self.body = b""
        self.end: type[BaseException] | None = None
        self._slow = slow

    def dataReceived(self, data: bytes) -> None:
        self.body += data
        if self._slow:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Any = None) -> None:
        assert self.end is None
        self.end = type(reason.value)


def result_of(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "still waiting"
    return results[0]


def received(response: Response) -> Receiver:
    receiver = Receiver()
    response.deliverBody(receiver)
    return receiver


def test_an_answer_is_all_that_its_interface_says() -> None:
    wire = Wire()
    asked = wire.ask()
    wire.feed(b"HTTP/1.0 404 Not Here\r\nContent-Length: 3\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    response = result_of(asked)
    assert verifyObject(IResponse, response)
    assert verifyObject(IClientRequest, response.request)
    assert (response.code, response.phrase, response.version, response.length) == (404, b"Not Here", (b"HTTP", 1, 0), 3)
    assert response.headers.getRawHeaders(b"X-A") == [b"1", b"2"]
    assert (response.request.method, response.request.absoluteURI) == (b"GET", b"http://a.test/x")
    assert response.previousResponse is None
    response.setPreviousResponse(response)
    assert response.previousResponse is response


@pytest.mark.parametrize("cut", [None, 10, -1])
def test_a_body_is_the_same_early_and_late(cut: int | None) -> None:
    text = ANSWERS["length"]
    wire = Wire()
    asked = wire.ask()
    wire.feed(*([text] if cut is None else [text[:cut], text[cut:]]))
    assert (wire.idle, wire.connection.usable, wire.transport.producerState) == (1, True, "producing")
    response = result_of(asked)
    got = received(response)
    assert (got.body, got.end) == (b"hello", ResponseDone)
    assert wire.idle == 1
    with pytest.raises(RuntimeError):
        response.deliverBody(Receiver())


def test_a_body_that_nobody_asks_for_is_not_read() -> None:
    wire = Wire()
    asked = wire.ask()
    wire.feed(HEAD + b"Content-Length: 9\r\n\r\nabc")
    assert wire.transport.producerState == "paused"
    got = received(result_of(asked))
    assert wire.transport.producerState == "producing"
    wire.feed(b"defghi")
    assert (got.body, got.end, wire.idle) == (b"abcdefghi", ResponseDone, 1)


def test_a_slow_receiver_holds_the_server_up_but_not_the_next_answer() -> None:
    wire = Wire()
    asked = wire.ask()
    wire.feed(HEAD + b"Content-Length: 6\r\n\r\n")
    got = Receiver(slow=True)
    result_of(asked).deliverBody(got)
    wire.feed(b"abc")
    assert wire.transport.producerState == "paused"
    got.transport.resumeProducing()
    assert wire.transport.producerState == "producing"
    wire.feed(b"def")
    assert (wire.transport.producerState, wire.idle, got.body) == ("producing", 1, b"abcdef")
    got.transport.pauseProducing()  # the connection is not its own any more
    got.transport.abortConnection()
    assert wire.transport.producerState == "producing"
    assert not wire.closed


def test_a_receiver_may_close_the_connection() -> None:
    wire = Wire()
    asked = wire.ask()
    wire.feed(HEAD + b"\r\nabc")
    got = received(result_of(asked))
    got.transport.abortConnection()
    assert wire.closed
    wire.feed(b"more")
    wire.lose(ConnectionDone())
    assert (got.body, got.end, wire.idle) == (b"abc", ResponseFailed, 0)


@pytest.mark.parametrize(
    ("fed", "reason", "end"),
    [
        (b"", ConnectionDone, ResponseNeverReceived),
        (b"HTTP/1.1 200", ConnectionLost, ResponseFailed),
        (HEAD + b"Content-Length: 9\r\n\r\nabc", ConnectionDone, ResponseFailed),
        (HEAD + b"\r\nabc", ConnectionDone, PotentialDataLoss),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ConnectionDone, ResponseFailed),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz", None, ResponseFailed),
        (b"nonsense\r\n", None, ResponseFailed),
    ],
)
def test_how_answers_end_that_are_not_whole(fed: bytes, reason: type[Exception] | None, end: type[Exception]) -> None:
    wire = Wire()
    asked = wire.ask()
    if fed:
        wire.feed(fed)
    if reason is not None:
        wire.lose(reason())
    else:
        assert wire.closed
    got = result_of(asked)
    assert (type(got.value) if isinstance(got, Failure) else received(got).end) is end
    assert wire.idle == 0
    assert not wire.connection.usable


def test_cancelling_closes_and_tells_nobody_else() -> None:
    wire = Wire()
    asked = wire.ask()
    asked.cancel()
    assert wire.closed
    wire.feed(ANSWERS["length"])
    wire.lose(ConnectionDone())
    assert isinstance(result_of(asked).value, CancelledError)


def test_one_request_at_a_time() -> None:
    wire = Wire()
    asked = wire.ask()
    assert isinstance(result_of(wire.ask()).value, ResponseNeverReceived)
    wire.feed(ANSWERS["no body"])
    assert received(result_of(asked)).end is ResponseDone


def test_head() -> None:
    wire = Wire()
    asked = wire.ask(b"HEAD")
    wire.feed(HEAD + b"Content-Length: 5\r\n\r\n")
    assert (result_of(asked).length, wire.idle) == (0, 1)


def test_the_next_request_may_come_with_the_bodys_end() -> None:
    """Whoever gets the end of a body asks again at once, over the same connection, while its data is still being taken in."""
    wire = Wire()
    bodies: list[bytes] = []

    class Again(Receiver):
        def connectionLost(self, reason: Any = None) -> None:
            bodies.append(self.body)
            if len(bodies) < 3:
                wire.ask().addCallback(lambda response: response.deliverBody(Again()))

    wire.ask().addCallback(lambda response: response.deliverBody(Again()))
    for name in ("length", "chunks", "no body"):
        wire.feed(*(ANSWERS[name][place : place + 30] for place in range(0, len(ANSWERS[name]), 30)))
    assert bodies == [b"hello", b"abc0123456789", b""]
    assert wire.idle == 3


class OverOneConnection:
    """The smallest agent: what treq needs of one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def request(self, method: bytes, uri: bytes, headers: Headers, bodyProducer: None) -> Deferred[Response]:
        return self._wire.ask(method)


@pytest.mark.parametrize("name", ["length", "chunks", "until close", "204"])
def test_treq_reads_what_comes(name: str) -> None:
    wire = Wire()
    client = HTTPClient(OverOneConnection(wire))
    asked = client.get("http://a.test/x", reactor=object(), headers={"X": "y"}).addCallback(lambda response: response.content())
    wire.feed(ANSWERS[name])
    if name == "until close":
        wire.lose(ConnectionDone())
    assert result_of(asked) == {"length": b"hello", "chunks": b"abc0123456789", "until close": b"until the end", "204": b""}[name]


def test_whatever_comes_the_next_answer_is_its_own() -> None:
    """After anything at all, a connection is either closed or gives the next request exactly the next answer."""
    chance = random.Random(11)
    logged: list[Any] = []

    def observer(event: dict[str, Any]) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            logged.append(event)

    globalLogPublisher.addObserver(observer)
    kept = 0
    for _ in range(3000):
        wire = Wire()
        step = chance.choice((1, 16, 100_000))
        whole = list(ANSWERS.values())
        text = mangled(chance, whole) if chance.random() < 0.7 else b"".join(chance.choices(whole, k=chance.randrange(1, 3)))
        asked = wire.ask()
        ends: list[Receiver | Failure] = []
        asked.addCallbacks(lambda response, ends=ends: ends.append(received(response)), ends.append)
        for place in range(0, len(text), step):
            if not wire.closed:
                wire.feed(text[place : place + step])
        if wire.connection.usable:
            kept += 1
            again = wire.ask()
            again.addCallback(received)
            wire.feed(HEAD + b"Content-Length: 4\r\n\r\nmine")
            got = result_of(again)
            assert (got.body, got.end) == (b"mine", ResponseDone), text
        else:
            wire.lose(ConnectionDone())
        assert ends, text
        assert isinstance(ends[0], Failure) or ends[0].end is not None, text
    gc.collect(1)
    globalLogPublisher.removeObserver(observer)
    assert not logged
    assert 100 < kept < 2900
