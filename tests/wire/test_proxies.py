"""Fetching through proxies: real ones from Debian's packages, and scripted ones that misbehave."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Authority
from conftest import lacking
from scripted_server import ScriptedServer, answer, serving
from sites.proxies import PACKAGES, RealProxy, program
from through_proxies import fetch_once, make_fetcher
from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory

from crawler.fetch.tls import Trust
from crawler.model import Fetched, FetchFailed, Reason

SCHEMES = {"tinyproxy": "http", "squid": "http", "microsocks": "socks5", "danted": "socks5"}
EXTRA = {"danted": "socksmethod: none"}

Start = Callable[..., str]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a real proxy and returns its address."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *options: str, extra: str | None = None) -> str:
            if program(name) is None:
                lacking(name, PACKAGES[name])
            running = RealProxy(name, tmp_path / name, options=options, extra=EXTRA.get(name, "") if extra is None else extra)
            stack.callback(running.stop)
            return running.address

        yield start


@contextlib.contextmanager
def origin(*, secure: bool = False, host: str = "127.0.0.1") -> Iterator[tuple[ScriptedServer, str, Trust | None]]:
    """Serve "hello"; give the server, its URL with `host`, and what trusts it."""
    authority = Authority() if secure else None
    with serving({"/": [answer()]}, listen=authority.server(host) if authority else None) as server:
        yield server, f"{'https' if secure else 'http'}://{host}:{server.port}/", authority.trust() if authority else None


@contextlib.contextmanager
def also_on_ipv6(port: int) -> Iterator[None]:
    """Let ``[::1]:port`` lead to ``127.0.0.1:port``, if that is what "localhost" may be taken for."""
    if "::1" not in {found[4][0] for found in socket.getaddrinfo("localhost", port)}:
        yield
        return
    factory = ProxyFactory("127.0.0.1", port)
    factory.noisy = False
    listening = reactor.listenTCP(port, factory, interface="::1")
    try:
        yield
    finally:
        listening.stopListening()


@contextlib.contextmanager
def hosts_file(name: str) -> Iterator[Path]:
    """Write a hosts file that a squid can read: it gives up root's rights first, and pytest's folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        hosts = Path(folder, "hosts")
        hosts.write_text(f"127.0.0.1 {name}\n", encoding="utf-8")
        hosts.chmod(0o644)
        yield hosts


# Real proxies


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", SCHEMES)
async def test_a_real_proxy(proxy: Start, name: str, secure: bool) -> None:
    with origin(secure=secure) as (server, url, trust):
        fetcher = make_fetcher(f"{SCHEMES[name]}://{proxy(name)}", url, trust=trust)
        for _ in range(3):
            got = await fetcher.fetch(url)
            assert isinstance(got, Fetched), got
            assert (got.status, got.body, got.ip) == (200, b"hello", None)
        await fetcher.close()
    assert len(server.requests) == 3
    assert {request.splitlines()[0] for request in server.requests} <= {b"GET / HTTP/1.1", b"GET / HTTP/1.0"}
    if secure or SCHEMES[name] == "socks5":
        assert len(server.conversations) == 1  # the tunnel is kept and used again


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", SCHEMES)
async def test_names_are_resolved_at_the_proxy(proxy: Start, name: str, secure: bool) -> None:
    with origin(secure=secure, host="localhost") as (server, url, trust), also_on_ipv6(server.port):
        got = await fetch_once(make_fetcher(f"{SCHEMES[name]}://{proxy(name)}", url, trust=trust), url)
    assert isinstance(got, Fetched), got
    assert (got.body, got.ip) == (b"hello", None)
    assert f"host: localhost:{server.port}".encode() in server.requests[0].lower().splitlines()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_name_that_only_the_proxy_knows(proxy: Start, secure: bool) -> None:
    with hosts_file("known_to--squid.test") as hosts, origin(secure=secure, host="known_to--squid.test") as (_, url, trust):
        got = await fetch_once(make_fetcher(f"http://{proxy('squid', extra=f'hosts_file {hosts}')}", trust=trust), url)
    assert isinstance(got, Fetched), got
    assert got.body == b"hello"


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("user", "word", "refusal"),
    [("ann@", "w0rd", None), ("ann@", "wrong", "401 Unauthorized"), ("", "", "407 Proxy Authentication Required")],
)
async def test_credentials_for_tinyproxy(proxy: Start, secure: bool, user: str, word: str, refusal: str | None) -> None:
    address = proxy("tinyproxy", extra="BasicAuth ann w0rd")
    with origin(secure=secure) as (server, url, trust):
        got = await fetch_once(make_fetcher(f"http://{user}{address}", url, trust=trust, word=word), url)
    assert not any(b"proxy-authorization" in request.lower() for request in server.requests)
    if refusal is None:
        assert isinstance(got, Fetched), got
        assert got.body == b"hello"
    elif secure:
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.detail, got.ip) == (Reason.CONNECT, f"proxy: {refusal}", None)
    else:
        assert isinstance(got, Fetched)
        assert (f"{got.status} ", got.ip) == (refusal[:4], None)
    assert len(server.requests) == (refusal is None)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("user", "word", "detail"),
    [
        ("ann@", "wörd", None),
        ("ann@", "wrong", "user or password refused"),
        ("", "", "the proxy wants a user and a password, or another way to authenticate"),
    ],
)
async def test_credentials_for_microsocks(proxy: Start, secure: bool, user: str, word: str, detail: str | None) -> None:
    address = proxy("microsocks", "-u", "ann", "-P", "wörd")
    with origin(secure=secure) as (server, url, trust):
        got = await fetch_once(make_fetcher(f"socks5://{user}{address}", url, trust=trust, word=word), url)
    if detail is None:
        assert isinstance(got, Fetched), got
        assert got.body == b"hello"
    else:
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.detail) == (Reason.CONNECT, f"proxy (socks5): {detail}")
        assert server.conversations == []


async def test_a_user_that_dante_does_not_know(proxy: Start) -> None:
    address = proxy("danted", extra="socksmethod: username")
    with origin() as (server, url, _):
        got = await fetch_once(make_fetcher(f"socks5://nobody-of-that-name@{address}", url), url)
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail) == (Reason.CONNECT, "proxy (socks5): user or password refused")
    assert server.conversations == []


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("tinyproxy", "proxy: 500 Unable to connect"),
        ("squid", "proxy: 503 Service Unavailable"),
        ("microsocks", "proxy (socks5): connection refused"),
        ("danted", "proxy (socks5): connection refused"),
    ],
)
async def test_a_server_that_is_down_behind_a_real_proxy(proxy: Start, name: str, detail: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{closed.getsockname()[1]}/"
        got = await fetch_once(make_fetcher(f"{SCHEMES[name]}://{proxy(name)}", url), url)
    assert isinstance(got, FetchFailed)
    assert (got.reason, got.detail, got.ip) == (Reason.CONNECT, detail, None)


@pytest.mark.parametrize("name", ["tinyproxy", "microsocks"])
async def test_the_server_is_verified_through_a_proxy_as_without(proxy: Start, name: str) -> None:
    authority = Authority()
    with serving({"/": [answer()]}, listen=authority.server("other.test")) as server:
        url = f"https://127.0.0.1:{server.port}/"
        got = await fetch_once(make_fetcher(f"{SCHEMES[name]}://{proxy(name)}", url, trust=authority.trust()), url)
        assert server.requests == []
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS_NAME


# Not through the proxy


async def test_direct_hosts_are_reached_without_the_proxy() -> None:
    with serving({}) as bystander, origin() as (_, url, _), origin(secure=True) as (_, tls_url, trust):
        fetcher = make_fetcher(f"http://127.0.0.1:{bystander.port}", url, tls_url, trust=trust, no_proxy=["127.0.0.0/8"])
        for one in (url, tls_url):
            got = await fetcher.fetch(one)
            assert isinstance(got, Fetched), got
            assert got.ip == "127.0.0.1"
        await fetcher.close()
    assert bystander.conversations == []


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "https://169.254.169.254/",
        "http://[::ffff:7f00:1]/",
        "https://127.0.0.1:8443/",
        "http://localhost/",
        "http://a.localhost/",
        "http://named.test:25/",
    ],
)
async def test_what_can_be_judged_without_an_address_is_judged_before_the_proxy_is_asked(kind: str, url: str) -> None:
    with serving({}) as bystander:
        got = await fetch_once(make_fetcher(f"{kind}://127.0.0.1:{bystander.port}", "http://named.test/"), url)
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.ADDRESS
    assert bystander.conversations == []


async def test_a_plain_request_is_asked_for_by_its_whole_url() -> None:
    """RFC 9112 section 3.2.2; the connection is kept for the same origin."""
    with serving({"http://named.test/": [answer(b"a")], "http://named.test:81/x?y": [answer(b"b")]}) as server:
        fetcher = make_fetcher(f"http://ann@127.0.0.1:{server.port}")
        for url, body in (("http://named.test/", b"a"), ("http://named.test:81/x?y", b"b"), ("http://named.test/", b"a")):
            got = await fetcher.fetch(url)
            assert isinstance(got, Fetched), got
            assert (got.body, got.ip) == (body, None)
        await fetcher.close()
    assert [len(one.requests) for one in server.conversations] == [2, 1]
    lines = server.requests[0].splitlines()
    assert lines[0] == b"GET http://named.test/ HTTP/1.1"
    assert b"Host: named.test" in lines
    assert b"Proxy-Authorization: Basic YW5uOnfDtnJk" in lines
