"""The disk side of the frontier: the statements that the writer thread runs inside its transactions.

A batch crosses into SQL as one JSON parameter and comes back as one JSON value: each row that crosses alone would hand
the interpreter lock to and fro with the busy reactor thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
import xxhash
from msgspec import Struct

from crawler.frontier.window import Place
from crawler.model import Kind, Outcome, Task, Via
from crawler.url import fingerprint
from crawler.url import host as url_host

SCHEMA: Final = """
CREATE TABLE urls (
  key INTEGER PRIMARY KEY,   -- fingerprint of url
  url TEXT NOT NULL,
  state INTEGER NOT NULL,    -- State
  kind INTEGER NOT NULL,
  via TEXT NOT NULL,
  depth INTEGER NOT NULL,
  hops INTEGER NOT NULL,
  referrer TEXT,
  outcome TEXT,
  line INTEGER               -- where its record begins in records.jsonl
);
CREATE TABLE queue (
  host INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  key INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL DEFAULT 0,  -- seconds since the epoch
  PRIMARY KEY (host, rank, seq)
) WITHOUT ROWID;
CREATE TABLE hosts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  admitted INTEGER NOT NULL DEFAULT 0,
  paused_until REAL NOT NULL DEFAULT 0  -- seconds since the epoch
);
CREATE TABLE edges (          -- kept under a depth limit only: where a shorter path must be passed on
  key INTEGER PRIMARY KEY,
  near BLOB NOT NULL,         -- JSON: keys of targets at the same depth (redirects)
  far BLOB NOT NULL           -- JSON: keys of targets one deeper (links)
);
"""

REHASHES: Final = 64
"""Keys that a URL may have: its fingerprint, and others for when that is another URL's."""

_HOSTS_REMEMBERED: Final = 65_536  # ids of hosts in memory; others are looked up
_ENCODE: Final = msgspec.json.encode
_DECODE: Final = msgspec.json.decode


class State(IntEnum):
    """What the frontier knows of a URL."""

    QUEUED = 0
    DONE = 1
    TOO_DEEP = 2  # beyond the depth limit by every path found so far


class Candidate(Struct, frozen=True, gc=False):
    """A link that passed the door; the frontier answers the last questions: seen? within the budget? within the depth?"""

    key: int
    url: str
    host: str
    kind: Kind
    via: Via
    depth: int
    hops: int
    referrer: str | None


class Admitted(Struct):
    """What became of a batch of candidates."""

    tasks: list[Task] = []
    over_budget: list[Candidate] = []
    too_deep: int = 0  # how many more are set aside (negative: a shorter path was found for some)


class SqliteFrontier:
    """The frontier's tables in the crawl's database; used by the writer thread alone, inside its transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        depth: int | None = None,
        host_budget: int | None = None,
        other_key: Callable[[str, int], int] | None = None,
    ) -> None:
        """Use `connection`; `other_key(url, n)` gives the n-th other key of a URL whose fingerprint another URL has taken."""
        self._db = connection
        self._depth = depth
        self._host_budget = host_budget
        self._rehash = other_key or rehash
        self._host_id = lru_cache(maxsize=_HOSTS_REMEMBERED)(self._find_host)
        stored = connection.execute("SELECT value FROM meta WHERE key = 'seq'").fetchone()
        self._seq = int(stored[0]) if stored else 0

    @property
    def seq(self) -> int:
        """The last place given out; the caller stores it as meta `seq` in the same transaction."""
        return self._seq

    def _json(self, sql: str, *parameters: Any) -> Any:
        """Run a statement whose single result is a JSON text."""
        return _DECODE(self._db.execute(sql, parameters).fetchone()[0])

    # -- admission -----------------------------------------------------------------------------------------------

    def admit(self, candidates: Iterable[Candidate]) -> Admitted:
        """Insert what is not yet known; return the tasks that are newly queued."""
        admitted = Admitted()
        while candidates:
            candidates = self._admit_distinct(candidates, admitted)
        return admitted

    def _admit_distinct(self, candidates: Iterable[Candidate], admitted: Admitted) -> list[Candidate]:
        """Admit one URL per key; return those whose key is another URL's, to be asked about again: exact, however unlikely."""
        unique: dict[int, Candidate] = {}
        collided = []
        for candidate in candidates:
            first = unique.get(candidate.key)
            if first is not None and first.url != candidate.url:
                collided.append(candidate)
            elif first is None or candidate.depth < first.depth:
                unique[candidate.key] = candidate
        new, taken = self._unseen(unique)
        for candidate in taken:
            del unique[candidate.key]
            collided.append(self._rekeyed(candidate))
        self._insert(self._within_budget(new, admitted), admitted)
        if self._depth is not None:  # after the insertion: a shorter path may lead on to what has just been inserted
            self._relax({key: candidate.depth for key, candidate in unique.items()}, admitted)
        return collided

    def _unseen(self, unique: dict[int, Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Return the candidates that are not in the table, and those whose key another URL holds there."""
        rows = _ENCODE([(key, candidate.url) for key, candidate in unique.items()]).decode()
        found = self._json(
            "SELECT json_group_array(json_array(c.key, c.taken)) FROM (SELECT j.value ->> 0 AS key, u.key IS NOT NULL AS taken"
            " FROM json_each(?) j LEFT JOIN urls u ON u.key = j.value ->> 0 WHERE u.key IS NULL OR u.url <> j.value ->> 1) c",
            rows,
        )
        return [unique[key] for key, taken in found if not taken], [unique[key] for key, taken in found if taken]

    def _rekeyed(self, candidate: Candidate) -> Candidate:
        """Give a URL whose fingerprint is another URL's the first of its other keys that is free, or its own already."""
        for attempt in range(1, REHASHES):
            key = self._rehash(candidate.url, attempt)
            row = self._db.execute("SELECT url FROM urls WHERE key = ?", (key,)).fetchone()
            if row is None or row[0] == candidate.url:
                return msgspec.structs.replace(candidate, key=key)
        raise AssertionError(f"no free key for {candidate.url}")

    def _within_budget(self, new: list[Candidate], admitted: Admitted) -> list[Candidate]:
        if self._host_budget is None:
            return new
        kept = []
        room: dict[str, int] = {}
        for candidate in new:
            if self._depth is not None and candidate.depth > self._depth:  # set aside: it takes no place
                kept.append(candidate)
                continue
            left = room.get(candidate.host)
            if left is None:
                row = self._db.execute("SELECT admitted FROM hosts WHERE name = ?", (candidate.host,)).fetchone()
                left = self._host_budget - (row[0] if row else 0)
            if left > 0:
                kept.append(candidate)
            else:
                admitted.over_budget.append(candidate)
            room[candidate.host] = left - 1
        return kept

    def _insert(self, new: list[Candidate], admitted: Admitted) -> None:
        if not new:
            return
        url_rows, queue_rows = [], []
        grown: dict[str, int] = {}
        for c in new:
            deep = self._depth is not None and c.depth > self._depth
            url_rows.append((c.key, c.url, State.TOO_DEEP if deep else State.QUEUED, c.kind, c.via, c.depth, c.hops, c.referrer))
            if deep:
                admitted.too_deep += 1
                continue
            self._seq += 1
            queue_rows.append((self._host_id(c.host), c.depth, self._seq, c.key))
            grown[c.host] = grown.get(c.host, 0) + 1
            admitted.tasks.append(
                Task(c.key, c.url, c.host, c.kind, c.depth, c.via, c.referrer, c.hops, attempts=0, rank=c.depth, seq=self._seq)
            )
        self._db.execute(
            "INSERT INTO urls (key, url, state, kind, via, depth, hops, referrer) SELECT value ->> 0, value ->> 1, value ->> 2,"
            " value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 FROM json_each(?)",
            (_ENCODE(url_rows).decode(),),
        )
        self._enqueue(queue_rows, grown)

    def _enqueue(self, rows: list[tuple[int, int, int, int]], grown: dict[str, int]) -> None:
        self._db.execute(
            "INSERT INTO queue (host, rank, seq, key) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)",
            (_ENCODE(rows).decode(),),
        )
        self._db.execute(
            "UPDATE hosts SET admitted = admitted + (j.value ->> 1) FROM json_each(?) j WHERE hosts.id = j.value ->> 0",
            (_ENCODE([(self._host_id(name), more) for name, more in grown.items()]).decode(),),
        )

    def _find_host(self, name: str) -> int:
        """Return the id of a host, which it is given on first sight; asked through `_host_id`, which remembers."""
        row = self._db.execute("SELECT id FROM hosts WHERE name = ?", (name,)).fetchone()
        return int((row or self._db.execute("INSERT INTO hosts (name) VALUES (?) RETURNING id", (name,)).fetchone())[0])

    # -- shorter paths -------------------------------------------------------------------------------------------

    def _relax(self, depths: dict[int, int], admitted: Admitted) -> None:
        """Pass shorter paths on to what is known: under a depth limit the set crawled is a breadth-first crawl's.

        Each round asks for the depths of a set of URLs, lowers those that a shorter path now reaches, queues those that
        come within the limit, and goes on with the targets of those that have been crawled.
        """
        while depths:
            known = self._json(
                "SELECT json_group_array(json_array(u.key, u.depth, u.state)) FROM json_each(?) j JOIN urls u ON u.key = j.value",
                _ENCODE(list(depths)).decode(),
            )
            shorter = [(key, depths[key], state) for key, depth, state in known if depths[key] < depth]
            if not shorter:
                return
            self._db.execute(
                "UPDATE urls SET depth = j.value ->> 1 FROM json_each(?) j WHERE urls.key = j.value ->> 0",
                (_ENCODE([(key, depth) for key, depth, _ in shorter]).decode(),),
            )
            limit = self._depth if self._depth is not None else 0
            self._promote([key for key, depth, state in shorter if state == State.TOO_DEEP and depth <= limit], admitted)
            depths = self._passed_on({key: depth for key, depth, state in shorter if state == State.DONE})

    def _passed_on(self, crawled: dict[int, int]) -> dict[int, int]:
        """Return the depths at which the targets of crawled pages are reached now."""
        edges = self._json(
            "SELECT json_group_array(json_array(e.key, json(e.near), json(e.far))) FROM json_each(?) j JOIN edges e ON e.key = j.value",
            _ENCODE(list(crawled)).decode(),
        )
        reached: dict[int, int] = {}
        for key, near, far in edges:
            for targets, depth in ((near, crawled[key]), (far, crawled[key] + 1)):
                for target in targets:
                    reached[target] = min(depth, reached.get(target, depth))
        return reached

    def _promote(self, keys: list[int], admitted: Admitted) -> None:
        """Queue URLs that were set aside as too deep."""
        for key in keys:
            row = self._db.execute("SELECT url, kind, via, depth, hops, referrer FROM urls WHERE key = ?", (key,)).fetchone()
            url, kind, via, depth, hops, referrer = row
            candidate = Candidate(key, url, url_host(url), Kind(kind), Via(via), depth, hops, referrer)
            admitted.too_deep -= 1
            if not self._within_budget([candidate], admitted):
                self._db.execute("DELETE FROM urls WHERE key = ?", (key,))
                continue
            self._seq += 1
            self._db.execute("UPDATE urls SET state = ? WHERE key = ?", (State.QUEUED, key))
            self._enqueue([(self._host_id(candidate.host), depth, self._seq, key)], {candidate.host: 1})
            admitted.tasks.append(
                Task(key, url, candidate.host, Kind(kind), depth, Via(via), referrer, hops, attempts=0, rank=depth, seq=self._seq)
            )

    def parents_depth(self, keys: list[int]) -> dict[int, int]:
        """Return the shortest depths known of pages: a shorter path may have been found since they were leased."""
        rows = self._json(
            "SELECT json_group_array(json_array(u.key, u.depth)) FROM json_each(?) j JOIN urls u ON u.key = j.value",
            _ENCODE(keys).decode(),
        )
        return dict(rows)

    def remember_edges(self, rows: list[tuple[int, list[int], list[int]]]) -> None:
        """Store (page, targets at its own depth, targets one deeper) for later shorter paths."""
        self._db.executemany(
            "INSERT OR REPLACE INTO edges (key, near, far) VALUES (?, ?, ?)", [(k, _ENCODE(n), _ENCODE(f)) for k, n, f in rows]
        )

    # -- the queue -----------------------------------------------------------------------------------------------

    def finish(self, rows: list[tuple[Task, Outcome, int]]) -> None:
        """Take leased URLs out of the queue and store their outcome and where their record begins."""
        self._db.execute(
            "DELETE FROM queue WHERE (host, rank, seq) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))",
            (_ENCODE([(self._host_id(task.host), task.rank, task.seq) for task, _, _ in rows]).decode(),),
        )
        self._db.execute(
            "UPDATE urls SET state = 1, outcome = j.value ->> 1, line = j.value ->> 2 FROM json_each(?) j WHERE urls.key = j.value ->> 0",
            (_ENCODE([(task.key, outcome, line) for task, outcome, line in rows]).decode(),),
        )

    def postpone(self, task: Task, attempts: int, not_before: float) -> None:
        """Store that `task` was tried `attempts` times and waits until `not_before` (seconds since the epoch)."""
        self._db.execute(
            "UPDATE queue SET attempts = ?, not_before = ? WHERE host = ? AND rank = ? AND seq = ?",
            (attempts, not_before, self._host_id(task.host), task.rank, task.seq),
        )

    def pause_host(self, host: str, until: float) -> None:
        """Store that `host` rests until `until` (seconds since the epoch)."""
        self._db.execute("UPDATE hosts SET paused_until = ? WHERE id = ?", (until, self._host_id(host)))

    def read_queue(self, host: str, after: Place, limit: int) -> tuple[list[tuple[Task, float]], bool]:
        """Return up to `limit` queued URLs of `host` beyond `after`, and whether that is all.

        Each comes with the time before which it must wait (seconds since the epoch, 0: now).
        """
        rows = self._json(
            "SELECT json_group_array(json_array(key, url, kind, depth, via, referrer, hops, attempts, rank, seq, not_before)) FROM ("
            "SELECT q.key, u.url, u.kind, u.depth, u.via, u.referrer, u.hops, q.attempts, q.rank, q.seq, q.not_before FROM queue q"
            " JOIN urls u ON u.key = q.key WHERE q.host = (SELECT id FROM hosts WHERE name = ?) AND (q.rank, q.seq) > (?, ?)"
            " ORDER BY q.rank, q.seq LIMIT ?)",
            host,
            *after,
            limit,
        )
        tasks = [
            (Task(key, url, host, Kind(kind), depth, Via(via), referrer, hops, attempts, rank, seq), not_before)
            for key, url, kind, depth, via, referrer, hops, attempts, rank, seq, not_before in rows
        ]
        return tasks, len(rows) < limit

    def waiting_hosts(self) -> list[tuple[str, int, float]]:
        """Return (host, queued URLs, paused until) of every host that has any."""
        return self._db.execute(
            "SELECT h.name, count(*), h.paused_until FROM queue q JOIN hosts h ON h.id = q.host GROUP BY q.host ORDER BY q.host"
        ).fetchall()


def keys_of(url: str) -> list[int]:
    """Return every key that a URL may be stored under, its fingerprint first."""
    return [fingerprint(url), *(rehash(url, attempt) for attempt in range(1, REHASHES))]


def rehash(url: str, attempt: int) -> int:
    """Return the `attempt`-th other key of a URL, for when its fingerprint is another URL's."""
    value: int = xxhash.xxh3_64_intdigest(url.encode(), seed=attempt)
    return value - (1 << 64) if value >= 1 << 63 else value


def seed_redirects(connection: sqlite3.Connection) -> list[str]:
    """Return the URLs that seeds redirected to: they extend the scope of the crawl (`policy.admit.Door`)."""
    return [url for (url,) in connection.execute("SELECT url FROM urls WHERE via = ? AND depth = 0", (Via.REDIRECT,))]
