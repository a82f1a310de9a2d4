"""Proxies that are down, talk rubbish or stall."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from through_proxies import fetch_once, make_fetcher
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from crawler.config import FetchSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.fetch.proxy import read_proxies
from crawler.model import FetchFailed, Reason


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


# Proxies that misbehave


@pytest.mark.parametrize("url", ["http://named.test/", "https://named.test/"])
@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_proxy_that_is_down(kind: str, url: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        got = await fetch_once(make_fetcher(f"{kind}://127.0.0.1:{closed.getsockname()[1]}"), url)
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail, got.ip) == (Reason.CONNECT, "proxy: connection refused", None)


async def test_a_proxy_without_address() -> None:
    def unknown(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    settings = FetchSettings(proxies={"all": "http://proxy.test:3128"})
    resolver = Resolver(reactor, getaddrinfo=unknown)
    fetcher = Fetcher(reactor, settings, user_agent="C", resolver=resolver, guard=Guard([]), proxies=read_proxies(settings, {}))
    got = await fetch_once(fetcher, "http://named.test/")
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.CONNECT, "proxy: proxy.test: Name or service not known")


class Says(Protocol):
    """Answers to what comes in, piece by piece, as it is told; then is silent."""

    def __init__(self, lines: list[bytes], ends: list[float]) -> None:
        self._lines = list(lines)
        self._ends = ends

    def dataReceived(self, data: bytes) -> None:
        if self._lines:
            line = self._lines.pop(0)
            if line == b"CLOSE":
                self.transport.loseConnection()
            else:
                self.transport.write(line)

    def connectionLost(self, reason: Any = None) -> None:
        self._ends.append(reactor.seconds())


@contextlib.contextmanager
def saying(*lines: bytes) -> Iterator[tuple[str, list[float]]]:
    """Listen as a proxy that says `lines`; give its address, and when its connections ended."""
    ends: list[float] = []
    factory = Factory.forProtocol(lambda: Says(list(lines), ends))
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield f"127.0.0.1:{port.getHost().port}", ends
    finally:
        port.stopListening()


@pytest.mark.parametrize(
    ("proxy_url", "lines", "detail"),
    [
        ("http://{}", [b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03"], "proxy: it sent more than its answer"),
        ("http://{}", [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], "proxy: the head of its answer does not end within 65536 bytes"),
        ("http://{}", [b"CLOSE"], "proxy: it closed the connection before the tunnel stood"),
        ("http://{}", [b"SSH-2.0-dropbear\r\n\r\n"], "proxy: its answer to CONNECT is no HTTP/1.x"),
        ("socks5://{}", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "proxy (socks5): this is no SOCKS5 proxy"),
        ("socks5://{}", [b"\x05\x00", b"\x05\x04\x00\x01"], "proxy (socks5): host unreachable"),
        ("socks5://{}", [b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6) + b"H"], "proxy (socks5): the proxy sent more than its answer"),
        ("socks5://{}", [b"\x05\x00", b"CLOSE"], "proxy: it closed the connection before the tunnel stood"),
    ],
)
async def test_a_proxy_that_misbehaves_is_named(proxy_url: str, lines: list[bytes], detail: str) -> None:
    with saying(*lines) as (address, ends):
        got = await fetch_once(make_fetcher(proxy_url.format(address)), "https://named.test/")
        await pause(0.05)
        assert len(ends) == 1
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail, got.ip) == (Reason.CONNECT, detail, None)


@pytest.mark.parametrize(
    ("kind", "lines"), [("http", []), ("http", [b"HTTP/1.1 200 OK\r\n"]), ("socks5", []), ("socks5", [b"\x05\x00", b"\x05\x00"])]
)
async def test_connecting_is_limited_in_time_with_the_proxy(kind: str, lines: list[bytes]) -> None:
    with saying(*lines) as (address, ends):
        got = await fetch_once(make_fetcher(f"{kind}://{address}", connect_timeout=0.3), "https://named.test/")
        await pause(0.05)
        assert len(ends) == 1
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.TIMEOUT, "proxy: not finished within 0.3 s")
    assert 0.25 < got.elapsed < 0.8


async def test_the_limit_covers_tls_behind_the_tunnel() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as (address, ends):
        got = await fetch_once(make_fetcher(f"http://{address}", connect_timeout=0.3), "https://named.test/")
        await pause(0.05)
        assert len(ends) == 1
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.TIMEOUT, "tls: not finished within 0.3 s")


async def test_cancelling_during_the_handshake_closes_the_connection() -> None:
    calls, readers = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    with saying() as (address, ends):
        fetcher = make_fetcher(f"http://{address}")
        fetching = fetcher.fetch("https://named.test/")
        await pause(0.1)
        fetching.cancel()
        with pytest.raises(CancelledError):
            await fetching
        await pause(0.05)
        assert len(ends) == 1
        waiting = fetcher.fetch("https://named.test/")
        await pause(0.1)
        await fetcher.close()
        with pytest.raises(CancelledError):
            await waiting
        await pause(0.05)
        assert len(ends) == 2
    await pause(0.01)
    assert set(reactor.getDelayedCalls()) - calls == set()
    assert set(reactor.getReaders()) - readers == set()
