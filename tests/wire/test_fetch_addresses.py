"""Names and addresses: what is resolved, what is forbidden, which address is tried next."""

from __future__ import annotations

import socket
import threading

import pytest
from fetching import fake_names, make_fetcher, pause
from scripted_server import answer, serving
from twisted.internet import reactor

from crawler.config import FetchSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.model import Fetched, FetchFailed, Reason

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
