"""Connections as `Fetcher` uses them: kept, found dead, cancelled, refused, encrypted, closed at the end."""

from __future__ import annotations

import datetime
import gc
import ipaddress
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509
from scripted_server import ScriptedServer, answer, serving
from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError, gatherResults, succeed
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client

from crawler.config import FetchSettings
from crawler.fetch.answer import AnswerReader
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.exchange import Exchange
from crawler.fetch.guard import Guard
from crawler.fetch.response import Response
from crawler.fetch.tls import Trust, system_context
from crawler.model import Fetched, FetchFailed, Reason

EARLY = datetime.datetime(2020, 1, 1)


def fake_names(names: dict[str, list[str]]) -> Callable[..., list[Any]]:
    """Stand in for getaddrinfo; an unknown name does not exist."""

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (address, 0)) for address in names[host]]

    return getaddrinfo


def make_fetcher(*seeds: str, names: dict[str, list[str]] | None = None, trust: Trust | None = None, **settings: Any) -> Fetcher:
    resolver = Resolver(reactor, getaddrinfo=fake_names(names or {}))
    known = {"timeout": 3.0, "connect_timeout": 1.0} | settings
    return Fetcher(reactor, FetchSettings(**known), user_agent="Crawl/0", resolver=resolver, guard=Guard(seeds), trust=trust)


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


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
        await gatherResults([fetcher.fetch(server.url()) for _ in range(10)])
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


# Names and addresses


@pytest.mark.parametrize("names", [{}, {"named.test": []}], ids=["unknown", "no address"])
async def test_names_without_address(names: dict[str, list[str]]) -> None:
    fetcher = make_fetcher(names=names)
    got = await fetcher.fetch("http://named.test/")
    await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.ip) == (Reason.DNS, None)
    assert "named.test" in got.detail


async def test_a_resolver_that_stalls() -> None:
    gate = threading.Event()
    resolver = Resolver(reactor, timeout=0.2, getaddrinfo=lambda *_: gate.wait(5) and [])
    fetcher = Fetcher(reactor, FetchSettings(), user_agent="C", resolver=resolver, guard=Guard([]))
    got = await fetcher.fetch("http://named.test/")
    gate.set()
    await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TIMEOUT
    assert got.detail.startswith("dns")


async def test_the_deadline_covers_the_resolver() -> None:
    gate = threading.Event()
    resolver = Resolver(reactor, timeout=9, getaddrinfo=lambda *_: gate.wait(5) and [])
    fetcher = Fetcher(reactor, FetchSettings(timeout=0.2), user_agent="C", resolver=resolver, guard=Guard([]))
    got = await fetcher.fetch("http://named.test/")
    gate.set()
    await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail[:4]) == (Reason.TIMEOUT, "dns:")


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://127.0.0.1:1234/", "127.0.0.1:1234 is a loopback address"),
        ("http://10.1.2.3/", "10.1.2.3:80 is a private address"),
        ("http://[::ffff:7f00:1]/", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "metadata"),
        ("http://rebound.test/", "127.0.0.1:80 is a loopback address"),
        ("http://8.8.8.8:25/", "port 25"),
    ],
)
async def test_forbidden_addresses_are_not_connected_to(url: str, detail: str) -> None:
    fetcher = make_fetcher("http://127.0.0.1:80/", names={"rebound.test": ["127.0.0.1"]})
    if "rebound" in url:
        fetcher = make_fetcher(names={"rebound.test": ["127.0.0.1"]})
    got = await fetcher.fetch(url)
    await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.ADDRESS
    assert detail in got.detail


async def test_a_seeds_name_is_exempt_at_its_first_addresses_only() -> None:
    names = {"seed.test": ["127.0.0.1"], "other.test": ["127.0.0.2"]}
    with serving({"/": [answer()]}) as server:
        seed = f"http://seed.test:{server.port}/"
        resolver = Resolver(reactor, ttl=0.0, getaddrinfo=fake_names(names))
        fetcher = Fetcher(reactor, FetchSettings(), user_agent="C", resolver=resolver, guard=Guard([seed]), idle_seconds=0.01)
        assert isinstance(await fetcher.fetch(seed), Fetched)
        other = await fetcher.fetch(f"http://other.test:{server.port}/")
        names["seed.test"] = ["127.0.0.3"]
        await pause(0.05)
        moved = await fetcher.fetch(seed)
        await fetcher.close()
    assert isinstance(other, FetchFailed)
    assert isinstance(moved, FetchFailed)
    assert (other.reason, moved.reason) == (Reason.ADDRESS, Reason.ADDRESS)
    assert server.requests[0].splitlines()[1] == f"Host: seed.test:{server.port}".encode()


async def test_the_next_address_is_tried() -> None:
    with serving({"/": [answer()]}) as server:
        seed = f"http://seed_under--score.test:{server.port}/"
        fetcher = make_fetcher(seed, names={"seed_under--score.test": ["127.0.0.9", "::1", "127.0.0.1"]})
        got = await fetcher.fetch(seed)
        await fetcher.close()
    assert isinstance(got, Fetched), got
    assert got.ip == "127.0.0.1"


async def test_an_ipv6_literal() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback")
    with serving({"/": [answer()]}, listen=lambda factory: reactor.listenTCP(0, factory, interface="::1")) as server:
        url = f"http://[::1]:{server.port}/"
        fetcher = make_fetcher(url)
        got = await fetcher.fetch(url)
        await fetcher.close()
    assert isinstance(got, Fetched)
    assert got.ip == "::1"
    assert server.requests[0].splitlines()[1] == f"Host: [::1]:{server.port}".encode()


# TLS


class Authority:
    """A certificate authority for one test, and servers with its certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        self.certificate = self._build(self.name, self.key, [x509.BasicConstraints(True, None)])

    def _build(self, subject: x509.Name, key: Any, extensions: list[Any], *, expired: bool = False) -> x509.Certificate:
        until = EARLY + datetime.timedelta(days=1 if expired else 36500)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(EARLY).not_valid_after(until)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def trust(self) -> Trust:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(X509.from_cryptography(self.certificate))
        return Trust(context)

    def server(self, *names: x509.GeneralName, expired: bool = False) -> Callable[[Any], Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        certificate = self._build(subject, key, [x509.SubjectAlternativeName(names)], expired=expired)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        options = ssl.ContextFactory()
        options.getContext = lambda: context
        return lambda factory: reactor.listenSSL(0, factory, options, interface="127.0.0.1")


def named(server: ScriptedServer, host: str = "named.test") -> str:
    return f"https://{host}:{server.port}/"


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
