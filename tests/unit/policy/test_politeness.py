"""Politeness by numbers: one host's gaps and its requests in flight, many hosts' turns, and memory."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.policy.host_limits import HostLimits
from crawler.policy.politeness import SLOWEST, SWEPT_AT_ONCE, Politeness


def make(per_host: int = 2, delay: float = 1.0, began: float | None = None) -> Politeness:
    return Politeness(HostLimits(per_host=per_host, delay=delay), began=began)


def test_a_host_has_its_turn_once_for_each_offer() -> None:
    polite = make()
    assert polite.acquire(0) is None
    polite.offer("a", 5)
    polite.offer("a", 5)
    assert polite.next_time() == 5
    assert polite.acquire(4.9) is None
    assert polite.acquire(5) == "a"
    assert polite.acquire(5) is None
    assert polite.next_time() is None


def test_the_host_whose_time_came_first_is_first() -> None:
    polite = make()
    for at, host in ((3, "c"), (1, "a"), (2, "b")):
        polite.offer(host, at)
    assert [polite.acquire(9) for _ in range(4)] == ["a", "b", "c", None]


def test_an_earlier_offer_replaces_a_later_one() -> None:
    polite = make()
    polite.offer("a", 10)
    polite.offer("a", 2)
    assert polite.next_time() == 2
    assert polite.acquire(2) == "a"
    assert polite.acquire(20) is None  # the entry at 10 does not count any more


def test_the_delay_counts_from_when_a_request_is_sent() -> None:
    polite = make(delay=1.0)
    polite.offer("a", 0)
    assert polite.acquire(0) == "a"
    polite.start("a", 0)
    polite.offer("a", 0)
    assert polite.next_time() is None  # still connecting: nobody knows when its second may follow
    polite.sent("a", 7)
    polite.offer("a", 7)
    assert polite.next_time() == 8
    assert polite.acquire(8) == "a"


def test_no_more_in_flight_than_allowed() -> None:
    polite = make(per_host=2, delay=0)
    for _ in range(2):
        polite.offer("a", 0)
        assert polite.acquire(0) == "a"
        polite.start("a", 0)
        polite.sent("a", 0)
    polite.offer("a", 0)
    assert polite.acquire(99) is None
    polite.finish("a", was_sent=True)
    polite.offer("a", 0)
    assert polite.acquire(0) == "a"


def test_without_delay_requests_need_not_be_sent_one_after_the_other() -> None:
    polite = make(per_host=3, delay=0)
    for _ in range(3):
        polite.offer("a", 0)
        assert polite.acquire(0) == "a"
        polite.start("a", 0)


def test_a_request_that_was_never_sent_leaves_room_for_the_next() -> None:
    polite = make(delay=1.0)
    polite.start("a", 0)
    polite.finish("a", was_sent=False)
    polite.offer("a", 0)
    assert polite.next_time() == 1.0  # but not at once: a host that refuses connections is left alone, too


def test_a_request_sent_again_on_a_fresh_connection_moves_the_next_one() -> None:
    polite = make(delay=1.0)
    polite.start("a", 0)
    polite.sent("a", 0)
    polite.sent("a", 0.5, again=True)
    polite.offer("a", 0.5)
    assert polite.next_time() == 1.5


def test_a_pause_holds_back_what_is_scheduled_already() -> None:
    polite = make()
    polite.offer("a", 0)
    polite.pause("a", 60)
    assert polite.acquire(1) is None
    assert polite.next_time() == 60
    polite.pause("a", 30)  # never shorter
    assert polite.acquire(59) is None
    assert polite.acquire(60) == "a"


def test_a_longer_delay_counts_at_once_and_a_shorter_never() -> None:
    polite = make(delay=1.0)
    polite.set_delay("a", 5, 0)
    polite.offer("a", 0)
    assert polite.next_time() == 5
    polite.set_delay("a", 0.1, 0)
    assert polite.acquire(5) == "a"
    polite.start("a", 5)
    polite.sent("a", 5)
    polite.offer("a", 5)
    assert polite.next_time() == 10


def test_a_delay_that_is_learnt_while_requests_connect_waits_for_them() -> None:
    polite = make(per_host=4, delay=0)
    for _ in range(2):
        polite.offer("a", 0)
        assert polite.acquire(0) == "a"
        polite.start("a", 0)
    polite.offer("a", 0)  # scheduled when there was no delay
    polite.set_delay("a", 5, 0)
    assert polite.acquire(100) is None, "a third would be sent with the two"
    polite.sent("a", 100)
    polite.sent("a", 101)
    polite.offer("a", 101)
    assert polite.next_time() == 106


def test_after_a_restart_nobody_is_asked_before_its_delay() -> None:
    polite = make(delay=2.0, began=1.0)
    polite.offer("a", 0)
    assert polite.acquire(2.9) is None
    assert polite.next_time() == 3.0


def test_waiting_names_the_longest_wait_first() -> None:
    polite = make(delay=1.0)
    polite.pause("slow", 50)
    polite.start("busy", 0)
    polite.sent("busy", 0)
    polite.offer("idle", 0)
    assert polite.waiting(0) == [("slow", 50, 0), ("busy", 1.0, 1)]
    assert polite.waiting(1) == [("slow", 49, 0), ("busy", 0.0, 1)]
    polite.finish("busy", was_sent=True)
    assert polite.waiting(50) == []


def test_the_slowest_of_many_hosts_are_told_whatever_the_order_in_which_they_came() -> None:
    polite = make(delay=1.0)
    waits = list(range(5000))
    random.Random(7).shuffle(waits)
    for wait in waits:
        polite.pause(f"h{wait}", wait)
    polite.start("busy", 0)
    assert polite.waiting(10)[:3] == [("h4999", 4989.0, 0), ("h4998", 4988.0, 0), ("h4997", 4987.0, 0)]
    assert [name for name, _, _ in polite.waiting(4999 - SLOWEST + 0.5)] == [
        *(f"h{wait}" for wait in range(4999, 4999 - SLOWEST, -1)),
        "busy",
    ]
    assert len(polite._slow) < 2 * SLOWEST


def test_many_idle_hosts_are_dropped_in_several_sweeps() -> None:
    polite = make()
    for number in range(2 * SWEPT_AT_ONCE + 1):
        polite.start(f"h{number}", 0)
        polite.finish(f"h{number}", was_sent=True)
    polite.offer("scheduled", 0)
    left = []
    for _ in range(4):
        polite.sweep(100)
        left.append(len(polite._hosts))
    assert left == [SWEPT_AT_ONCE + 2, 2, 1, 1]


def test_sweeping_drops_the_idle_and_nobody_else() -> None:
    polite = make(delay=1.0)
    polite.pause("paused", 100)
    polite.start("busy", 0)
    polite.offer("scheduled", 0)
    polite.set_delay("strict", 9, 0)  # its delay would be forgotten
    polite.start("idle", 0)
    polite.finish("idle", was_sent=False)
    polite.sweep(0.5)
    assert set(polite._hosts) == {"paused", "busy", "scheduled", "strict", "idle"}
    polite.sweep(50)
    assert set(polite._hosts) == {"paused", "busy", "scheduled", "strict"}


def test_memory_does_not_grow_with_the_requests_made() -> None:
    polite = make(per_host=2, delay=0.5)
    now = 0.0
    for _ in range(3000):
        now += 0.5
        polite.offer("a", now)
        polite.offer("a", now - 0.1)
        if polite.acquire(now):
            polite.start("a", now)
            polite.sent("a", now)
            polite.finish("a", was_sent=True)
    assert sum(map(len, polite._heaps)) < 10
    assert len(polite._hosts) == 1


class Host:
    """What a server sees: when requests were sent, and how many are open."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.open = 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    per_host=st.integers(1, 4),
    delay=st.sampled_from([0.0, 0.1, 1.0]),
    crawl_delay=st.sampled_from([None, 0.5, 3.0]),
    hosts=st.integers(1, 6),
)
def test_no_host_ever_sees_more_than_allowed(seed: int, per_host: int, delay: float, crawl_delay: float | None, hosts: int) -> None:
    """A small event loop: requests take random times to connect and to be answered, some never connect, hosts ask for rest."""
    chance = random.Random(seed)
    polite = make(per_host, delay)
    names = [f"h{number}" for number in range(hosts)]
    seen: dict[str, Host] = defaultdict(Host)
    events: list[tuple[float, int, str, str]] = []
    rests: dict[str, float] = defaultdict(float)
    delays = dict.fromkeys(names, delay)
    now, serial, started = 0.0, 0, 0
    for host in names:
        polite.offer(host, now)
    while started < 150:
        while (host := polite.acquire(now)) is not None and started < 150:
            started += 1
            serial += 1
            assert now >= rests[host]
            polite.start(host, now)
            seen[host].open += 1
            assert seen[host].open <= per_host
            connects = now + chance.choice([0, 0.01, 2.5])
            events.append((connects, serial, "fails" if chance.random() < 0.2 else "sends", host))
            polite.offer(host, now)
        at = polite.next_time()
        upcoming = min(events, default=None)
        assert upcoming is not None or at is not None, "nothing is scheduled although every host has work"
        if upcoming is None or (at is not None and at < upcoming[0]):
            assert at is not None
            now = max(now, at)
            continue
        events.remove(upcoming)
        now, number, what, host = upcoming
        if what == "sends":
            if seen[host].sent:
                assert now - seen[host].sent[-1] >= delays[host] - 1e-9
            seen[host].sent.append(now)
            polite.sent(host, now)
            events.append((now + chance.choice([0.001, 0.3, 4.0]), number, "answers", host))
        else:
            seen[host].open -= 1
            polite.finish(host, was_sent=what == "answers")
            if chance.random() < 0.1:
                rests[host] = max(rests[host], now + 7)
                polite.pause(host, now + 7)
            if crawl_delay is not None and what == "answers" and chance.random() < 0.1 and not polite.state(host).unsent:
                delays[host] = max(delays[host], crawl_delay)
                polite.set_delay(host, crawl_delay, now)
        polite.offer(host, now)
        if chance.random() < 0.05:
            polite.sweep(now)
            for other in names:
                polite.offer(other, now)


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_host_alone_is_used_as_fully_as_its_delay_allows(delay: float) -> None:
    polite = make(per_host=2, delay=delay)
    now, sent = 0.0, 0
    polite.offer("a", now)
    while now < 10 and sent < 100:
        host = polite.acquire(now)
        if host is None:
            at = polite.next_time()
            assert at is not None
            now = at
            continue
        polite.start(host, now)
        polite.sent(host, now)
        polite.finish(host, was_sent=True)
        polite.offer(host, now)
        sent += 1
    assert sent == (100 if delay == 0 else pytest.approx(10 / delay, abs=1))


def test_without_delay_a_host_may_be_asked_again_at_the_same_instant() -> None:
    polite = make(per_host=3, delay=0.0)
    taken = []
    for _ in range(5):
        polite.offer("a", 1.0)
        taken.append(polite.acquire(1.0))
        if taken[-1] is not None:
            polite.start("a", 1.5)  # the clock has gone on meanwhile
            polite.sent("a", 1.6)
    assert taken == ["a", "a", "a", None, None]
