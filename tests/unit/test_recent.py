"""The bounded memory of keys: what was noted last is known, and memory stays bounded."""

from __future__ import annotations

from crawler.recent import RecentKeys


def test_what_was_noted_lately_is_known_and_the_oldest_are_dropped() -> None:
    recent = RecentKeys(10)
    for key in range(1000):
        recent.add(key)
        assert all(known in recent for known in range(max(0, key - 9), key + 1))
        assert len(recent._young) + len(recent._old) <= 20
    assert 0 not in recent


def test_forgetting_is_complete() -> None:
    recent = RecentKeys(2)
    for key in range(3):
        recent.add(key)
    recent.clear()
    assert [key for key in range(3) if key in recent] == []
