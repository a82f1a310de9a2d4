"""Reactor lag: how late the heartbeat came, and whose fault it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater

from crawler.lag import LagMeter


class NoClock:
    """A clock at which nothing happens."""

    def seconds(self) -> float:
        return time.monotonic()

    def callLater(self, delay: float, callable: Any, *args: Any) -> None:
        return None


class Stalls(list[tuple[float, str]]):
    def note(self, seconds: float, stack: str) -> None:
        self.append((seconds, stack))


@pytest.fixture
def stalls() -> Stalls:
    return Stalls()


@pytest.fixture
def meter(stalls: Stalls) -> Iterator[LagMeter]:
    made = LagMeter(reactor, threshold=0.1, on_stall=stalls.note)
    yield made
    made.stop()


def hold_up_the_reactor(seconds: float) -> None:
    time.sleep(seconds)


async def test_an_idle_reactor_has_little_lag(meter: LagMeter) -> None:
    assert (meter.recent(), meter.percentile(0.99), meter.worst) == (0, 0, 0)
    meter.start()
    await deferLater(reactor, 0.4)
    assert meter.percentile(0.5) < 0.1
    assert len(meter._lags) >= 3


async def test_a_stall_is_measured_and_told_with_the_place_that_caused_it(meter: LagMeter, stalls: Stalls) -> None:
    meter.start()
    await deferLater(reactor, 0.12)
    hold_up_the_reactor(0.5)
    await deferLater(reactor, 0.2)
    longest = max(stalls)
    assert 0.3 < longest[0] < 2
    assert "hold_up_the_reactor" in longest[1]
    assert meter.worst == meter.recent() == longest[0]
    assert meter.percentile(1.0) == longest[0]
    assert meter.percentile(0.0) < 0.3


async def test_after_the_end_nothing_is_left_running(meter: LagMeter) -> None:
    meter.start()
    await deferLater(reactor, 0.1)
    beats = len(meter._lags)
    meter.stop()
    meter.stop()
    await deferLater(reactor, 0.2)
    assert len(meter._lags) == beats
    assert "lag" not in [thread.name for thread in threading.enumerate()]


async def test_only_the_last_ten_seconds_count() -> None:
    meter = LagMeter(NoClock(), threshold=1.0)
    for _ in range(10):
        meter._due = time.monotonic() - 3.0
        meter._beat()
    assert 2.9 < meter.recent() < 4
    for _ in range(200):
        meter._due = time.monotonic() + 1.0
        meter._beat()
    assert meter.recent() == 0
    assert 2.9 < meter.worst < 4


def test_percentiles_are_those_of_the_whole_run() -> None:
    meter = LagMeter(NoClock(), threshold=1.0)
    for seconds in [0.0] * 980 + [0.03] * 15 + [60.0] * 5:
        meter._due = time.monotonic() - seconds
        meter._beat()
    assert meter.percentile(0.5) <= 0.005
    assert 0.03 <= meter.percentile(0.99) < 0.04
    assert meter.percentile(0.999) == meter.worst > 59


def test_without_anybody_to_tell_there_is_no_watching_thread() -> None:
    before = threading.active_count()
    meter = LagMeter(NoClock(), threshold=0.1)
    meter.start()
    assert threading.active_count() == before
    meter.stop()
