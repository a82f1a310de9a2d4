"""The guard matrix: each way of writing an address that is not public, at each entrance through which a page can offer it.

Nobody may connect to the trap, a port on 127.0.0.1 and ::1. Every connection that is tried is noted, too, and those that would leave
the machine are turned to 127.0.0.1: so the trap also stands for addresses that nobody could reach from here. The columns:

- ``seed``: another *port* of the same host was given as a seed, which exempts that port and not the trap's.
- ``link``, ``redirect``, ``refresh``, ``header`` (Refresh), ``canonical``, ``base``: what a page says.
- ``robots``: where a robots.txt redirects to. ``sitemap``: what a robots.txt names. ``entry``: what a sitemap lists.
- ``batch``: where a URL of a list redirects to.

Everything runs twice: with robots.txt, which is asked for first and then judged in a page's stead, and without. The control runs the
same with the addresses allowed: there each cell shows its connection, so each cell can fail. `pytest -s` prints the matrix.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec import Struct
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from crawler import url as urls
from crawler.batch import Batch
from crawler.build import build_crawl
from crawler.config import FetchSettings, Settings, load
from crawler.errors import UsageError
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.job import make_job
from crawler.model import FetchFailed, Reason, Record
from crawler.store.home import open_home


def loopback() -> tuple[str, ...]:
    """Return this machine's own addresses: some have no IPv6."""
    with socket.socket(socket.AF_INET6) as probe, contextlib.suppress(OSError):
        probe.bind(("::1", 0))
        return ("127.0.0.1", "::1")
    return ("127.0.0.1",)


LOOPBACK = loopback()
PUBLIC = "93.184.216.34"
NAMES: dict[str, list[str]] = {
    "localhost": ["127.0.0.1", "::1"],
    "a.localhost": ["127.0.0.1"],
    "loop.test": ["127.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "intranet.test": ["10.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    "scoped.test": ["fe80::1%lo"],
}
REBINDING = "rebinding.test"
"""Resolves to a public address the first time, to a private one from then on."""


def words(text: str) -> list[str]:
    return text.split()


SPELLINGS = words("""
127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7F.1 0177.0.0.1 0x7f.0.0.0x1 00000177.0.0.01 127.255.255.254
127.0.0.0x ①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1 127．0．0．1 ０ｘ７ｆ.1 %31%32%37.0.0.1 127%2e0%2e0%2e1 %EF%BC%91%EF%BC%92%EF%BC%97.0.0.1
user:secret@127.0.0.1 public.test@127.0.0.1 public.test:80@127.0.0.1 127.0.0.1@127.0.0.1 0 0.0.0.0 0x0 00.00.00.00
10.0.0.1 0xa.1 172.16.0.1 192.168.1.1 3232235777 100.64.0.1 224.0.0.1 255.255.255.255 4294967295
169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 169.16689662 ①⑥⑨.②⑤④.①⑥⑨.②⑤④ 100.100.100.200 168.63.129.16
[::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:FFFF:7F00:0001] [::127.0.0.1] [::7f00:1]
[::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:1::1]
[2606:4700::5efe:127.0.0.1] [2606:4700::200:5efe:7f00:1] [fe80::5efe:127.0.0.1] [2001:0:4136:e378:8000:63bf:80ff:fffe]
[::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::] [::169.254.169.254] [fd00:ec2::254]
[::ffff:10.0.0.1] [fe80::1] [fc00::1] [fec0::1] [ff02::1] [2001:db8::1]
localhost LOCALHOST localhost. LocalHost. ⓛocalhost lo%63alhost a.localhost loop.test LOOP.test. six.test mapped.test nat64.test
intranet.test metadata.test 127.0.0.1.nip.test scoped.test rebinding.test
""")
NONSENSE = words("""
127.0.0.1.1 4294967296 0x100000000 256.1 0x7g.1 127..1 [::1%25lo] [::1 [::ffff:127.0.0.256] 127.0.0.1%00 127.0.0.1%2f
""")
"""No hosts at all: these never get in."""

FOREIGN = words("""
file:///etc/passwd FILE://127.0.0.1:TRAP/ ftp://127.0.0.1:TRAP/ gopher://127.0.0.1:TRAP/_x ws://127.0.0.1:TRAP/ wss://127.0.0.1:TRAP/
data:text/html,x javascript:location='http://127.0.0.1:TRAP/' view-source:http://127.0.0.1:TRAP/ feed:http://127.0.0.1:TRAP/
jar:http://127.0.0.1:TRAP/!/x blob:http://127.0.0.1:TRAP/1 about:blank mailto:a@127.0.0.1 unix:/run/x httpx://127.0.0.1:TRAP/
""")
"""URLs that are not http or https: nor do these."""

ALL = [*SPELLINGS, *NONSENSE, *FOREIGN]
PAGES = ["link", "redirect", "refresh", "header", "canonical", "base", "entry"]
ENTRANCES = ["seed", *PAGES, "sitemap", "robots", "batch"]
ALLOWED = ["0.0.0.0/0", "::/0"]


class Net:
    """The reactor; it notes each connection that is tried, and lets none leave the machine. At the public address nobody listens."""

    def __init__(self, closed: int) -> None:
        self.tried: list[tuple[str, int]] = []
        self._closed = closed

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def connectTCP(self, host: str, port: int, *arguments: Any, **options: Any) -> Any:
        self.tried.append((host, port))
        address = ipaddress.ip_address(host.partition("%")[0])
        own = str(getattr(address, "ipv4_mapped", None) or address) in ("127.0.0.1", "0.0.0.0", "::1", "::")
        if own and (":" not in host or len(LOOPBACK) > 1):
            return reactor.connectTCP(host, port, *arguments, **options)
        return reactor.connectTCP("127.0.0.1", self._closed if host == PUBLIC else port, *arguments, **options)


def names(net: Net) -> Resolver:
    """Resolve the test's names; numbers as the system reads them, should one get that far; nothing is remembered."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        if host == REBINDING:
            asked.append(host)
            return [(None, None, None, "", (PUBLIC if len(asked) == 1 else "127.0.0.1", 0))]
        if host.startswith("robots-"):
            return [(None, None, None, "", ("127.0.0.1", 0))]
        if host in NAMES:
            return [(None, None, None, "", (address, 0)) for address in NAMES[host]]
        return socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)

    return Resolver(net, getaddrinfo=getaddrinfo, ttl=0.0, negative_ttl=0.0)


class Ports(Struct):
    """Where everything is: the pages, the seeds' other port, the trap, and nothing."""

    pages: int
    other: int
    trap: int
    closed: int

    def offered(self, entrance: str, number: int, spelling: str) -> str:
        """Return what a page offers as a URL."""
        if spelling in FOREIGN:
            return spelling.replace("TRAP", str(self.trap))
        return f"http://{spelling}:{self.trap}/{entrance}/{number}"


class Pages(Resource):
    """What leads to the trap."""

    isLeaf = True

    def __init__(self, ports: Ports) -> None:
        super().__init__()
        self._ports = ports

    def render_GET(self, request: Request) -> bytes:
        path = request.path.decode()
        host = (request.getHeader("host") or "").partition(":")[0]
        request.setHeader("content-type", "text/html; charset=utf-8")
        if path == "/robots.txt":
            return self._robots(request, host)
        if path == "/map.xml":
            request.setHeader("content-type", "application/xml")
            entries = "".join(f"<url><loc>{offer}</loc></url>" for offer in self._offers("entry"))
            return f'<?xml version="1.0" encoding="utf-8"?><urlset>{entries}</urlset>'.encode()
        if path == "/":
            return self._index() if not host.startswith("robots-") else b"<title>Guarded</title>"
        _, entrance, number = path.split("/")
        return self._page(request, entrance, self._ports.offered(entrance, int(number), ALL[int(number)]))

    def _offers(self, entrance: str) -> Iterator[str]:
        for number, spelling in enumerate(ALL):
            yield self._ports.offered(entrance, number, spelling)

    def _robots(self, request: Request, host: str) -> bytes:
        request.setHeader("content-type", "text/plain")
        if host.startswith("robots-"):
            number = int(host.removeprefix("robots-").removesuffix(".test"))
            return self._page(request, "redirect", self._ports.offered("robots", number, ALL[number]))
        named = "".join(f"Sitemap: {offer}\n" for offer in self._offers("sitemap"))
        return f"User-agent: *\nAllow: /\nSitemap: http://127.0.0.1:{self._ports.pages}/map.xml\n{named}".encode()

    def _index(self) -> bytes:
        own = [f"/{entrance}/{number}" for entrance in PAGES[1:-1] for number in range(len(ALL))]
        links = [*own, *self._offers("link"), *self._offers("seed")]
        return "".join(f'<a href="{link}">{number}</a>' for number, link in enumerate(links)).encode()

    @staticmethod
    def _page(request: Request, entrance: str, offer: str) -> bytes:
        if entrance in ("redirect", "batch"):
            request.setResponseCode(302)
            request.responseHeaders.setRawHeaders(b"Location", [offer.encode()])
            return b""
        if entrance == "header":
            request.responseHeaders.setRawHeaders(b"Refresh", [f"0; url={offer}".encode()])
        said = {
            "refresh": f'<meta http-equiv="refresh" content="0; url={offer}">',
            "canonical": f'<link rel="canonical" href="{offer}">',
            "base": f'<base href="{offer}/"><a href="../{offer.rpartition("/")[2]}">x</a>',
        }
        return f"<!doctype html><title>t</title>{said.get(entrance, '')}".encode()


class Trap(Resource):
    """Answers whoever comes; `paths` are what was asked for."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.paths: set[str] = set()

    def render_GET(self, request: Request) -> bytes:
        self.paths.add(request.path.decode())
        if request.path == b"/robots.txt":
            request.setResponseCode(404)
        return b""


class Seen(Struct):
    """What one run came to."""

    ports: Ports
    records: dict[str, Record]
    batch: list[tuple[str, str | None]]  # outcome and reason, by spelling
    tried: list[tuple[str, int]]
    connections: int  # of the trap
    paths: set[str]  # asked of the trap

    def __repr__(self) -> str:
        return f"Seen({len(self.records)} records, {self.connections} connections)"


@contextlib.contextmanager
def listening(resource: Resource, *, port: int = 0, addresses: tuple[str, ...] = LOOPBACK) -> Iterator[tuple[int, list[Any]]]:
    """Serve at the same port of some addresses; yield the port and the list of connections that came."""
    site = Site(resource)
    site.displayTracebacks = False
    came: list[Any] = []
    build = site.buildProtocol

    def counted(address: Any) -> Any:
        came.append(build(address))
        return came[-1]

    site.buildProtocol = counted
    with contextlib.ExitStack() as stack:
        for address in addresses:
            opened = reactor.listenTCP(port, site, interface=address)
            port = opened.getHost().port
            stack.callback(opened.stopListening)
        yield port, came
        for channel in came:
            if channel._channel.transport is not None:
                channel._channel.transport.abortConnection()


def settings(*, robots: bool, allowed: bool) -> Settings:
    return load(
        flags={
            "parse.workers": 1,
            "politeness.delay": 0,
            "politeness.per_host": 8,
            "politeness.robots": robots,
            "store.commit_interval": 0.01,
            "fetch.retry_delay": 0.001,
            "fetch.retries": 1,
            "fetch.timeout": 5.0,
            "scope.scope": "any",
            "fetch.allow_addresses": ALLOWED if allowed else [],
        }
    ).settings


async def run(folder: Path, *, robots: bool, allowed: bool) -> Seen:
    """Crawl everything, then fetch the list of the batch."""
    trap = Trap()
    ports = Ports(0, 0, 0, closed_port())
    net = Net(ports.closed)
    with contextlib.ExitStack() as stack:
        ports.pages, _ = stack.enter_context(listening(Pages(ports), addresses=("127.0.0.1",)))
        ports.other, _ = stack.enter_context(listening(Trap()))
        ports.trap, came = stack.enter_context(listening(trap))
        seeds = [f"http://127.0.0.1:{ports.pages}/"]
        seeds += [f"http://robots-{number}.test:{ports.pages}/" for number in range(len(ALL)) if robots]
        seeds += [f"http://{spelling}:{ports.other}/{number}" for number, spelling in enumerate(SPELLINGS)]
        chosen = settings(robots=robots, allowed=allowed)
        job = make_job(seeds, chosen)
        home = open_home(folder)
        home.adopt(job)
        home.open_files([], overwrite=False)
        await build_crawl(net, job, home, resolver=names(net)).run().addTimeout(60, reactor)
        pages = await batch(net, chosen, [f"http://127.0.0.1:{ports.pages}/batch/{number}" for number in range(len(ALL))])
        return Seen(ports, read(folder), pages, net.tried, len(came), trap.paths)


async def batch(net: Net, chosen: Settings, listed: list[str]) -> list[tuple[str, str | None]]:
    fetching = Batch(net, chosen, resolver=names(net))
    pages = await gatherResults([fetching.page(url) for url in listed]).addTimeout(60, reactor)
    await fetching.close()
    return [(page.outcome, page.reason) for page in pages]


def read(folder: Path) -> dict[str, Record]:
    home = open_home(folder)
    try:
        records = list(home.read_records())
    finally:
        home.close()
    assert len({record.url for record in records}) == len(records), "a URL has two records"
    return {record.url: record for record in records}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest_twisted.async_fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    folder = tmp_path_factory.mktemp("guarded")
    return [await run(folder / f"{robots}", robots=robots, allowed=False) for robots in (True, False)]


@pytest_twisted.async_fixture(scope="module")
async def control(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    folder = tmp_path_factory.mktemp("control")
    return [await run(folder / f"{robots}", robots=robots, allowed=True) for robots in (True, False)]


def end_of(seen: Seen, entrance: str, number: int) -> str:
    """Return what became of a cell: its record's outcome and reason, or ``not admitted``."""
    if entrance == "batch":
        outcome, reason = seen.batch[number]
        return f"{outcome}/{reason}"
    if entrance == "robots":
        record = seen.records.get(f"http://robots-{number}.test:{seen.ports.pages}/")
    else:
        record = seen.records.get(urls.canonicalise(seen.ports.offered(entrance, number, ALL[number])) or "")
    return "not admitted" if record is None else f"{record.outcome}/{record.reason}" if record.reason else record.outcome


def expected(entrance: str, spelling: str) -> str:
    """Nothing but a refusal that names the address; what is no URL of ours leads nowhere."""
    if spelling not in SPELLINGS:
        return {"robots": "fetched", "batch": "failed/redirect"}.get(entrance, "not admitted")
    return "denied/robots_unreachable" if entrance == "robots" else "denied/address"


def runs(seen: list[Seen], entrance: str) -> list[Seen]:
    """Return the runs that had such an entrance: what robots.txt leads to was offered in the first alone."""
    return seen[:1] if entrance in ("robots", "sitemap", "entry") else seen


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("spelling", ALL)
def test_no_way_leads_to_an_address_that_is_not_public(guarded: list[Seen], entrance: str, spelling: str) -> None:
    ends = [end_of(seen, entrance, ALL.index(spelling)) for seen in runs(guarded, entrance)]
    assert set(ends) == {expected(entrance, spelling)}


def test_nobody_came_and_no_connection_was_tried(guarded: list[Seen]) -> None:
    print_matrix(guarded[0])
    for seen in guarded:
        assert (seen.connections, seen.paths) == (0, set())
        assert {address for address, port in seen.tried if port == seen.ports.trap} <= {PUBLIC}
        assert {port for _, port in seen.tried} <= {seen.ports.pages, seen.ports.other, seen.ports.trap}
        assert {url.partition(":")[0] for url in seen.records} == {"http"}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_control_shows_each_connection(control: list[Seen], entrance: str) -> None:
    """With the addresses allowed each cell comes to the trap, so that the tests above can fail."""
    for seen in runs(control, entrance):
        assert [spelling for number, spelling in enumerate(SPELLINGS) if f"/{entrance}/{number}" not in seen.paths] == []
        assert {url.partition(":")[0] for url in seen.records} == {"http"}


async def test_of_mixed_addresses_only_the_public_are_tried() -> None:
    trap, net = Trap(), Net(closed_port())
    resolver = Resolver(net, getaddrinfo=lambda *_: [(None, None, None, "", (address, 0)) for address in ("127.0.0.1", PUBLIC, "::1")])
    fetcher = Fetcher(net, FetchSettings(), user_agent="Crawl/0", resolver=resolver, guard=Guard([]))
    with listening(trap) as (port, came):
        got = await fetcher.fetch(f"http://mixed.test:{port}/")
        await fetcher.close()
    assert isinstance(got, FetchFailed)
    assert (got.reason, net.tried, came) == (Reason.CONNECT, [(PUBLIC, port)], [])


@pytest.mark.parametrize("url", FOREIGN)
def test_other_schemes_are_no_seeds(url: str) -> None:
    with pytest.raises(UsageError):
        make_job([url.replace("TRAP", "8000")], Settings())


def print_matrix(seen: Seen) -> None:
    width = max(map(len, ALL))
    print("\n" + " ".join(["".ljust(width), *(entrance.ljust(9) for entrance in ENTRANCES)]))
    for number, spelling in enumerate(ALL):
        ends = [end_of(seen, entrance, number).replace("not admitted", "-").rpartition("/")[2] for entrance in ENTRANCES]
        print(" ".join([spelling.ljust(width), *(end[:9].ljust(9) for end in ends)]))
    print(f"{seen.connections} connections to the trap")
