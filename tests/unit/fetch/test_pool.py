"""The pool's books: who may open a connection, who waits and in which order, what is idle, and the end."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from twisted.internet.task import Clock

from crawler.fetch.pool import FAVOURS, Pool


class Wire:
    """A connection as the pool sees it; it has ended when `cut` is called, not before."""

    def __init__(self, pool: Pool, origin: str = "a") -> None:
        self.pool = pool
        self.origin = origin
        self.dead = False
        self.told = ""
        pool.opened(self)  # type: ignore[arg-type]

    def ready(self) -> bool:
        if self.dead:
            self.drop()
        return not self.dead

    def end(self) -> None:
        self.told = "end"

    def drop(self) -> None:
        self.told = "drop"

    def cut(self) -> None:
        self.pool.lost(self)  # type: ignore[arg-type]

    def idle(self) -> None:
        self.pool.idle(self)  # type: ignore[arg-type]


def make_pool(**limits: Any) -> tuple[Pool, Clock]:
    clock = Clock()
    return Pool(clock, **{"idle_limit": 10, "idle_seconds": 15.0} | limits), clock


def open_one(pool: Pool, origin: str = "a") -> Wire:
    """Open a connection where there must be room for it."""
    assert pool.may_open(origin)
    wire = Wire(pool, origin)
    pool.opened_for(wire)  # type: ignore[arg-type]
    return wire


def wait(pool: Pool, origin: str, served: list[Any], name: str) -> Any:
    place = pool.place(origin)
    place.addCallbacks(lambda wire: served.append((name, wire)), lambda _: None)
    return place


# Room


def test_room_for_one_origin_and_in_all() -> None:
    pool, _ = make_pool(per_origin=2, connections=3)
    first = open_one(pool)
    open_one(pool)
    assert not pool.may_open("a")
    open_one(pool, "b")
    assert not pool.may_open("c")
    first.cut()
    assert pool.may_open("c")
    assert not pool.may_open("a"), "there are three"


def test_without_limits_there_is_always_room() -> None:
    pool, _ = make_pool()
    assert all(pool.may_open("a") for _ in range(1000))


def test_a_connection_that_does_not_come_about_gives_its_place_to_the_next() -> None:
    pool, _ = make_pool(per_origin=1)
    served: list[Any] = []
    assert pool.may_open("a")
    wait(pool, "a", served, "next")
    assert served == []
    pool.not_opened("a")
    assert served == [("next", None)]
    assert not pool.may_open("a"), "the place is the next one's"


def test_a_connection_that_ended_before_it_was_handed_over_keeps_no_place() -> None:
    pool, _ = make_pool(per_origin=1)
    assert pool.may_open("a")
    wire = Wire(pool)
    wire.cut()
    pool.opened_for(wire)  # type: ignore[arg-type]
    assert pool.may_open("a")


def test_the_longest_idle_connection_makes_room_once_it_has_ended() -> None:
    pool, _ = make_pool(connections=2)
    older, newer = open_one(pool, "a"), open_one(pool, "b")
    older.idle()
    newer.idle()
    assert not pool.may_open("c"), "until the other has really ended"
    assert (older.told, newer.told) == ("end", "")
    served: list[Any] = []
    wait(pool, "c", served, "c")
    assert pool.take("a") is None
    older.cut()
    assert served == [("c", None)]


def test_a_dead_connection_leaves_its_place_to_the_one_opened_in_its_stead() -> None:
    pool, _ = make_pool(per_origin=1)
    dead = open_one(pool)
    served: list[Any] = []
    wait(pool, "a", served, "other")
    assert pool.replace(dead)  # type: ignore[arg-type]
    assert not pool.replace(dead), "once"  # type: ignore[arg-type]
    dead.cut()
    assert served == []
    fresh = Wire(pool)
    pool.opened_for(fresh)  # type: ignore[arg-type]
    fresh.cut()
    assert served == [("other", None)]


# Waiting


def test_who_waits_is_served_in_order_by_connections_that_become_free() -> None:
    pool, _ = make_pool(per_origin=1)
    wire = open_one(pool)
    served: list[Any] = []
    for name in ("first", "second", "third"):
        wait(pool, "a", served, name)
    for _ in range(3):
        wire.idle()
    assert served == [("first", wire), ("second", wire), ("third", wire)]
    wire.idle()
    assert pool.take("a") is wire, "nobody waits any more"


def test_a_connection_that_is_not_ready_serves_by_its_place() -> None:
    pool, _ = make_pool(per_origin=1)
    wire = open_one(pool)
    served: list[Any] = []
    wait(pool, "a", served, "next")
    wire.dead = True
    wire.idle()
    assert (wire.told, served) == ("drop", [])
    wire.cut()
    assert served == [("next", None)]


def test_who_gives_up_waiting_is_passed_over() -> None:
    pool, _ = make_pool(per_origin=1)
    wire = open_one(pool)
    served: list[Any] = []
    places = [wait(pool, "a", served, name) for name in ("first", "second", "third")]
    places[0].cancel()
    places[2].cancel()
    wire.idle()
    assert served == [("second", wire)]
    wire.idle()
    assert pool.take("a") is wire


def test_origins_take_turns_at_free_places() -> None:
    pool, _ = make_pool(connections=3)
    wires = [open_one(pool, origin) for origin in "xyz"]
    served: list[Any] = []
    for origin, name in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")]:
        wait(pool, origin, served, name)
    for wire in wires:
        wire.cut()
    assert [name for name, _ in served] == ["a1", "b1", "a2"]


def test_a_place_nobody_of_the_first_origin_may_take_goes_to_the_next() -> None:
    pool, _ = make_pool(per_origin=1, connections=2)
    open_one(pool, "a")
    other = open_one(pool, "x")
    served: list[Any] = []
    wait(pool, "a", served, "a")
    wait(pool, "b", served, "b")
    other.cut()
    assert served == [("b", None)]


def test_a_connection_nobody_wants_ends_where_others_wait_for_room() -> None:
    pool, _ = make_pool(connections=1)
    wire = open_one(pool, "a")
    served: list[Any] = []
    wait(pool, "b", served, "b")
    wire.idle()
    assert (wire.told, served) == ("end", [])
    wire.cut()
    assert served == [("b", None)]


def test_a_connection_is_kept_where_those_who_wait_could_not_use_its_place() -> None:
    pool, _ = make_pool(per_origin=1, connections=2)
    open_one(pool, "a")
    wire = open_one(pool, "b")
    wait(pool, "a", [], "a")
    wire.idle()
    assert wire.told == ""
    assert pool.take("b") is wire


def test_no_more_connections_end_than_are_waited_for() -> None:
    pool, _ = make_pool(connections=3)
    wires = [open_one(pool, origin) for origin in "aab"]
    served: list[Any] = []
    wait(pool, "c", served, "c")
    for wire in wires:
        wire.idle()
    assert [wire.told for wire in wires] == ["end", "", ""]
    wires[0].cut()
    assert served == [("c", None)]


def test_a_busy_origin_does_not_keep_the_others_out() -> None:
    pool, _ = make_pool(connections=1)
    wire = open_one(pool, "a")
    served: list[Any] = []
    for number in range(2 * FAVOURS):
        wait(pool, "a", served, f"a{number}")
    wait(pool, "b", served, "b")
    while wire.told == "":
        wire.idle()
    wire.cut()
    assert [name for name, _ in served] == [*(f"a{number}" for number in range(FAVOURS)), "b"]


# Idle connections


def test_the_latest_idle_connection_is_taken_first_and_dead_ones_are_not() -> None:
    pool, _ = make_pool()
    wires = [open_one(pool) for _ in range(3)]
    for wire in wires:
        wire.idle()
    wires[2].dead = True
    assert pool.take("b") is None
    assert pool.take("a") is wires[1]
    assert wires[2].told == "drop"
    assert pool.take("a") is wires[0]
    assert pool.take("a") is None


def test_idle_connections_beyond_the_limit_end_the_longest_first() -> None:
    pool, _ = make_pool(idle_limit=2)
    wires = [open_one(pool, origin) for origin in "abc"]
    for wire in wires:
        wire.idle()
    assert [wire.told for wire in wires] == ["end", "", ""]


def test_idle_connections_end_in_time_with_one_timer() -> None:
    pool, clock = make_pool(idle_seconds=15.0)
    first, second = open_one(pool), open_one(pool)
    first.idle()
    clock.advance(10)
    second.idle()
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(5.1)
    assert (first.told, second.told) == ("end", "")
    clock.advance(10)
    assert second.told == "end"
    assert not clock.getDelayedCalls()


# The end


def test_closing_ends_all_and_waits_for_it() -> None:
    pool, clock = make_pool()
    busy, idle = open_one(pool), open_one(pool)
    idle.idle()
    closed: list[str] = []
    for name in ("once", "twice"):
        pool.close().addCallback(lambda _, name=name: closed.append(name))
    assert (busy.told, idle.told) == ("drop", "end")
    assert not clock.getDelayedCalls()
    late = Wire(pool)
    assert late.told == "drop", "it was on its way when the pool closed"
    for wire in (busy, idle):
        wire.cut()
    assert closed == []
    late.cut()
    assert closed == ["once", "twice"]
    assert pool.close().called


def test_closing_an_empty_pool() -> None:
    pool, _ = make_pool()
    assert not pool.closing
    assert pool.close().called
    assert pool.closing


# Whatever happens


@pytest.mark.parametrize("seed", range(40))
def test_limits_hold_and_all_are_served_whatever_happens(seed: int) -> None:
    """Random requests, ends and failures: never more connections than allowed, none open for nobody, all requests served."""
    chance = random.Random(seed)
    per_origin, connections = chance.choice([1, 2, None]), chance.choice([1, 3, 5, None])
    pool, _ = make_pool(per_origin=per_origin, connections=connections)
    opened: set[Wire] = set()
    at_work: list[Wire] = []
    connecting: list[str] = []
    left = 300
    waiting: list[str] = []

    def serve(origin: str, wire: Any) -> None:
        if wire is None:
            connecting.append(origin)
        else:
            at_work.append(wire)

    def placed(wire: Any, origin: str) -> None:
        waiting.remove(origin)
        serve(origin, wire)

    def ask(origin: str) -> None:
        wire = pool.take(origin)
        if wire is not None or pool.may_open(origin):
            serve(origin, wire)
        else:
            waiting.append(origin)
            pool.place(origin).addCallback(placed, origin)

    while left or at_work or connecting or waiting:
        if left and chance.random() < 0.5:
            left -= 1
            ask(chance.choice("abcd"))
        if connecting and chance.random() < 0.5:
            origin = connecting.pop(0)
            if chance.random() < 0.2:
                pool.not_opened(origin)
            else:
                wire = Wire(pool, origin)
                opened.add(wire)
                pool.opened_for(wire)  # type: ignore[arg-type]
                at_work.append(wire)
        if at_work and chance.random() < 0.5:
            wire = at_work.pop(chance.randrange(len(at_work)))
            wire.idle() if chance.random() < 0.7 else wire.end()
        for wire in [one for one in opened if one.told]:
            opened.discard(wire)
            wire.cut()
        count = Counter([*(wire.origin for wire in opened), *connecting])
        assert connections is None or sum(count.values()) <= connections
        assert per_origin is None or max(count.values(), default=0) <= per_origin
        assert not waiting or count, "somebody waits for nobody"
    assert not waiting
