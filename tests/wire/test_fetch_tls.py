"""Fetching over TLS: trust, kept connections, servers that speak none or stall."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from fetching import Authority, make_fetcher, named, pause
from scripted_server import answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.tcp import Client

from crawler.fetch.tls import system_context
from crawler.model import Fetched, FetchFailed, Reason


async def fetch_tls(authority: Authority | None, listen: Callable[[Any], Any] | None, host: str = "named.test", **settings: Any) -> Any:
    trust = authority.trust() if authority else None
    with serving({"/": [answer(b"secret")]}, listen=listen) as server:
        fetcher = make_fetcher(named(server, host), names={host: ["127.0.0.1"]}, trust=trust, **settings)
        sent: list[float] = []
        got = await fetcher.fetch(named(server, host), on_sent=sent.append)
        assert len(sent) == isinstance(got, Fetched)  # nothing is sent before the server is known to be the right one
        assert len(server.requests) == len(sent)
        await fetcher.close()
    return got


@pytest.mark.parametrize("host", ["named.test", "a.wild.test", "with_underscore.wild.test", "127.0.0.1"])
async def test_tls_with_a_trusted_certificate(host: str) -> None:
    authority = Authority()
    names = [x509.DNSName("named.test"), x509.DNSName("*.wild.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    got = await fetch_tls(authority, authority.server(*names), host)
    assert isinstance(got, Fetched), got
    assert (got.body, got.ip) == (b"secret", "127.0.0.1")


async def test_tls_connections_are_kept_and_cancelled_too() -> None:
    authority = Authority()
    listen = authority.server(x509.DNSName("named.test"))
    with serving({"/": [answer()], "/hang": [10.0]}, listen=listen) as server:
        fetcher = make_fetcher(named(server), names={"named.test": ["127.0.0.1"]}, trust=authority.trust())
        for _ in range(3):
            assert isinstance(await fetcher.fetch(named(server)), Fetched)
        assert len(server.conversations) == 1
        hanging = fetcher.fetch(named(server) + "hang")
        await pause(0.05)
        hanging.cancel()
        with pytest.raises(CancelledError):
            await hanging
        await server.conversations[0].lost.addTimeout(0.5, reactor)
        await fetcher.close()


@pytest.mark.parametrize("last", [answer(b"x", "200 OK", "Connection: close"), b"nonsense\r\n\r\n"], ids=["close", "not http"])
async def test_tls_connections_end_without_the_servers_consent(last: bytes) -> None:
    """A server that neither closes nor answers the close_notify costs no socket."""
    authority = Authority()
    with serving({"/": ["deaf", last, 10.0]}, listen=authority.server(x509.DNSName("named.test"))) as server:
        fetcher = make_fetcher(named(server), names={"named.test": ["127.0.0.1"]}, trust=authority.trust())
        await fetcher.fetch(named(server))
        await pause(0.05)
        assert not [reader for reader in reactor.getReaders() if isinstance(reader, Client)]
        await fetcher.close()


@pytest.mark.parametrize(
    ("names", "expired", "detail"),
    [
        (["other.test"], False, "the certificate is not for named.test"),
        (["named.test"], True, "certificate expired"),
        (["*.test", "*"], False, "named.test"),
        ([], False, "named.test"),
    ],
    ids=["wrong name", "expired", "invalid wildcard", "no name"],
)
async def test_tls_with_a_wrong_certificate(names: list[str], expired: bool, detail: str) -> None:
    authority = Authority()
    got = await fetch_tls(authority, authority.server(*map(x509.DNSName, names), expired=expired))
    assert isinstance(got, FetchFailed), got
    assert got.reason is (Reason.TLS_EXPIRED if expired else Reason.TLS_NAME)
    assert detail in got.detail


async def test_tls_with_an_unknown_issuer() -> None:
    authority = Authority()
    got = await fetch_tls(None, authority.server(x509.DNSName("named.test")))
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.TLS_UNTRUSTED, "unknown issuer")


async def test_tls_to_a_server_that_speaks_none() -> None:
    with serving({}, greeting=[b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"]) as server:
        fetcher = make_fetcher(named(server), names={"named.test": ["127.0.0.1"]})
        plain = await fetcher.fetch(named(server))
        await fetcher.close()
    with serving({}, greeting=["close"]) as server:
        fetcher = make_fetcher(named(server), names={"named.test": ["127.0.0.1"]})
        shut = await fetcher.fetch(named(server))
        await fetcher.close()
    assert isinstance(plain, FetchFailed)
    assert isinstance(shut, FetchFailed)
    assert (plain.reason, plain.detail) == (Reason.TLS_HANDSHAKE, "wrong version number")
    assert (shut.reason, shut.detail) == (Reason.TLS_HANDSHAKE, "the server closed the connection during the handshake")


async def test_tls_handshake_that_stalls() -> None:
    with serving({}, greeting=[]) as server:
        fetcher = make_fetcher(named(server), names={"named.test": ["127.0.0.1"]}, connect_timeout=0.2)
        got = await fetcher.fetch(named(server))
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.detail[:4]) == (Reason.TIMEOUT, "tls:")
        await server.conversations[0].lost.addTimeout(0.5, reactor)
        await fetcher.close()


def test_the_systems_store_is_the_default() -> None:
    authorities = system_context().get_cert_store()
    assert authorities is not None
    assert Path("/etc/ssl/certs/ca-certificates.crt").exists(), "apt-get install ca-certificates"
