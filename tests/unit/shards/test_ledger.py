"""The conductor's books: pages are given out to the page, and the end is found once nothing is under way."""

from __future__ import annotations

import random
from collections import deque

import pytest

from crawler.shards.ledger import Ledger


def test_shares_never_exceed_the_budget_and_count_what_is_there_already() -> None:
    assert Ledger(4, None).open([7, 0, 0, 1]) == [None] * 4
    assert Ledger(2, 100).open([0, 0]) == [25, 25]
    assert Ledger(2, 100).open([60, 36]) == [1, 1]
    assert Ledger(2, 100).open([60, 40]) == [0, 0]
    assert Ledger(2, 10).open([60, 40]) == [0, 0]


def test_quiet_counts_only_when_all_was_heard() -> None:
    ledger = Ledger(2, None)
    for number in (0, 1):
        ledger.note_sent(number)
        ledger.note_quiet(number, heard=1, starved=False, spare=0)
    assert ledger.over
    ledger.note_sent(1)
    assert not ledger.over
    ledger.note_quiet(1, heard=1, starved=False, spare=0)  # it was said before the last message arrived there
    assert not ledger.over
    ledger.note_quiet(1, heard=2, starved=False, spare=0)
    assert ledger.over


def test_spare_pages_go_to_who_starves() -> None:
    ledger = Ledger(2, 8)
    assert ledger.open([0, 0]) == [2, 2]
    ledger.note_quiet(0, heard=0, starved=True, spare=0)
    assert ledger.grants() == [(0, 1)]
    assert ledger.recalls() == []
    for _ in range(3):
        ledger.note_quiet(0, heard=0, starved=True, spare=0)
        assert ledger.grants() == [(0, 1)]
    ledger.note_quiet(0, heard=0, starved=True, spare=0)
    assert ledger.grants() == []
    assert ledger.recalls() == [1]
    assert ledger.recalls() == []
    ledger.note_spare(1)
    assert ledger.grants() == [(0, 1)]


@pytest.mark.parametrize("seed", range(30))
def test_any_timing_fetches_exactly_the_budget_or_all(seed: int) -> None:
    """Shards with so much work each, messages delayed at will: all pages are used as long as anybody has work, and it ends."""
    chance = random.Random(seed)
    processes = chance.randint(2, 5)
    work = [chance.choice([0, 1, 3, 50]) for _ in range(processes)]
    budget = chance.randint(1, 120)
    ledger = Ledger(processes, budget)
    held = [share or 0 for share in ledger.open([0] * processes)]
    heard, told = [0] * processes, [-1] * processes
    to_shard: list[deque[int | None]] = [deque() for _ in range(processes)]  # pages granted, or None: a recall
    from_shard: list[deque[tuple[int, bool, int] | int]] = [deque() for _ in range(processes)]
    fetched = 0

    def settle() -> None:
        for number, pages in ledger.grants():
            ledger.note_sent(number)
            to_shard[number].append(pages)
        for number in ledger.recalls():
            ledger.note_sent(number)
            to_shard[number].append(None)

    for _ in range(20_000):
        number = chance.randrange(processes)
        match chance.randrange(3):
            case 0 if to_shard[number]:
                pages, heard[number] = to_shard[number].popleft(), heard[number] + 1
                if pages is None:
                    from_shard[number].append(held[number] // 2)
                    held[number] -= held[number] // 2
                else:
                    held[number] += pages
            case 1 if work[number] and held[number]:
                work[number], held[number], fetched = work[number] - 1, held[number] - 1, fetched + 1
            case 1 if told[number] != heard[number]:
                told[number] = heard[number]
                starved = work[number] > 0
                spare = 0 if starved else held[number]
                held[number] -= spare
                from_shard[number].append((heard[number], starved, spare))
            case 2 if from_shard[number]:
                message = from_shard[number].popleft()
                if isinstance(message, int):
                    ledger.note_spare(message)
                else:
                    ledger.note_quiet(number, heard=message[0], starved=message[1], spare=message[2])
                settle()
                if ledger.over:
                    break
    assert ledger.over
    assert fetched == min(budget, fetched + sum(work))
