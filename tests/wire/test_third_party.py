"""A third-party client and server agree with us: nginx, Apache httpd and http.server give our agent what they give http.client and curl."""

from __future__ import annotations

import contextlib
import http.client
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import lacking
from sites.nginx import nginx_program
from sites.third_party import HOST, KEPT_REQUESTS, Certificates, Server, apache_program
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import deferLater
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from crawler.config import FetchSettings
from crawler.fetch.agent import Agent, Limits
from crawler.fetch.client import ACCEPT_ENCODING, Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.fetch.tls import Trust
from crawler.model import Fetched

FILES = {
    "small.txt": b"small\n",
    "empty.bin": b"",
    "page.txt": b"a line of text, much like the others\n" * 5000,
    "large.bin": random.Random(1).randbytes(2**20),
}
PASSING = {"connection", "keep-alive", "date", "transfer-encoding", "content-length"}
"""Fields of the connection or the moment, and those that some clients do not show."""


class Site(NamedTuple):
    server: Server
    certificates: Certificates
    secure: bool

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.server.tls_port}" if self.secure else f"http://{HOST}:{self.server.port}"


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory() as folder:
        yield Certificates(Path(folder))


@pytest.fixture(scope="module", params=["nginx", "apache", "python 1.1", "python 1.0"])
def server(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Server]:
    if request.param == "nginx" and nginx_program() is None:
        lacking("nginx", "nginx-light")
    if request.param == "apache" and apache_program() is None:
        lacking("apache2", "apache2-bin")
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = Path(root) / "files"
        folder.mkdir()
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        running = Server(request.param, folder, Path(root) / "server", certificates)
        yield running
        running.stop()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def site(request: pytest.FixtureRequest, server: Server, certificates: Certificates) -> Site:
    return Site(server, certificates, request.param)


class Seen(NamedTuple):
    status: int
    fields: list[tuple[str, str]]
    body: bytes


def by_http_client(site: Site, method: str, path: str, fields: dict[str, str], body: Any = None) -> Seen:
    port = site.server.tls_port if site.secure else site.server.port
    client = http.client.HTTPConnection(HOST, port, timeout=10)
    client.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    if site.secure:
        client.sock = site.certificates.standard().wrap_socket(client.sock, server_hostname=HOST)
    with contextlib.closing(client):
        client.request(method, path, body, {"Accept-Encoding": "", **fields})
        response = client.getresponse()
        return Seen(response.status, lasting(response.getheaders()), response.read())


def by_curl(site: Site, path: str, fields: dict[str, str]) -> bytes:
    port = site.server.tls_port if site.secure else site.server.port
    named = [option for name, value in fields.items() for option in ("-H", f"{name}: {value}")]
    command = ["curl", "-s", "--http1.1", "--raw", "--cacert", str(site.certificates.authority), "--resolve", f"{HOST}:{port}:127.0.0.1"]
    return subprocess.run([*command, "--no-raw", *named, site.url + path], capture_output=True, timeout=10, check=True).stdout


def lasting(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in fields if name.lower() not in PASSING)


@contextlib.asynccontextmanager
async def an_agent(site: Site, **limits: Any) -> AsyncIterator[Agent]:
    agent = Agent(reactor, limits=Limits(**limits), **parts(site))
    try:
        yield agent
    finally:
        await agent.close()


def parts(site: Site) -> dict[str, Any]:
    resolver = Resolver(reactor, getaddrinfo=lambda *_: [(None, None, None, "", ("127.0.0.1", 0))])
    return {"resolver": resolver, "guard": Guard((), ["127.0.0.0/8"]), "trust": Trust(site.certificates.pyopenssl())}


async def by_agent(agent: Agent, site: Site, method: str, path: str, fields: dict[str, str], body: Any = None) -> Seen:
    headers = Headers({"Accept-Encoding": [""], **{name: [value] for name, value in fields.items()}})
    response: Any = await agent.request(method.encode(), (site.url + path).encode(), headers, body)
    seen = [(name.decode(), value.decode("latin-1")) for name, value in response.fields]
    return Seen(response.code, lasting(seen), await readBody(response))


REQUESTS: list[tuple[str, str, dict[str, str], int]] = [
    *(("GET", f"/{name}", {}, 200) for name in FILES),
    *(("HEAD", f"/{name}", {}, 200) for name in FILES),
    ("GET", "/page.txt", {"Accept-Encoding": "gzip"}, 200),  # compressed on the way, in chunks
    ("HEAD", "/page.txt", {"Accept-Encoding": "gzip"}, 200),
    ("GET", "/missing", {}, 404),
    ("HEAD", "/missing", {}, 404),
    ("GET", "/small.txt?query=%C3%BC&x=1", {}, 200),
    ("GET", "/large.bin", {"If-Modified-Since": "Tue, 01 Jan 2999 00:00:00 GMT"}, 0),
    ("GET", "/large.bin", {"Range": "bytes=10-19"}, 0),
    ("GET", "/moved", {}, 0),
    ("GET", "/nothing", {}, 0),
    ("DELETE", "/small.txt", {}, 0),
    ("OPTIONS", "/small.txt", {}, 0),
]
"""Method, path, fields and the status where all servers give the same."""


async def test_every_answer_is_what_http_client_and_curl_get(site: Site) -> None:
    async with an_agent(site) as agent:
        for method, path, fields, status in REQUESTS:
            expected = by_http_client(site, method, path, fields)
            for _ in range(2):
                assert await by_agent(agent, site, method, path, fields) == expected, (method, path, fields)
            assert status in (0, expected.status)
            if method == "GET" and expected.status == 200 and "Accept-Encoding" not in fields:
                assert expected.body == FILES[path.partition("?")[0][1:]]
            if method == "GET" and shutil.which("curl"):
                assert by_curl(site, path, {"Accept-Encoding": "", **fields}) == expected.body
        validators = dict(by_http_client(site, "GET", "/large.bin", {}).fields)
        if "etag" in validators:
            unchanged = await by_agent(agent, site, "GET", "/large.bin", {"If-None-Match": validators["etag"]})
            assert (unchanged.status, unchanged.body) == (304, b"")


@implementer(IBodyProducer)
class Pieces:
    """Writes `body` in pieces, with or without saying how long it is."""

    def __init__(self, body: bytes, length: Any) -> None:
        self.body, self.length = body, length

    def startProducing(self, consumer: Any) -> Deferred[None]:
        for start in range(0, len(self.body), 50_000):
            consumer.write(self.body[start : start + 50_000])
        return succeed(None)

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


async def test_what_is_posted_comes_back(site: Site) -> None:
    body = FILES["large.bin"][:300_001]
    expected = by_http_client(site, "POST", "/echo", {"Content-Type": "text/x-test"}, body)
    assert expected.body.startswith(b"taken POST 300001")
    async with an_agent(site) as agent:
        for _ in range(3):
            assert await by_agent(agent, site, "POST", "/echo", {"Content-Type": "text/x-test"}, Pieces(body, len(body))) == expected
        response = await HTTPClient(agent).post(site.url + "/echo", data=body)
        assert await response.content() == expected.body
        if not site.server.name.startswith("python"):  # which reads no chunks
            chunked = await by_agent(agent, site, "POST", "/echo", {"Content-Type": "text/x-test"}, Pieces(body, UNKNOWN_LENGTH))
            expected = by_http_client(site, "POST", "/echo", {"Content-Type": "text/x-test"}, iter([body[:1000], body[1000:]]))
            assert chunked == expected


async def logged(site: Site) -> int:
    """Return how many lines the server's log has, once nothing is under way."""
    await deferLater(reactor, 0.1, lambda: None)
    return len(site.server.lines(0))


def connections(site: Site, before: int, count: int) -> int:
    """Return over how many connections the last `count` requests came, of those that follow `before` lines of the log."""
    lines = site.server.lines(before + count)[before:]
    assert len(lines) == count
    return len({line[0] for line in lines})


async def test_two_hundred_requests_one_after_the_other(site: Site) -> None:
    before = await logged(site)
    async with an_agent(site, idle_seconds=0.5) as agent:
        for number in range(200):
            name = ("small.txt", "empty.bin", "page.txt")[number % 3]
            seen = await by_agent(agent, site, "GET", f"/{name}?{number}", {})
            assert (seen.status, seen.body) == (200, FILES[name])
    most = {"python 1.1": 1, "python 1.0": 200}.get(site.server.name, 200 // KEPT_REQUESTS)
    assert most - 1 <= connections(site, before, 200) <= most


async def test_two_hundred_requests_at_once_over_eight_connections(site: Site) -> None:
    async with an_agent(site, per_origin=8) as agent:
        names = [list(FILES)[number % 4] for number in range(200)]
        asked = [Deferred.fromCoroutine(by_agent(agent, site, "GET", f"/{name}", {})) for name in names]
        for name, seen in zip(names, await gatherResults(asked), strict=True):
            assert (seen.status, seen.body) == (200, FILES[name])


async def test_connections_that_the_server_closes_while_they_are_idle(site: Site) -> None:
    """The servers keep a connection for a second: some requests meet its end."""

    async def asked_again_after(seconds: float) -> None:
        async with an_agent(site) as agent:
            for wait in (seconds, 0):
                asked = [Deferred.fromCoroutine(by_agent(agent, site, "GET", "/small.txt", {})) for _ in range(3)]
                assert [seen.body for seen in await gatherResults(asked)] == [FILES["small.txt"]] * 3
                await deferLater(reactor, wait, lambda: None)

    await gatherResults([Deferred.fromCoroutine(asked_again_after(seconds)) for seconds in (0.995, 1.005, 1.1)])


async def test_the_same_through_the_fetcher(site: Site) -> None:
    fetcher = Fetcher(reactor, FetchSettings(), user_agent="Crawl/0", **parts(site))
    fields = {"Accept-Encoding": ACCEPT_ENCODING, "User-Agent": "Crawl/0"}
    before = await logged(site)
    paths = [*(f"/{name}" for name in FILES), "/missing", "/moved"]
    expected = {path: by_http_client(site, "GET", path, fields) for path in paths}
    for number in range(200):
        path = paths[number % len(paths)]
        got = await fetcher.fetch(site.url + path)
        assert isinstance(got, Fetched), got
        assert Seen(got.status, lasting(got.headers), got.body) == expected[path]
    await fetcher.close()
    used = connections(site, before, 200 + len(paths)) - len(paths)
    errors = sum(expected[paths[number % len(paths)]].status == 404 for number in range(200))  # after which http.server closes
    most = {"python 1.1": errors + 1, "python 1.0": 200}.get(site.server.name, 200 // KEPT_REQUESTS)
    assert most - 1 <= used <= most
