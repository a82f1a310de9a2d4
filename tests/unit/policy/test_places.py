"""Who may take the places in flight: a crowd of hosts that stall must leave some to those that answer."""

from __future__ import annotations

import msgspec
import pytest

from crawler.model import Outcome, Reason, Record, Via
from crawler.policy.host_limits import HostLimits
from crawler.policy.places import PATIENCE, Places, Standing, Whose, standing_after
from crawler.policy.politeness import Politeness

RECORD = Record("http://a/", Outcome.FETCHED, None, None, 200, None, 10, 0, Via.SEED, *[None] * 11, [], 1)


def test_so_many_places_and_no_more() -> None:
    places: Places[str] = Places(2)
    for name, expected in (("a", True), ("b", True), ("c", False)):
        assert places.free is expected
        places.begin(name, 0.0)
    assert places.in_flight == 3
    places.over("b")
    places.over("c")
    assert places.free


def test_what_does_not_end_makes_room_as_far_as_there_is_room_aside() -> None:
    places: Places[str] = Places(2, aside=2)
    for number, name in enumerate("abc"):
        places.begin(name, float(number))
    assert places.next_aside() == PATIENCE
    assert places.set_aside(PATIENCE - 0.1) == []
    assert places.set_aside(PATIENCE + 0.9) == ["a"]
    assert places.next_aside() == PATIENCE + 1
    assert places.set_aside(PATIENCE + 100) == ["b"]
    assert places.next_aside() is None
    assert places.free
    assert places.in_flight == 3
    places.over("a")
    assert places.set_aside(PATIENCE + 100) == ["c"]
    for name in "bc":
        places.over(name)
    assert (places.in_flight, places.next_aside()) == (0, None)


@pytest.mark.parametrize(("limit", "by_time", "for_doubtful"), [(64, 16, 48), (8, 2, 6), (4, 1, 3), (3, 1, 3), (1, 1, 1)])
def test_a_quarter_is_given_out_by_time_and_a_quarter_kept_for_prompt_hosts(limit: int, by_time: int, for_doubtful: int) -> None:
    places, seen = Places(limit), []
    for places.doubtful in range(limit):
        seen.append(places.turn())
    assert seen.count(Whose.ANY) == by_time
    assert seen.count(Whose.BEST_FIRST) == for_doubtful - by_time
    assert seen == sorted(seen, key=list(Whose).index)


def test_with_any_limit_a_doubtful_host_gets_its_turn() -> None:
    assert all(Places(limit).turn() is Whose.ANY for limit in range(1, 100))


@pytest.mark.parametrize(
    ("changes", "prompt"),
    [
        ({}, True),
        ({"elapsed_ms": 2000}, True),
        ({"elapsed_ms": 2001}, False),
        ({"elapsed_ms": None}, False),
        ({"outcome": Outcome.REDIRECTED}, True),
        ({"outcome": Outcome.FAILED, "reason": Reason.HTTP_ERROR}, True),
        ({"outcome": Outcome.FAILED, "reason": Reason.TOO_LARGE}, False),
        ({"outcome": Outcome.FAILED, "reason": Reason.PARSE}, False),
        ({"outcome": Outcome.DENIED, "reason": Reason.ROBOTS, "elapsed_ms": None}, False),
    ],
)
def test_what_makes_a_host_prompt(changes: dict[str, object], prompt: bool) -> None:
    assert (standing_after(msgspec.structs.replace(RECORD, **changes)) is Standing.PROMPT) is prompt


def three_hosts() -> Politeness:
    polite = Politeness(HostLimits(per_host=1, delay=1.0))
    polite.offer("doubtful", 0.0)
    polite.learn("answered", Standing.ANSWERED)
    polite.offer("answered", 0.2)
    polite.learn("prompt", Standing.PROMPT)
    polite.offer("prompt", 0.5)
    return polite


def test_by_time_the_one_that_waited_longest_comes_first() -> None:
    polite = three_hosts()
    assert [polite.acquire(1.0) for _ in range(4)] == ["doubtful", "answered", "prompt", None]


def test_the_best_standing_of_those_that_are_due() -> None:
    polite = three_hosts()
    assert polite.acquire(0.1, Whose.BEST_FIRST) == "doubtful"
    assert polite.acquire(0.1, Whose.BEST_FIRST) is None
    polite = three_hosts()
    assert [polite.acquire(1.0, Whose.BEST_FIRST) for _ in range(4)] == ["prompt", "answered", "doubtful", None]


def test_prompt_hosts_only() -> None:
    polite = three_hosts()
    assert polite.next_time(Whose.PROMPT_ONLY) == 0.5
    assert polite.acquire(0.2, Whose.PROMPT_ONLY) is None
    assert [polite.acquire(1.0, Whose.PROMPT_ONLY) for _ in range(2)] == ["prompt", None]
    assert polite.next_time(Whose.PROMPT_ONLY) is None
    assert polite.next_time() == 0.0


def test_a_host_whose_standing_changes_keeps_its_time() -> None:
    polite = three_hosts()
    polite.learn("doubtful", Standing.PROMPT)
    polite.learn("prompt", Standing.DOUBTFUL)
    assert polite.next_time(Whose.PROMPT_ONLY) == 0.0
    assert [polite.acquire(1.0, Whose.PROMPT_ONLY) for _ in range(2)] == ["doubtful", None]
    assert [polite.acquire(1.0) for _ in range(2)] == ["answered", "prompt"]
    found = [polite.standing(host) for host in ("doubtful", "prompt", "never seen")]
    assert found == [Standing.PROMPT, Standing.DOUBTFUL, Standing.DOUBTFUL]
