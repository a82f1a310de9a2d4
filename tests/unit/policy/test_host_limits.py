"""Politeness by host pattern, by numbers: which pattern counts, and what the schedule makes of it."""

from __future__ import annotations

import pytest

from crawler.config import HostSettings, PolitenessSettings
from crawler.policy.host_limits import HostLimits, Limits, host_pattern, limits_of
from crawler.policy.politeness import Politeness

PATTERNS = {
    "*.example.org": HostSettings(per_host=1, delay=4.0),
    "*.slow.example.org": HostSettings(delay=9.0),
    "Fast.Slow.example.org": HostSettings(per_host=8),
    "127.0.0.2": HostSettings(delay=0.0),
    "*.bücher.example": HostSettings(per_host=3),
    "::1": HostSettings(per_host=5),
}


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        ("elsewhere.net", (2, 1.0)),
        ("example.org", (2, 1.0)),  # "*." means those below it
        ("www.example.org", (1, 4.0)),
        ("a.b.example.org", (1, 4.0)),
        ("notexample.org", (2, 1.0)),
        ("slow.example.org", (1, 4.0)),
        ("x.slow.example.org", (2, 9.0)),  # the longer name counts, alone
        ("fast.slow.example.org", (8, 1.0)),  # the name itself precedes "*."
        ("127.0.0.2", (2, 0.0)),
        ("127.0.0.3", (2, 1.0)),
        ("www.xn--bcher-kva.example", (3, 1.0)),
        ("[::1]", (5, 1.0)),
    ],
)
def test_the_pattern_that_says_most_counts(host: str, limits: tuple[int, float]) -> None:
    assert limits_of(PolitenessSettings(per_host=2, delay=1.0, hosts=PATTERNS)).of(host) == Limits(*limits)


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("*", "set politeness.per_host and politeness.delay instead"),
        ("", 'write a host as in "example.org"'),
        ("http://example.org", 'write a host as in "example.org"'),
        ("two words", 'write a host as in "example.org"'),
        ("a.*.org", 'write a host as in "example.org"'),
        ("example.org:8080", "leave the port out"),
        ("*.127.0.0.1", "write it without '*.'"),
    ],
)
def test_patterns_that_are_none(pattern: str, remedy: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + remedy.replace("*", r"\*").replace(".", r"\.")):
        host_pattern(pattern)


def sent(polite: Politeness, host: str, now: float) -> None:
    polite.start(host, now)
    polite.sent(host, now)
    polite.offer(host, now)


def test_each_host_has_its_own_delay() -> None:
    polite = Politeness(HostLimits(per_host=9, delay=1.0, hosts={"slow": HostSettings(delay=3.0), "free": HostSettings(delay=0.0)}))
    turns = []
    for host in ("slow", "usual"):
        polite.offer(host, 0.0)
    for tick in range(7):
        while (host := polite.acquire(float(tick))) is not None:
            turns.append((tick, host))
            sent(polite, host, float(tick))
    assert [tick for tick, host in turns if host == "slow"] == [0, 3, 6]
    assert [tick for tick, host in turns if host == "usual"] == list(range(7))
    sent(polite, "free", 6.0)
    assert polite.acquire(6.0) == "free", "without delay the next may follow at once"


def test_each_host_has_its_own_number_in_flight() -> None:
    polite = Politeness(HostLimits(per_host=1, delay=0.0, hosts={"*.wide": HostSettings(per_host=3)}))
    begun = {"narrow": 0, "a.wide": 0}
    for host in begun:
        for _ in range(5):
            polite.offer(host, 0.0)
            if polite.acquire(0.0) == host:
                sent(polite, host, 0.0)
                begun[host] += 1
        while polite.acquire(0.0):
            pass
    assert begun == {"narrow": 1, "a.wide": 3}


def test_robots_txt_raises_a_delay_and_never_lowers_it() -> None:
    polite = Politeness(HostLimits(per_host=1, delay=1.0, hosts={"slow": HostSettings(delay=5.0)}))
    polite.set_delay("slow", 2.0, 0.0)
    assert polite.state("slow").delay == 5.0
    polite.set_delay("slow", 8.0, 0.0)
    assert polite.state("slow").delay == 8.0
    sent(polite, "slow", 10.0)
    polite.finish("slow", was_sent=True)
    polite.offer("slow", 10.0)
    assert polite.next_time() == 18.0


def test_after_a_restart_each_waits_its_own_delay() -> None:
    polite = Politeness(HostLimits(per_host=1, delay=1.0, hosts={"slow": HostSettings(delay=5.0)}), began=100.0)
    for host in ("slow", "usual"):
        polite.offer(host, 100.0)
    assert polite.acquire(100.9) is None
    assert polite.acquire(101.0) == "usual"
    assert polite.acquire(104.9) is None
    assert polite.acquire(105.0) == "slow"


def test_idle_hosts_of_a_pattern_are_forgotten_too() -> None:
    polite = Politeness(HostLimits(per_host=1, delay=1.0, hosts={"slow": HostSettings(delay=5.0)}))
    polite.state("slow")
    polite.state("usual")
    polite.set_delay("usual", 2.0, 0.0)
    polite.sweep(10.0)
    assert repr(polite).startswith("<Politeness hosts=1 "), "a delay that robots.txt asked for is kept, one of the settings is known anew"
