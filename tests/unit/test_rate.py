"""How fast a total grows, by the last seconds alone."""

from __future__ import annotations

import pytest

from crawler.rate import Rate


def test_too_little_is_known_at_first() -> None:
    rate = Rate()
    assert rate.per_second(0) == 0
    rate.note(1, 500)
    assert rate.per_second(2) == 0


def test_growth_per_second() -> None:
    rate = Rate()
    for second in range(4):
        rate.note(second, 1000 + 30 * second)
    assert rate.per_second(3) == 30


def test_it_falls_while_nothing_happens_and_forgets_what_was_long_ago() -> None:
    rate = Rate()
    rate.note(0, 0)
    rate.note(1, 100)
    assert rate.per_second(1) == 100
    assert rate.per_second(4) == 25
    assert rate.per_second(100) == 0
    rate.note(100, 100)
    rate.note(101, 107)
    assert rate.per_second(101) == 7


def test_two_notes_at_one_moment_divide_by_no_zero() -> None:
    rate = Rate()
    rate.note(1, 0)
    rate.note(1, 10)
    assert rate.per_second(1) == pytest.approx(10_000)


def test_it_keeps_few_notes_however_many_are_made() -> None:
    rate = Rate()
    for number in range(5000):
        rate.note(number * 0.001, number)
    assert len(rate._noted) <= 100
    assert rate.per_second(5.0) == pytest.approx(1000, rel=0.02)
