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
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from guarded_web import ALL, ENTRANCES, FOREIGN, LOOPBACK, PUBLIC, SPELLINGS, Net, Pages, Ports, Trap, names
from msgspec import Struct
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
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

ALLOWED = ["0.0.0.0/0", "::/0"]


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
