"""Deadlines and the least rate, with a clock that is turned by hand."""

from __future__ import annotations

from twisted.internet.task import Clock

from crawler.fetch.deadlines import RATE_WINDOW, Deadlines, LeastRate


def test_deadlines_need_one_timer() -> None:
    clock = Clock()
    ended: list[str] = []
    deadlines = Deadlines(clock, 10, ended.append)
    for one in ("first", "second", "third"):
        deadlines.begin(one, clock.seconds())
        clock.advance(2)
    assert len(clock.getDelayedCalls()) == 1
    deadlines.finish("second")
    clock.advance(3.9)
    assert ended == []
    clock.advance(0.2)
    assert ended == ["first"]
    clock.advance(3)
    assert ended == ["first"]
    assert deadlines.under_way() == ["third"]
    clock.advance(1)
    assert ended == ["first", "third"]
    assert not clock.getDelayedCalls()
    deadlines.begin("first", clock.seconds())
    deadlines.finish("first")
    deadlines.close()
    assert not clock.getDelayedCalls()


def test_time_asleep_is_nobodys_fault() -> None:
    clock = Clock()
    ended: list[str] = []
    deadlines = Deadlines(clock, 10, ended.append)
    deadlines.begin("first", clock.seconds())
    clock.advance(4)
    deadlines.begin("second", clock.seconds())
    clock.advance(600)
    assert ended == [], "its answer may lie in the socket"
    clock.advance(1)
    assert ended == ["first"]
    clock.advance(3)
    assert ended == ["first"]
    clock.advance(1)
    assert ended == ["first", "second"]


class Drip:
    def __init__(self, came: int | None = 0) -> None:
        self.came = came
        self.rate: float | None = None

    def received(self) -> int | None:
        return self.came

    def too_slow(self, rate: float) -> None:
        self.rate = rate


def rated(rate: int, *transfers: Drip) -> tuple[Clock, LeastRate]:
    clock = Clock()
    least = LeastRate(clock, rate, lambda: [one for one in transfers if one.rate is None])
    least.watch()
    return clock, least


def test_what_drips_is_ended_after_a_whole_window() -> None:
    slow, fast = Drip(), Drip()
    clock, least = rated(10, slow, fast)
    clock.advance(RATE_WINDOW)
    assert slow.rate is None, "its window began somewhere within this one"
    slow.came, fast.came = 9 * int(RATE_WINDOW), 10 * int(RATE_WINDOW)
    clock.advance(RATE_WINDOW)
    assert (slow.rate, fast.rate) == (9.0, None)
    least.close()
    assert not clock.getDelayedCalls()


def test_nothing_is_asked_of_what_has_not_begun_or_is_held_up() -> None:
    waiting = Drip(None)
    clock, least = rated(10, waiting)
    clock.advance(RATE_WINDOW)
    clock.advance(RATE_WINDOW)
    waiting.came = 100
    clock.advance(RATE_WINDOW)
    assert waiting.rate is None
    clock.advance(RATE_WINDOW)
    assert waiting.rate == 0
    least.close()


def test_the_timer_stops_when_nothing_is_under_way_and_a_rate_of_zero_needs_none() -> None:
    clock, _ = rated(10)
    clock.advance(RATE_WINDOW)
    assert not clock.getDelayedCalls()
    clock, _ = rated(0, Drip(0))
    assert not clock.getDelayedCalls()
