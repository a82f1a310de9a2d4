"""Faults during a visit, and visits that are called off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import LogLevel, globalLogPublisher
from visits import PARSED, TASK, Room, Turn, answered, urls_of

from crawler.errors import StoreError, WorkersDied
from crawler.model import Kind, Outcome, Parsed, Reason, Task, Via
from crawler.store.operations import Completion, Operation


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Collect what is logged at error level."""
    events: list[dict[str, Any]] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


# -- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["fetch", "parse", "robots"])
async def test_a_fault_of_ours_is_logged_once_and_costs_the_url(where: str, logged: list[dict[str, Any]]) -> None:
    bug = ZeroDivisionError("a bug")
    room = Room(bug if where == "fetch" else None, bug if where == "parse" else PARSED)
    task = TASK if where != "robots" else Task(1, "http://unknown/", "unknown", Kind.PAGE, 0, Via.SEED, None, 0, 0, 0, 1)
    done = await room.completion(task)
    assert (done.record.outcome, done.record.reason, done.candidates) == (Outcome.FAILED, Reason.INTERNAL, [])
    assert [event["url"] for event in logged] == [task.url]
    if where != "robots":
        assert "a bug" in (done.record.detail or "")
        assert logged[0]["log_failure"].value is bug


async def test_after_a_fault_links_are_not_taken_for_handed_over(logged: list[dict[str, Any]]) -> None:
    room = Room()
    await room.completion()
    room.stored.clear()
    room.parsed = RuntimeError("x")
    await room.completion()
    room.stored.clear()
    room.parsed = PARSED
    assert urls_of(await room.completion()) == ["http://a/one", "http://a/two"]
    assert len(logged) == 1


@pytest.mark.parametrize("error", [CancelledError(), WorkersDied("no workers")])
@pytest.mark.parametrize("where", ["fetch", "parse"])
async def test_what_ends_the_crawl_is_passed_on_and_nothing_is_stored(error: Exception, where: str, logged: list[dict[str, Any]]) -> None:
    room = Room(error if where == "fetch" else None, error if where == "parse" else PARSED)
    turn = Turn()
    with pytest.raises(type(error)):
        await room.visitor.visit(TASK, turn)
    assert (room.stored, logged) == ([], [])
    assert "storing" not in turn.heard


async def test_a_disk_that_does_not_take_it_is_passed_on(logged: list[dict[str, Any]]) -> None:
    room = Room()
    room.store_result = lambda: fail(StoreError("full"))
    with pytest.raises(StoreError, match="full"):
        await room.visitor.visit(TASK, Turn())
    assert (len(room.stored), logged) == (1, [])


@pytest.mark.parametrize("where", ["fetch", "parse"])
async def test_a_visit_can_be_called_off_while_it_waits(where: str, logged: list[dict[str, Any]]) -> None:
    cancelled: list[Deferred[Any]] = []
    waiting: Deferred[Any] = Deferred(cancelled.append)
    room = Room(waiting if where == "fetch" else None, waiting if where == "parse" else PARSED)
    visit = room.visitor.visit(TASK, Turn())
    assert not visit.called or visit.paused
    visit.cancel()
    with pytest.raises(CancelledError):
        await visit
    assert (cancelled, room.stored, logged) == ([waiting], [], [])


async def test_it_ends_only_when_it_is_durable() -> None:
    room = Room()
    durable: Deferred[None] = Deferred()
    room.store_result = lambda: durable
    ended: list[Operation] = []
    room.visitor.visit(TASK, Turn()).addCallback(ended.append)
    assert (len(room.stored), ended) == (1, [])
    durable.callback(None)
    assert ended == room.stored


async def test_a_waiting_visit_does_not_hold_the_body() -> None:
    waiting: Deferred[Parsed] = Deferred()
    room = Room(answered(body=b"x" * 1000), waiting)
    done = room.visitor.visit(TASK, Turn())
    (page,) = room.pages
    assert len(page.body) == 1000
    room.pages.clear()
    waiting.callback(PARSED)
    assert isinstance(await done, Completion)
