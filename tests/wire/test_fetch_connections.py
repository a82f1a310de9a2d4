"""Connections as `Fetcher` uses them: kept, found dead, cancelled, refused, encrypted, closed at the end."""

from __future__ import annotations

import gc
import socket
import threading
from typing import Any

import pytest
from cryptography import x509
from fetching import Authority, make_fetcher, named, pause
from scripted_server import answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults, succeed

from crawler.config import FetchSettings
from crawler.fetch.answer import AnswerReader
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.exchange import Exchange
from crawler.fetch.guard import Guard
from crawler.fetch.response import Response
from crawler.model import Fetched, FetchFailed, Reason

# Keeping connections


async def test_a_connection_is_used_again() -> None:
    with serving({"/": [answer()], "/empty": [b"HTTP/1.1 204 No\r\n\r\n"]}) as server:
        fetcher = make_fetcher(server.url())
        for path in ("/", "/empty", "/", "/empty", "/"):
            got = await fetcher.fetch(server.url(path))
            assert isinstance(got, Fetched)
            assert got.ip == "127.0.0.1"
        await fetcher.close()
    assert [len(one.requests) for one in server.conversations] == [5]


async def test_as_many_connections_as_requests_at_once_and_all_kept() -> None:
    with serving({"/": [0.05, answer()]}) as server:
        fetcher = make_fetcher(server.url())
        for _ in range(2):
            await gatherResults([fetcher.fetch(server.url()) for _ in range(20)])
        assert len(server.conversations) == 20
        await fetcher.close()


@pytest.mark.parametrize(
    "last",
    [
        answer(b"x", "200 OK", "Connection: close"),
        answer(b"x", "200 OK", "Connection: Close"),
        answer(b"x", "200 OK", "Connection: foo, CLOSE"),
        answer(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"),
        answer(b"x") + b"surplus",
        b"HTTP/1.1 204 No\r\n\r\nbody that must not be",
        answer(b"x" * 9000) + b"surplus",
    ],
    ids=["close", "Close", "list", "http/1.0", "surplus", "204 with a body", "surplus after slices"],
)
async def test_an_answer_after_which_the_connection_is_not_used_again(last: bytes) -> None:
    with serving({"/": [last]}) as server:
        fetcher = make_fetcher(server.url())
        for _ in range(2):
            assert isinstance(await fetcher.fetch(server.url()), Fetched)
        await fetcher.close()
    assert [len(one.requests) for one in server.conversations] == [1, 1]


async def test_http_1_0_keep_alive() -> None:
    kept = answer(b"x", "200 OK", "Connection: Keep-Alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    with serving({"/": [kept]}) as server:
        fetcher = make_fetcher(server.url())
        for _ in range(2):
            await fetcher.fetch(server.url())
        await fetcher.close()
    assert len(server.conversations) == 1


async def test_an_answer_nobody_asked_for_is_nobodys() -> None:
    """A server that writes a second answer while the connection is idle cannot place it under another URL."""
    with serving({"/a": [answer(b"a"), 0.05, answer(b"evil")], "/b": [answer(b"b")]}) as server:
        fetcher = make_fetcher(server.url())
        await fetcher.fetch(server.url("/a"))
        await pause(0.15)
        got = await fetcher.fetch(server.url("/b"))
        await fetcher.close()
    assert isinstance(got, Fetched)
    assert got.body == b"b"


async def test_an_answer_given_before_the_request_leaves_a_connection_that_is_not_used_again() -> None:
    with serving({"/": [0.05, answer(b"late")]}, greeting=[answer(b"early")]) as server:
        fetcher = make_fetcher(server.url())
        await fetcher.fetch(server.url())
        await pause(0.15)  # the surplus answer arrives while the connection is idle
        await fetcher.fetch(server.url())
        await fetcher.close()
    assert [len(one.requests) for one in server.conversations] == [1, 1]


@pytest.mark.parametrize(
    "size", [5, 65536 - len(answer(b"x" * 60_000)) + 60_000, 100_000], ids=["short", "all that is read at once", "long"]
)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_what_follows_an_answer_is_not_the_answer_to_what_is_asked_at_once(size: int, secure: bool) -> None:
    """The next request goes out while the bytes behind the first answer wait in the socket, or in the next TLS record."""
    authority = Authority() if secure else None
    listen = authority.server(x509.DNSName("named.test")) if authority else None
    with serving({"/a": [answer(b"a" * size), answer(b"evil")], "/b": [answer(b"b")]}, listen=listen) as server:
        fetcher = make_fetcher(server.url(), named(server), names={"named.test": ["127.0.0.1"]}, trust=authority and authority.trust())
        site = named(server)[:-1] if secure else server.url()[:-1]
        got = await fetcher.fetch(site + "/a").addCallback(lambda first: gatherResults([succeed(first), fetcher.fetch(site + "/b")]))
        await fetcher.close()
    assert [one.body for one in got] == [b"a" * size, b"b"]


async def test_a_dead_kept_connection_costs_a_second_sending() -> None:
    with serving({"/": [[answer(b"1")], ["close"], [answer(b"2")]]}) as server:
        fetcher = make_fetcher(server.url())
        sent: list[float] = []
        await fetcher.fetch(server.url())
        got = await fetcher.fetch(server.url(), on_sent=sent.append)
        await fetcher.close()
    assert isinstance(got, Fetched)
    assert got.body == b"2"
    assert [len(one.requests) for one in server.conversations] == [2, 1]
    assert len(sent) == 2
    assert sent[0] <= sent[1]


async def test_a_new_connection_that_dies_is_not_tried_again() -> None:
    with serving({"/": [[answer(b"1")], ["close"], ["close"], [answer(b"never")]]}) as server:
        fetcher = make_fetcher(server.url())
        await fetcher.fetch(server.url())
        got = await fetcher.fetch(server.url())
        await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.TRUNCATED, "closed without an answer")
    assert len(server.requests) == 3


async def test_a_connection_closed_while_idle_is_not_tried() -> None:
    with serving({"/": [answer(b"1"), 0.05, "close"]}) as server:
        fetcher = make_fetcher(server.url())
        sent: list[float] = []
        await fetcher.fetch(server.url())
        await pause(0.15)
        await fetcher.fetch(server.url(), on_sent=sent.append)
        await fetcher.close()
    assert len(sent) == 1
    assert [len(one.requests) for one in server.conversations] == [1, 1]


async def test_idle_connections_are_closed_in_time() -> None:
    with serving({"/": [answer()]}) as server:
        resolver = Resolver(reactor)
        guard = Guard([server.url()])
        fetcher = Fetcher(reactor, FetchSettings(), user_agent="C", resolver=resolver, guard=guard, idle_seconds=0.1)
        await fetcher.fetch(server.url())
        asked = reactor.seconds()
        closed = await server.conversations[0].lost.addTimeout(1, reactor)
        assert 0.05 < closed - asked < 0.5
        await fetcher.close()


async def test_idle_connections_are_bounded_in_number() -> None:
    with serving({"/": [0.02, answer()]}) as server:
        fetcher = make_fetcher(server.url(), concurrency=2)  # keeps twice that idle
        answers = await gatherResults([fetcher.fetch(server.url()) for _ in range(10)])
        assert [got for got in answers if not isinstance(got, Fetched)] == []
        await pause(0.1)
        assert sum(one.open for one in server.conversations) == 4
        await fetcher.close()


# Sending


async def test_on_sent_is_told_once_when_the_request_goes_out() -> None:
    with serving({"/": [0.1, answer()]}) as server:
        fetcher = make_fetcher(server.url())
        for _ in range(2):
            sent: list[float] = []
            begun = reactor.seconds()
            await fetcher.fetch(server.url(), on_sent=sent.append)
            assert len(sent) == 1
            assert begun <= sent[0] < begun + 0.08
        await fetcher.close()
    assert len(server.conversations) == 1


async def test_on_sent_is_never_told_without_a_connection() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        sent: list[float] = []
        fetcher = make_fetcher(url)
        for refused in (url, "http://nowhere.test/", "http://10.0.0.1/"):
            assert isinstance(await fetcher.fetch(refused, on_sent=sent.append), FetchFailed)
        await fetcher.close()
    assert sent == []


# Cancelling and closing


@pytest.mark.parametrize(
    "script",
    [
        [10.0],
        [b"HTTP/1.1 200 OK\r\n", 10.0],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 10.0],
        [b"HTTP/1.1 200 OK\r\n\r\n", "endless"],
    ],
    ids=["before the answer", "in the head", "in the body", "in an endless body"],
)
async def test_cancelling_closes_the_connection_at_once(script: list[Any]) -> None:
    with serving({"/": script}) as server:
        fetcher = make_fetcher(server.url(), max_body=10**9)
        fetching = fetcher.fetch(server.url())
        await pause(0.1)
        cancelled = reactor.seconds()
        fetching.cancel()
        with pytest.raises(CancelledError):
            await fetching
        closed = await server.conversations[0].lost.addTimeout(1, reactor)
        assert closed - cancelled < 0.5
        await fetcher.close()


async def test_cancelling_while_connecting() -> None:
    with socket.socket() as deaf:  # a full backlog: connections stay half open
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        fetcher = make_fetcher(url)
        fetching = fetcher.fetch(url)
        await pause(0.05)
        fetching.cancel()
        with pytest.raises(CancelledError):
            await fetching
        timed_out = await fetcher.fetch(url)
        for filler in fillers:
            filler.close()
        await fetcher.close()
    assert isinstance(timed_out, FetchFailed)
    assert timed_out.reason is Reason.TIMEOUT
    assert timed_out.detail.startswith("connect")
    assert 0.9 < timed_out.elapsed < 1.5


async def test_cancelling_does_not_go_on_to_the_next_address() -> None:
    with serving({"/": [answer()]}) as server, socket.socket() as deaf:
        deaf.bind(("127.0.0.2", server.port))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        seed = f"http://two.test:{server.port}/"
        fetcher = make_fetcher(seed, names={"two.test": ["127.0.0.2", "127.0.0.1"]})
        fetching = fetcher.fetch(seed)
        await pause(0.1)
        fetching.cancel()
        with pytest.raises(CancelledError):
            await fetching
        await pause(0.4)
        assert server.conversations == []
        patient = await fetcher.fetch(seed)  # the black hole has a quarter of a second for itself
        assert isinstance(patient, Fetched), patient
        assert 0.2 < patient.elapsed < 0.7
        for filler in fillers:
            filler.close()
        await fetcher.close()


async def test_closing_leaves_nothing_behind() -> None:
    calls, readers = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    with serving({"/": [answer()], "/hang": [10.0]}) as server:
        fetcher = make_fetcher(server.url(), "http://named.test/", names={"named.test": ["127.0.0.1"]})
        await fetcher.fetch(server.url())
        await fetcher.fetch(f"http://named.test:{server.port}/")
        hanging = fetcher.fetch(server.url("/hang"))
        await pause(0.05)
        await fetcher.close()
        with pytest.raises(CancelledError):
            await hanging
        await pause(0.05)
        assert not any(one.open for one in server.conversations)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("dns")]
        await fetcher.close()
    await pause(0.01)  # the listening socket closes a turn later
    assert not set(reactor.getDelayedCalls()) - calls
    assert not set(reactor.getReaders()) - readers


async def test_what_has_ended_is_freed_at_once() -> None:
    """No circle of references is left of a fetch: the garbage collector has nothing to find, whose work is an eighth of the time."""
    with serving({"/": [answer()], "/chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.01, b"0\r\n\r\n"]}) as server:
        fetcher = make_fetcher(server.url())
        await fetcher.fetch(server.url())
        gc.collect()
        gc.disable()
        try:
            for path in ("/", "/chunks", "/"):
                assert isinstance(await fetcher.fetch(server.url(path)), Fetched)
            await pause(0)
            left = [one for one in gc.get_objects() if isinstance(one, Exchange | AnswerReader | Response)]
        finally:
            gc.enable()
        await fetcher.close()
    assert left == []
