"""The resolver with an injected getaddrinfo and an injected clock; its threads are real."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crawler.fetch.dns import MAX_ADDRESSES, Addresses, NoAddress, Resolution, Resolver, interleave, look_up


class ThreadedClock(Clock):
    """A clock whose callFromThread calls wait until the test lets them through."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: list[tuple[Any, ...]] = []

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        self.from_threads.append((function, *args))

    def run_until(self, condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < give_up
            while self.from_threads:
                function, *args = self.from_threads.pop(0)
                function(*args)
            time.sleep(0.001)


class Names:
    """A getaddrinfo that counts; `hold` keeps every look-up waiting."""

    def __init__(self, **names: Any) -> None:
        self.names: dict[str, Any] = {name.replace("_", "."): value for name, value in names.items()}
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, host: str, *_: Any) -> list[Any]:
        self.asked.append(host)
        assert self.gate.wait(5)
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        return [(None, None, None, "", (address, 0)) for address in found]


@pytest.fixture
def clock() -> ThreadedClock:
    return ThreadedClock()


@pytest.fixture
def make(clock: ThreadedClock) -> Iterator[Callable[..., Resolver]]:
    made: list[tuple[Resolver, Names]] = []

    def build(names: Names, **options: Any) -> Resolver:
        resolver = Resolver(clock, getaddrinfo=names, **options)
        made.append((resolver, names))
        return resolver

    yield build
    for resolver, names in made:
        names.gate.set()
        ended = resolver.close()
        clock.run_until(lambda ended=ended: ended.called)


def result(clock: ThreadedClock, waiting: Deferred[Resolution]) -> Resolution:
    clock.run_until(lambda: waiting.called)
    got: list[Resolution] = []
    waiting.addCallback(got.append)
    return got[0]


Make = Callable[..., Resolver]


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("[2606:4700::1111]", "2606:4700::1111")])
def test_literals_need_no_thread(clock: ThreadedClock, make: Make, host: str, address: str) -> None:
    names = Names()
    waiting = make(names).resolve(host)
    assert waiting.called
    assert result(clock, waiting) == Addresses((address,))
    assert names.asked == []
    assert clock.getDelayedCalls() == []


def test_one_look_up_however_many_ask(clock: ThreadedClock, make: Make) -> None:
    names = Names(a_test=["192.0.2.1"])
    names.gate.clear()
    resolver = make(names)
    waiting = [resolver.resolve("a.test") for _ in range(50)]
    names.gate.set()
    assert [result(clock, one) for one in waiting] == [Addresses(("192.0.2.1",))] * 50
    assert names.asked == ["a.test"]
    assert clock.getDelayedCalls() == []


def test_answers_are_remembered_for_their_time(clock: ThreadedClock, make: Make) -> None:
    names = Names(a_test=["192.0.2.1"], gone_test=socket.gaierror(socket.EAI_NONAME, "no such name"))
    resolver = make(names, ttl=100.0, negative_ttl=10.0)
    for host in ("a.test", "gone.test"):
        result(clock, resolver.resolve(host))
    clock.advance(9)
    assert resolver.resolve("a.test").called
    assert resolver.resolve("gone.test").called
    clock.advance(2)
    assert resolver.known("gone.test") is None
    assert resolver.known("a.test") == Addresses(("192.0.2.1",))
    clock.advance(100)
    names.names["a.test"] = ["192.0.2.2"]
    assert result(clock, resolver.resolve("a.test")) == Addresses(("192.0.2.2",))
    assert names.asked == ["a.test", "gone.test", "a.test"]


def test_temporary_failures_are_soon_forgotten(clock: ThreadedClock, make: Make) -> None:
    names = Names(a_test=socket.gaierror(socket.EAI_AGAIN, "try again"))
    resolver = make(names, negative_ttl=1000.0)
    first = result(clock, resolver.resolve("a.test"))
    assert isinstance(first, NoAddress)
    assert resolver.known("a.test") == first
    clock.advance(3)
    names.names["a.test"] = ["192.0.2.1"]
    assert result(clock, resolver.resolve("a.test")) == Addresses(("192.0.2.1",))


def test_memory_is_bounded_and_keeps_what_is_used(clock: ThreadedClock, make: Make) -> None:
    names = Names(**{f"n{i}_test": [f"192.0.2.{i}"] for i in range(5)})
    resolver = make(names, capacity=3)
    for i in (0, 1, 2, 0, 3):
        result(clock, resolver.resolve(f"n{i}.test"))
    assert [resolver.known(f"n{i}.test") is not None for i in range(4)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "a.test: Name or service not known"),
        (UnicodeError("label too long"), "a.test: not a valid host name"),
        (OSError(24, "Too many open files"), "a.test: OSError: [Errno 24] Too many open files"),
        (MemoryError(), "a.test: MemoryError"),
        (TypeError("odd"), "a.test: TypeError: odd"),
    ],
)
def test_any_error_is_an_answer(clock: ThreadedClock, make: Make, error: Exception, detail: str) -> None:
    got = result(clock, make(Names(a_test=error)).resolve("a.test"))
    assert isinstance(got, NoAddress)
    assert got.detail.startswith(detail)
    assert not got.timed_out


def test_a_look_up_has_a_time_limit_and_a_late_answer_still_counts(clock: ThreadedClock, make: Make) -> None:
    names = Names(a_test=["192.0.2.1"])
    names.gate.clear()
    resolver = make(names, timeout=10.0)
    waiting = resolver.resolve("a.test")
    clock.run_until(lambda: names.asked == ["a.test"])
    clock.advance(9.9)
    assert not waiting.called
    clock.advance(0.2)
    got = result(clock, waiting)
    assert got == NoAddress("dns: no answer within 10 s", timed_out=True)
    assert resolver.resolve("a.test").called  # remembered for a moment: no second thread gets stuck
    names.gate.set()
    clock.run_until(lambda: resolver.known("a.test") == Addresses(("192.0.2.1",)))
    assert names.asked == ["a.test"]


def test_cancelling_leaves_the_others_waiting(clock: ThreadedClock, make: Make) -> None:
    names = Names(a_test=["192.0.2.1"])
    names.gate.clear()
    resolver = make(names)
    first, second = resolver.resolve("a.test"), resolver.resolve("a.test")
    first.cancel()
    failed: list[Any] = []
    first.addErrback(failed.append)
    assert isinstance(failed[0].value, CancelledError)
    names.gate.set()
    assert result(clock, second) == Addresses(("192.0.2.1",))


def test_threads_are_bounded_and_used_again(clock: ThreadedClock, make: Make) -> None:
    names = Names(**{f"n{i}_test": ["192.0.2.1"] for i in range(20)})
    names.gate.clear()
    resolver = make(names, threads=4)
    before = threading.active_count()
    waiting = [resolver.resolve(f"n{i}.test") for i in range(20)]
    clock.run_until(lambda: len(names.asked) == 4)
    assert threading.active_count() - before == 4
    names.gate.set()
    assert all(isinstance(result(clock, one), Addresses) for one in waiting)


def test_a_name_whose_time_is_up_before_its_turn_is_not_looked_up(clock: ThreadedClock, make: Make) -> None:
    """Else look-ups that nobody waits for would queue before those that somebody does."""
    names = Names(stuck_test=["192.0.2.1"], late_test=["192.0.2.2"], next_test=["192.0.2.3"])
    names.gate.clear()
    resolver = make(names, threads=1, timeout=10.0)
    waiting = [resolver.resolve("stuck.test"), resolver.resolve("late.test")]
    clock.run_until(lambda: names.asked == ["stuck.test"])
    clock.advance(11)
    assert [result(clock, one) for one in waiting] == [NoAddress("dns: no answer within 10 s", timed_out=True)] * 2
    last = resolver.resolve("next.test")
    names.gate.set()
    assert result(clock, last) == Addresses(("192.0.2.3",))
    assert names.asked == ["stuck.test", "next.test"]


def test_a_system_without_threads_to_give_is_a_time_out(clock: ThreadedClock, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = make(Names(a_test=["192.0.2.1"], b_test=["192.0.2.2"]), timeout=10.0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        waiting = resolver.resolve("a.test")
        clock.advance(11)
        got = result(clock, waiting)
    assert isinstance(got, NoAddress)
    assert got.timed_out
    assert result(clock, resolver.resolve("b.test")) == Addresses(("192.0.2.2",))


def test_closing_tells_everybody_and_ends_the_threads(clock: ThreadedClock) -> None:
    names = Names(a_test=["192.0.2.1"])
    names.gate.clear()
    resolver = Resolver(clock, getaddrinfo=names)
    waiting = resolver.resolve("a.test")
    ended = resolver.close()
    assert result(clock, waiting) == NoAddress("the resolver is closed")
    assert result(clock, resolver.resolve("b.test")) == NoAddress("the resolver is closed")
    assert not ended.called
    names.gate.set()
    clock.run_until(lambda: ended.called)
    assert clock.getDelayedCalls() == []


def test_closing_does_not_wait_for_a_stuck_thread(clock: ThreadedClock) -> None:
    names = Names(a_test=["192.0.2.1"])
    names.gate.clear()
    resolver = Resolver(clock, getaddrinfo=names)
    resolver.resolve("a.test")
    ended = resolver.close()
    clock.advance(1.1)
    assert ended.called
    names.gate.set()
    clock.run_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("dns")])


def test_the_systems_resolver_knows_localhost_and_survives_long_labels() -> None:
    resolution, _ = look_up("localhost")
    assert isinstance(resolution, Addresses)
    assert set(resolution.addresses) <= {"127.0.0.1", "::1"}
    assert look_up("a" * 64 + ".test") == (NoAddress(f"{'a' * 64}.test: not a valid host name"), False)


def test_the_hosts_file_counts() -> None:
    entries = [line.partition("#")[0].split() for line in Path("/etc/hosts").read_text(encoding="utf-8").splitlines()]
    listed: dict[str, set[str]] = {}
    for address, *names in filter(None, entries):
        for name in names:
            listed.setdefault(name, set()).add(str(ip_address(address)))
    assert listed, "an empty hosts file"
    for name, addresses in list(listed.items())[:10]:
        resolution, _ = look_up(name)
        assert isinstance(resolution, Addresses), name
        assert addresses & set(resolution.addresses), name


@pytest.mark.parametrize("host", ["under_score.test", "a--b.test", "xn--.test", "xn--garbage!.test", "-dash-.test"])
def test_names_that_idna_would_refuse_are_asked_for_as_they_are(host: str) -> None:
    asked: list[bytes] = []

    def getaddrinfo(name: str, *_: Any) -> list[Any]:
        asked.append(name.encode("idna"))  # as socket.getaddrinfo does with a str
        return [(None, None, None, "", ("192.0.2.1", 0))]

    assert look_up(host, getaddrinfo) == (Addresses(("192.0.2.1",)), False)
    assert asked == [host.encode()]


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ([], ()),
        (["1", "2"], ("1", "2")),
        (["::1", "::2", "1", "2", "3"], ("::1", "1", "::2", "2", "3")),
        (["1", "::1", "1"], ("1", "::1")),
        ([str(i) for i in range(1000)], tuple(str(i) for i in range(MAX_ADDRESSES))),
    ],
)
def test_families_take_turns(given: list[str], ordered: tuple[str, ...]) -> None:
    assert interleave(given) == ordered
