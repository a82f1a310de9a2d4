"""What memory holds of the indexes, and what has moved to the disk, are one frontier, also after a kill at any commit."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.frontier import fresh
from crawler.frontier.rows import read_rows, write_rows
from crawler.frontier.sqlite import Candidate, SqliteFrontier
from crawler.frontier.window import Place
from crawler.model import Kind, Outcome, Task, Via
from crawler.store.refused import Refusal, RefusedLinks
from crawler.store.schema import connect, write_meta
from crawler.url import fingerprint, host

START: Place = (-(1 << 62), 0)
MEMORY = Path("/dev/shm")
LINKS = st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.integers(0, 3))


def found(url: str, depth: int = 1, referrer: str | None = None) -> Candidate:
    return Candidate(fingerprint(url), url, host(url), Kind.PAGE, Via.LINK, depth, 0, referrer)


@contextlib.contextmanager
def database() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "q.sqlite"


def transact(frontier: SqliteFrontier, db: sqlite3.Connection, done: list[Task], links: list[Candidate]) -> list[Task]:
    db.execute("BEGIN IMMEDIATE")
    frontier.finish([(task, Outcome.FETCHED, 0) for task in done])
    tasks = frontier.admit(links).tasks
    write_meta(db, "seq", frontier.seq)
    db.execute("COMMIT")
    return tasks


@settings(max_examples=60, deadline=None)
@given(
    held=st.sampled_from([0, 1, 7, 30]),
    steps=st.lists(
        st.tuples(st.lists(LINKS, max_size=15), st.booleans(), st.booleans()),
        max_size=10,
    ),
)  # fmt: skip
def test_seen_and_queued_whatever_has_moved(held: int, steps: list[tuple[list[tuple[str, int, int]], bool, bool]]) -> None:
    queued: dict[str, list[Task]] = {name: [] for name in "abcd"}
    seen: set[str] = set()
    with database() as path, mock.patch.object(fresh, "_HELD", held):
        db = connect(path, create=True)
        frontier = SqliteFrontier(db)
        for links, finishes, killed in steps:
            done = [tasks.pop(0) for tasks in queued.values() if tasks and finishes]
            wanted = [found(f"http://{name}/{number}", depth) for name, number, depth in links]
            new = transact(frontier, db, done, wanted)
            assert {task.url for task in new} == {candidate.url for candidate in wanted} - seen
            assert len(new) == len({task.url for task in new})
            seen |= {task.url for task in new}
            for task in new:
                queued[task.host].append(task)
            for tasks in queued.values():
                tasks.sort(key=lambda task: (task.rank, task.seq))
            if killed:
                db.close()
                db = connect(path, create=True)
                frontier = SqliteFrontier(db)
            assert db.execute("SELECT count(*) FROM fresh").fetchone()[0] <= held
            got = frontier.read_queues([(name, START, 100) for name in queued])
            assert [[task for task, _ in tasks] for tasks, complete in got if complete] == list(queued.values())
            assert frontier.waiting_hosts() == sorted(
                ((name, len(tasks), 0.0) for name, tasks in queued.items() if tasks), key=lambda row: frontier._host_id(row[0])
            )
        db.close()


def test_many_queues_are_read_in_one_query_each_within_its_limit() -> None:
    with database() as path, mock.patch.object(fresh, "_HELD", 50):
        db = connect(path, create=True)
        frontier = SqliteFrontier(db)
        transact(frontier, db, [], [found(f"http://h{number % 30}/{number}", number % 4) for number in range(300)])
        middle = frontier.read_queue("h3", START, 4)[0][-1][0]
        wanted = [("h3", (middle.rank, middle.seq), 3), ("nowhere", START, 5), ("h0", START, 100), ("h29", START, 1)]
        alone = [frontier.read_queue(*one) for one in wanted]
        assert frontier.read_queues(wanted) == alone
        assert [(len(tasks), complete) for tasks, complete in alone] == [(3, False), (0, True), (10, True), (1, False)]
        db.close()


@pytest.mark.parametrize("held", [0, 100])
def test_the_referrer_is_told_by_its_url_though_kept_by_its_number(held: int) -> None:
    with database() as path, mock.patch.object(fresh, "_HELD", held):
        db = connect(path, create=True)
        frontier = SqliteFrontier(db)
        (page,) = transact(frontier, db, [], [found("http://a/", 0)])
        links = [found("http://a/1", referrer="http://a/"), found("http://a/2", referrer="http://elsewhere/robots.txt")]
        new = transact(frontier, db, [page], links)
        assert frontier.read_queue("a", START, 9) == ([(task, 0) for task in new], True)
        assert db.execute("SELECT typeof(referrer) FROM urls ORDER BY id").fetchall() == [("null",), ("integer",), ("text",)]
        known = db.execute("SELECT url, referrer FROM known ORDER BY id").fetchall()
        assert known == [("http://a/", None), ("http://a/1", "http://a/"), ("http://a/2", "http://elsewhere/robots.txt")]
        db.close()


@pytest.mark.parametrize("count", [0, 1, 3, 511, 1000])
def test_rows_are_written_and_read_whole_and_in_order(count: int) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        rows = [(number, f"{number}") for number in range(count)]
        assert write_rows(db, "INSERT INTO t VALUES {rows}", rows) == count
        assert read_rows(db, "WITH j (a) AS (VALUES {rows}) SELECT t.a, t.b FROM j JOIN t ON t.a = j.a", [(a,) for a, _ in rows]) == rows


def test_refusals_of_one_batch_are_counted_as_if_they_came_one_by_one() -> None:
    def refused(rule: str, key: int, depth: int) -> Refusal:
        return Refusal(key, f"http://x/{key}", rule, f"http://a/{depth}", depth)

    batch = [
        refused("nofollow", 1, 3), refused("scope:host", 1, 4), refused("scope:host", 1, 2), refused("nofollow", 1, 0),
        refused("nofollow", 2, 1), refused("nofollow", 2, 0), refused("scope:host", 3, 1), refused("trap", 3, 5),
    ]  # fmt: skip
    found: list[tuple[dict[str, int], list[object]]] = []
    for batches in ([batch], [[one] for one in batch], [batch[:2], batch[2:]]):
        with database() as path:
            db = connect(path, create=True)
            links, counts = RefusedLinks(db), dict[str, int]()
            for part in batches:
                links.add(part, counts)
            found.append((counts, db.execute("SELECT key, rule, referrer, depth FROM refused ORDER BY key").fetchall()))
            db.close()
    assert found[0] == found[1] == found[2]
    assert found[0][1] == [(1, "scope:host", "http://a/4", 2), (2, "nofollow", "http://a/1", 1), (3, "scope:host", "http://a/1", 1)]
    assert {rule: count for rule, count in found[0][0].items() if count} == {"scope:host": 2, "nofollow": 1}
