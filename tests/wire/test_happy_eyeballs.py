"""Addresses that race for a connection: a quarter of a second's start, one winner, nothing left of the others (RFC 8305)."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_server import answer, serving
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater

from crawler.fetch.connection import Connection
from crawler.fetch.dns import Addresses, NoAddress, Resolution
from crawler.fetch.endpoint import Connector, target_of
from crawler.fetch.failures import CannotConnect
from crawler.fetch.guard import Guard
from crawler.fetch.pool import Pool
from crawler.fetch.tls import Trust
from crawler.model import Reason


class FixedNames:
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def resolve(self, host: str) -> Deferred[Resolution]:
        assert host == "named.test"
        return succeed(Addresses(self.addresses) if self.addresses else NoAddress("none"))

    def close(self) -> Deferred[None]:
        return succeed(None)


class Trying:
    """A connector to ``named.test`` at `addresses` and what is seen of its work; the guard refuses those in `forbidden`."""

    def __init__(self, port: int, *addresses: str, timeout: float = 2.0, forbidden: tuple[str, ...] = (), scheme: str = "http") -> None:
        literals = [f"[{address}]" if ":" in address else address for address in addresses if address not in forbidden]
        guard = Guard([f"{scheme}://{literal}:{port}/" for literal in literals])
        self.pool = Pool(reactor, idle_limit=10)
        resolver = FixedNames(*addresses)
        self.connector = Connector(reactor, resolver=resolver, guard=guard, trust=Trust(), pool=self.pool, timeout=timeout)
        self.target = target_of(f"{scheme}://named.test:{port}/")
        self.stages: list[str] = []
        self.begun = reactor.seconds()

    def connect(self) -> Deferred[Connection]:
        return self.connector.connect(self.target, self.stages.append)

    @property
    def elapsed(self) -> float:
        return float(reactor.seconds() - self.begun)


@contextlib.contextmanager
def black_hole(address: str, port: int) -> Iterator[None]:
    """Let connections to `address` stay half open: a full backlog."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        deaf.bind((address, port))
        deaf.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(deaf.family))
            filler.setblocking(False)
            assert filler.connect_ex(deaf.getsockname()) in (0, errno.EINPROGRESS)
        yield


@pytest.fixture
def _ipv6_loopback() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback")


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


async def failure(trying: Trying) -> CannotConnect:
    with pytest.raises(CannotConnect) as error:
        await trying.connect()
    await trying.pool.close()
    return error.value


@pytest.mark.usefixtures("_ipv6_loopback")
async def test_a_black_hole_of_one_family_beside_a_good_address_of_the_other() -> None:
    with serving({"/": [answer()]}) as server, black_hole("::1", server.port):
        trying = Trying(server.port, "::1", "127.0.0.1")
        connection = await trying.connect()
        assert 0.24 < trying.elapsed < 0.5
        assert connection.ip == "127.0.0.1"
        assert trying.stages == ["dns", "connect"]
        await trying.pool.close()


async def test_two_black_holes_cost_half_a_second() -> None:
    with serving({"/": [answer()]}) as server, black_hole("127.0.0.2", server.port), black_hole("127.0.0.3", server.port):
        trying = Trying(server.port, "127.0.0.2", "127.0.0.3", "127.0.0.1")
        await trying.connect()
        assert 0.49 < trying.elapsed < 0.75
        await trying.pool.close()


@pytest.mark.usefixtures("_ipv6_loopback")
async def test_a_refusal_gives_the_next_its_turn_at_once() -> None:
    with serving({"/": [answer()]}) as server:
        trying = Trying(server.port, "::1", "127.0.0.9", "127.0.0.1")
        connection = await trying.connect()
        assert trying.elapsed < 0.2
        assert connection.ip == "127.0.0.1"
        await trying.pool.close()


async def test_a_quick_first_address_leaves_the_others_alone() -> None:
    with serving({"/": [answer()]}) as server, socket.socket() as other:
        other.bind(("127.0.0.2", server.port))
        other.listen()
        other.setblocking(False)
        trying = Trying(server.port, "127.0.0.1", "127.0.0.2")
        connection = await trying.connect()
        assert connection.ip == "127.0.0.1"
        await pause(0.4)
        with pytest.raises(BlockingIOError):
            other.accept()
        await trying.pool.close()


async def test_the_losers_are_closed_when_one_has_won() -> None:
    """The first address comes to life after the second has won: it sees a connection that is closed, or none."""
    readers, writers, calls = set(reactor.getReaders()), set(reactor.getWriters()), set(reactor.getDelayedCalls())
    with serving({"/": [answer()]}) as server, black_hole("127.0.0.2", server.port):
        trying = Trying(server.port, "127.0.0.2", "127.0.0.1")
        connection = await trying.connect()
        ours = [one for one in reactor.getWriters() if one not in writers]
        assert ours == []  # a socket on its way would be one
        assert set(reactor.getDelayedCalls()) - calls == set()
        await pause(0.3)
        assert len(server.conversations) == 1
        assert connection.usable
        await trying.pool.close()
    await pause(0.01)
    assert set(reactor.getReaders()) - readers == set()


async def test_all_of_them_are_bounded_by_one_limit() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with black_hole("127.0.0.2", port), black_hole("127.0.0.3", port), black_hole("127.0.0.4", port):
            trying = Trying(port, "127.0.0.2", "127.0.0.3", "127.0.0.4", timeout=0.6)
            problem = await failure(trying)
    assert 0.55 < trying.elapsed < 0.8
    assert (problem.reason, problem.detail) == (Reason.TIMEOUT, "connect: not finished within 0.6 s")


async def test_the_first_addresss_failure_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
        refused = await failure(Trying(port, "127.0.0.3", "127.0.0.4"))
        with black_hole("127.0.0.4", port):
            late = Trying(port, "127.0.0.3", "127.0.0.4", timeout=0.5)
            first_refused = await failure(late)
            assert 0.45 < late.elapsed < 0.7
            first_silent = await failure(Trying(port, "127.0.0.4", "127.0.0.3", timeout=0.5))
    assert (refused.reason, refused.detail) == (Reason.CONNECT, "connection refused")
    assert (first_refused.reason, first_refused.detail) == (Reason.CONNECT, "connection refused")
    assert first_silent.reason is Reason.TIMEOUT


async def test_tls_is_the_winners_alone() -> None:
    """Who takes the TCP connection has won: another address does not get the visit of a server that cannot be trusted."""
    with serving({"/": [answer()]}, greeting=["close"]) as server, socket.socket() as other:
        other.bind(("127.0.0.2", server.port))
        other.listen()
        other.setblocking(False)
        trying = Trying(server.port, "127.0.0.9", "127.0.0.1", "127.0.0.2", scheme="https")
        problem = await failure(trying)
        assert len(server.conversations) == 1
        with pytest.raises(BlockingIOError):
            other.accept()
    assert problem.reason is Reason.TLS_HANDSHAKE
    assert trying.stages == ["dns", "connect", "tls"]


async def test_at_most_four_addresses_are_tried() -> None:
    with serving({"/": [answer()]}) as server:
        wrong = [f"127.0.0.{number}" for number in range(11, 15)]
        problem = await failure(Trying(server.port, *wrong, "127.0.0.1"))
        assert server.conversations == []
        trying = Trying(server.port, *wrong[:3], "127.0.0.1")
        await trying.connect()
        await trying.pool.close()
    assert problem.reason is Reason.CONNECT


async def test_the_guard_judges_each_address() -> None:
    with serving({"/": [answer()]}) as server, socket.socket() as other:
        other.bind(("127.0.0.2", server.port))
        other.listen()
        other.setblocking(False)
        trying = Trying(server.port, "127.0.0.2", "127.0.0.1", forbidden=("127.0.0.2",))
        connection = await trying.connect()
        assert connection.ip == "127.0.0.1"
        with pytest.raises(BlockingIOError):
            other.accept()
        await trying.pool.close()
        problem = await failure(Trying(server.port, "127.0.0.2", "127.0.0.1", forbidden=("127.0.0.2", "127.0.0.1")))
    assert problem.reason is Reason.ADDRESS


@pytest.mark.parametrize("after", [0.05, 0.35], ids=["one under way", "two under way"])
async def test_cancelling_closes_all_that_are_under_way(after: float) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with black_hole("127.0.0.2", port), black_hole("127.0.0.3", port):
            writers, calls = set(reactor.getWriters()), set(reactor.getDelayedCalls())
            trying = Trying(port, "127.0.0.2", "127.0.0.3", "127.0.0.4")
            connecting: Deferred[Any] = trying.connect()
            await pause(after)
            assert set(reactor.getWriters()) - writers
            connecting.cancel()
            with pytest.raises(CancelledError):
                await connecting
            assert set(reactor.getWriters()) - writers == set()
            assert set(reactor.getDelayedCalls()) - calls == set()
            await trying.pool.close()
