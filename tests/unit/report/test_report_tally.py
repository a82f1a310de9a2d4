from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_records import record, urls

from crawler.report import copies, near
from crawler.report.copies import CopyFinder
from crawler.report.near import NearGroups
from crawler.report.tally import OTHERS, Names, Powers, Steps, Top
from crawler.report.wording import milliseconds, seconds, size


@given(st.lists(st.integers(0, 30), max_size=60))
def test_top_is_the_head_of_a_sorted_list(values: list[int]) -> None:
    top = Top(5)
    for number, value in enumerate(values):
        top.add(value, record(f"/{number}"))
    ranked = sorted(range(len(values)), key=lambda number: (-values[number], number))[:5]
    assert [page.url for page in top.ranked()] == urls(*(f"/{number}" for number in ranked))


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_bins_hold_every_value_once(values: list[int]) -> None:
    powers = Powers()
    for value in values:
        powers.add(value)
    bins = powers.bins()
    assert [found.count for found in bins] == [sum(found.start <= value < found.end for value in values) for found in bins]
    assert sum(found.count for found in bins) == len(values)
    assert all(one.end == other.start for one, other in itertools.pairwise(bins))


def test_steps_end_in_an_open_bin() -> None:
    steps = Steps(3)
    for value in (0, 2, 2, 3, 40):
        steps.add(value)
    assert [(found.start, found.end, found.count) for found in steps.bins()] == [(0, 1, 1), (1, 2, 0), (2, 3, 2), (3, 41, 2)]


def test_names_beyond_the_limit_are_one() -> None:
    names = Names(2)
    for name in "abcacdc":
        names.add(name)
    assert names.ranked() == {OTHERS: 4, "a": 2, "b": 1}


def grouped(hashes: list[int]) -> set[frozenset[int]]:
    """Return the groups that pairs within three bits connect, found by comparing all with all."""
    groups = [{number} for number in range(len(hashes))]
    for one in range(len(hashes)):
        for other in range(one):
            if (hashes[one] ^ hashes[other]).bit_count() <= 3 and groups[one] is not groups[other]:
                merged = groups[one] | groups[other]
                for number in merged:
                    groups[number] = merged
    return {frozenset(group) for group in groups if len(group) > 1}


@pytest.mark.parametrize("seed", range(5))
def test_near_groups_are_those_of_comparing_all_with_all(seed: int) -> None:
    chance = random.Random(seed)
    hashes = [chance.getrandbits(64) for _ in range(20)]
    for _ in range(150):  # each a few bits from one that is there
        hashes.append(chance.choice(hashes) ^ sum(1 << chance.randrange(64) for _ in range(chance.randrange(6))) & (1 << 64) - 1)
    finder = NearGroups()
    for number, value in enumerate(hashes):
        finder.add(str(number), value, number)
    groups = finder.groups(pages=1000)
    assert {frozenset(map(int, group.urls)) for group in groups} == grouped(hashes)
    assert [group.count for group in groups] == sorted((len(group.urls) for group in groups), reverse=True)


def test_exact_copies_are_not_told_as_near_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = NearGroups()
    finder.add("a", 5, 1)
    finder.add("b", 5, 1)
    assert finder.groups(pages=9) == []
    monkeypatch.setattr(near, "MAX_PAGES", 1)
    finder.add("c", 5, 2)
    assert finder.passed_over == 1


def found_copies(records: list[Any]) -> CopyFinder:
    finder = CopyFinder(pages=2)
    for one in records:
        finder.first(one)
    for one in records:
        finder.second(one)
    return finder


def test_exact_copies() -> None:
    records = [record(f"/{number}", body=body) for number, body in enumerate(["x", "y", "x", "", "", "z", "x", "y"])]
    finder = found_copies([*records, record("/9", digest=None)])
    assert (finder.group_count, finder.page_count) == (2, 3)
    assert [(group.urls, group.count, group.bytes) for group in finder.groups(9)] == [(urls("/0", "/2"), 3, 1), (urls("/1", "/7"), 2, 1)]
    assert len(finder.groups(1)) == 1


def test_contents_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MAX_PAGES", 2)
    finder = found_copies([record(f"/{number}", body=body) for number, body in enumerate("abcca")])
    assert finder.passed_over == 2
    assert [group.count for group in finder.groups(9)] == [2]


def test_words_for_sizes_and_times() -> None:
    assert [size(value) for value in (None, 0, 1023, 1024, 1536, 10 * 1024, 5 * 2**30)] == [
        *("", "0 B", "1023 B", "1 KiB", "1.5 KiB", "10 KiB", "5 GiB"),
    ]
    assert [milliseconds(value) for value in (None, 7, 9999, 61_000)] == ["", "7 ms", "9\u202f999 ms", "1 min 1 s"]
    assert seconds(7260) == "2 h 1 min"
