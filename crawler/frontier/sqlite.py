"""The disk side of the frontier: the statements that the writer thread runs inside its transactions."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from crawler.frontier import fresh
from crawler.frontier.fresh import SLICES, Fresh, slice_of_host
from crawler.frontier.keys import REHASHES, rehash
from crawler.frontier.rows import read_rows, write_rows
from crawler.frontier.window import Place
from crawler.model import Kind, Outcome, Task, Via
from crawler.url import host as url_host

SCHEMA: Final = (
    """
CREATE TABLE urls (           -- every URL ever admitted, in that order; changed later by retries and shorter paths alone
  id INTEGER PRIMARY KEY,     -- its place in the order of admission, `Task.seq`
  key INTEGER NOT NULL,
  url TEXT NOT NULL,
  host INTEGER NOT NULL,
  rank INTEGER NOT NULL,      -- depth at which it was queued, less its priority
  state INTEGER NOT NULL,     -- State, but for DONE
  kind INTEGER NOT NULL,
  via TEXT NOT NULL,
  depth INTEGER NOT NULL,
  hops INTEGER NOT NULL,
  referrer,                   -- id of a page, or a URL
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL DEFAULT 0  -- seconds since the epoch
);
CREATE INDEX seed_redirects ON urls (id) WHERE via = 'redirect' AND depth = 0;
CREATE TABLE done (
  id INTEGER PRIMARY KEY,
  outcome TEXT NOT NULL,
  line INTEGER NOT NULL       -- where its record begins in records.jsonl
);
CREATE VIEW known AS
  SELECT u.id, u.key, u.url, iif(d.id IS NULL, u.state, 1) AS state, u.depth, u.via, u.attempts, d.outcome, d.line,
    iif(typeof(u.referrer) = 'integer', (SELECT r.url FROM urls r WHERE r.id = u.referrer), u.referrer) AS referrer
  FROM urls u LEFT JOIN done d ON d.id = u.id;
CREATE TABLE hosts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  paused_until REAL NOT NULL DEFAULT 0  -- seconds since the epoch
);
CREATE TABLE tallies (        -- URLs of each host
  host INTEGER PRIMARY KEY,
  admitted INTEGER NOT NULL,
  done INTEGER NOT NULL
);
CREATE TABLE edges (          -- kept under a depth limit only: where a shorter path must be passed on
  key INTEGER PRIMARY KEY,
  near BLOB NOT NULL,         -- JSON: keys of targets at the same depth (redirects)
  far BLOB NOT NULL           -- JSON: keys of targets one deeper (links)
);
"""
    + fresh.SCHEMA
)

_HEAD: Final = (
    f"SELECT * FROM (SELECT rank, seq FROM %s WHERE slice = h.id % {SLICES} AND host = h.id AND (rank, seq) > (j.rank, j.seq)"
    " ORDER BY rank, seq LIMIT {most})"
)
_READ_QUEUES: Final = (  # one value for each host: a row that crosses alone costs more
    "WITH j (number, name, rank, seq) AS (VALUES {rows}) SELECT j.number, (SELECT json_group_array(json_array("
    "u.key, u.url, u.kind, u.depth, u.via,"
    " iif(typeof(u.referrer) = 'integer', (SELECT r.url FROM urls r WHERE r.id = u.referrer), u.referrer),"
    " u.hops, u.attempts, q.rank, q.seq, u.not_before)) FROM ("
    + _HEAD.replace("%s", "fresh_queue")
    + " UNION ALL "
    + _HEAD.replace("%s", "queue")
    + " ORDER BY rank, seq LIMIT {most}) q CROSS JOIN urls u ON u.id = q.seq) FROM j JOIN hosts h ON h.name = j.name"
)
_HOSTS_REMEMBERED: Final = 65_536  # ids of hosts in memory; others are looked up
_KINDS: Final = {int(kind): kind for kind in Kind}
_VIAS: Final = {str(via): via for via in Via}
_ENCODE: Final = msgspec.json.encode
_DECODE: Final = msgspec.json.decode


class State(IntEnum):
    """What the frontier knows of a URL."""

    QUEUED = 0
    DONE = 1
    TOO_DEEP = 2  # beyond the depth limit by every path found so far


_QUEUED: Final = int(State.QUEUED)
_TOO_DEEP: Final = int(State.TOO_DEEP)
_TEXTS: Final[dict[str, str]] = {member: member.value for members in (Via, Outcome) for member in members}
"""Plain values of members: sqlite3 would look for an adapter of any other, for longer than a row takes to be written."""


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
    priority: int = 0  # higher ones of a host come first; one step weighs as much as a step of depth


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
        self._fresh = Fresh(connection)
        self._pages: dict[str | None, int] = {}  # URLs of the batch's pages: what their links are stored with as referrer

    @property
    def seq(self) -> int:
        """The last place given out; the caller stores it as meta `seq` in the same transaction."""
        return self._seq

    # -- admission -----------------------------------------------------------------------------------------------

    def admit(self, candidates: Iterable[Candidate]) -> Admitted:
        """Insert what is not yet known; return the tasks that are newly queued."""
        admitted = Admitted()
        while candidates:
            candidates = self._admit_distinct(candidates, admitted)
        self._fresh.settle(self._seq)
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
        """Return the candidates that are not known, and those whose key another URL holds."""
        found = dict(
            read_rows(
                self._db,
                "WITH j (key, url) AS (VALUES {rows}) SELECT j.key, u.id IS NOT NULL FROM j LEFT JOIN fresh f ON f.key = j.key"
                " LEFT JOIN seen s ON s.key = j.key AND f.id IS NULL LEFT JOIN urls u ON u.id = coalesce(f.id, s.id)"
                " WHERE u.id IS NULL OR u.url <> j.url",
                [(key, candidate.url) for key, candidate in unique.items()],
            )
        )
        new = [candidate for key, candidate in unique.items() if found.get(key) == 0]
        return new, [unique[key] for key, taken in found.items() if taken]

    def _ids(self, keys: Iterable[int]) -> dict[int, int]:
        """Return the ids of those URLs that are known, by key."""
        return dict(
            read_rows(
                self._db,
                "WITH j (key) AS (VALUES {rows}) SELECT j.key, coalesce(f.id, s.id) AS found FROM j"
                " LEFT JOIN fresh f ON f.key = j.key LEFT JOIN seen s ON s.key = j.key WHERE found IS NOT NULL",
                [(key,) for key in keys],
            )
        )

    def _rekeyed(self, candidate: Candidate) -> Candidate:
        """Give a URL whose fingerprint is another URL's the first of its other keys that is free, or its own already."""
        for attempt in range(1, REHASHES):
            key = self._rehash(candidate.url, attempt)
            known = self._ids([key]).get(key)
            if known is None or self._db.execute("SELECT url FROM urls WHERE id = ?", (known,)).fetchone()[0] == candidate.url:
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
                row = self._db.execute("SELECT admitted FROM tallies WHERE host = ?", (self._host_id(candidate.host),)).fetchone()
                left = self._host_budget - (row[0] if row else 0)
            if left > 0:
                kept.append(candidate)
            else:
                admitted.over_budget.append(candidate)
            room[candidate.host] = left - 1
        return kept

    def _insert(self, new: list[Candidate], admitted: Admitted) -> None:
        urls, keys, places = [], [], []
        grown: dict[int, int] = {}
        page, page_id = None, None  # links of one page come together
        for c in new:
            self._seq += 1
            if c.referrer != page:
                page, page_id = c.referrer, self._pages.get(c.referrer, c.referrer)
            host = self._host_id(c.host)
            deep = self._depth is not None and c.depth > self._depth
            state = _TOO_DEEP if deep else _QUEUED
            rank = c.depth - c.priority
            urls.append((self._seq, c.key, c.url, host, rank, state, int(c.kind), _TEXTS[c.via], c.depth, c.hops, page_id))
            keys.append((c.key, self._seq))
            if deep:
                admitted.too_deep += 1
                continue
            places.append((slice_of_host(host), host, rank, self._seq))
            grown[host] = grown.get(host, 0) + 1
            admitted.tasks.append(
                Task(c.key, c.url, c.host, c.kind, c.depth, c.via, c.referrer, c.hops, attempts=0, rank=rank, seq=self._seq)
            )
        write_rows(self._db, "INSERT INTO urls (id, key, url, host, rank, state, kind, via, depth, hops, referrer) VALUES {rows}", urls)
        self._fresh.add_keys(keys)
        self._fresh.add_places(places)
        self._tally([(host, more, 0) for host, more in grown.items()])

    def _tally(self, rows: list[tuple[int, int, int]]) -> None:
        """Add to what is counted of hosts: (id, admitted, done)."""
        write_rows(
            self._db,
            "INSERT INTO tallies (host, admitted, done) VALUES {rows}"
            " ON CONFLICT (host) DO UPDATE SET admitted = admitted + excluded.admitted, done = done + excluded.done",
            rows,
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
            ids = self._ids(depths)
            known = read_rows(
                self._db,
                "WITH j (id) AS (VALUES {rows}) SELECT k.id, k.key, k.depth, k.state FROM j JOIN known k ON k.id = j.id",
                [(number,) for number in ids.values()],
            )
            shorter = [(number, key, state) for number, key, depth, state in known if depths[key] < depth]
            if not shorter:
                return
            self._db.executemany("UPDATE urls SET depth = ? WHERE id = ?", [(depths[key], number) for number, key, _ in shorter])
            limit = self._depth if self._depth is not None else 0
            self._promote([number for number, key, state in shorter if state == State.TOO_DEEP and depths[key] <= limit], admitted)
            depths = self._passed_on({key: depths[key] for _, key, state in shorter if state == State.DONE})

    def _passed_on(self, crawled: dict[int, int]) -> dict[int, int]:
        """Return the depths at which the targets of crawled pages are reached now."""
        edges = read_rows(
            self._db,
            "WITH j (key) AS (VALUES {rows}) SELECT e.key, e.near, e.far FROM j JOIN edges e ON e.key = j.key",
            [(key,) for key in crawled],
        )
        reached: dict[int, int] = {}
        for key, near, far in edges:
            for targets, depth in ((near, crawled[key]), (far, crawled[key] + 1)):
                for target in _DECODE(targets):
                    reached[target] = min(depth, reached.get(target, depth))
        return reached

    def _promote(self, ids: list[int], admitted: Admitted) -> None:
        """Queue URLs that were set aside as too deep."""
        for number in ids:
            key, url, kind, via, depth, hops, host, referrer = self._db.execute(
                "SELECT u.key, u.url, u.kind, u.via, u.depth, u.hops, u.host, k.referrer FROM urls u JOIN known k ON k.id = u.id"
                " WHERE u.id = ?",
                (number,),
            ).fetchone()
            candidate = Candidate(key, url, url_host(url), Kind(kind), Via(via), depth, hops, referrer)
            admitted.too_deep -= 1
            if not self._within_budget([candidate], admitted):
                self._db.execute("DELETE FROM urls WHERE id = ?", (number,))
                self._fresh.drop_key(key)
                continue
            self._db.execute("UPDATE urls SET state = ?, rank = ? WHERE id = ?", (State.QUEUED, depth, number))
            self._fresh.add_late_place(host, depth, number)
            self._tally([(host, 1, 0)])
            admitted.tasks.append(
                Task(key, url, candidate.host, Kind(kind), depth, Via(via), referrer, hops, attempts=0, rank=depth, seq=number)
            )

    def parents_depth(self, ids: list[int]) -> dict[int, int]:
        """Return the shortest depths known of pages, by id: a shorter path may have been found since they were leased."""
        return dict(
            read_rows(
                self._db, "WITH j (id) AS (VALUES {rows}) SELECT u.id, u.depth FROM j JOIN urls u ON u.id = j.id", [(n,) for n in ids]
            )
        )

    def remember_edges(self, rows: list[tuple[int, list[int], list[int]]]) -> None:
        """Store (page, targets at its own depth, targets one deeper), all of them keys, for later shorter paths."""
        self._db.executemany(
            "INSERT OR REPLACE INTO edges (key, near, far) VALUES (?, ?, ?)", [(k, _ENCODE(n), _ENCODE(f)) for k, n, f in rows]
        )

    # -- the queue -----------------------------------------------------------------------------------------------

    def finish(self, rows: list[tuple[Task, Outcome, int]]) -> None:
        """Take leased URLs out of the queue and store their outcome and where their record begins."""
        hosts = [self._host_id(task.host) for task, _, _ in rows]
        self._fresh.drop_places([(slice_of_host(host), host, task.rank, task.seq) for host, (task, _, _) in zip(hosts, rows, strict=True)])
        ends = sorted((task.seq, _TEXTS[outcome], line) for task, outcome, line in rows)
        write_rows(self._db, "INSERT INTO done (id, outcome, line) VALUES {rows}", ends)
        self._tally([(host, 0, count) for host, count in Counter(hosts).items()])
        self._pages = {task.url: task.seq for task, _, _ in rows}

    def postpone(self, task: Task, attempts: int, not_before: float) -> None:
        """Store that `task` was tried `attempts` times and waits until `not_before` (seconds since the epoch)."""
        self._db.execute("UPDATE urls SET attempts = ?, not_before = ? WHERE id = ?", (attempts, not_before, task.seq))

    def pause_host(self, host: str, until: float) -> None:
        """Store that `host` rests until `until` (seconds since the epoch)."""
        self._db.execute("UPDATE hosts SET paused_until = ? WHERE id = ?", (until, self._host_id(host)))

    def read_queue(self, host: str, after: Place, limit: int) -> tuple[list[tuple[Task, float]], bool]:
        """Return up to `limit` queued URLs of `host` beyond `after`, and whether that is all.

        Each comes with the time before which it must wait (seconds since the epoch, 0: now).
        """
        return self.read_queues([(host, after, limit)])[0]

    def read_queues(self, wanted: Sequence[tuple[str, Place, int]]) -> list[tuple[list[tuple[Task, float]], bool]]:
        """Do what `read_queue` does for many hosts at once: a resumed crawl asks for all of them."""
        most = max(limit for _, _, limit in wanted)
        places = [(number, name, rank, seq) for number, (name, (rank, seq), _) in enumerate(wanted)]
        found: list[list[tuple[Task, float]]] = [[] for _ in wanted]
        for number, *values in read_rows(self._db, _READ_QUEUES.replace("{most}", str(most)), places):
            for key, url, kind, depth, via, referrer, hops, attempts, rank, seq, not_before in _DECODE(values[0]):
                task = Task(key, url, wanted[number][0], _KINDS[kind], depth, _VIAS[via], referrer, hops, attempts, rank, seq)
                found[number].append((task, not_before))
        return [(rows[:limit], len(rows) < limit) for rows, (_, _, limit) in zip(found, wanted, strict=True)]

    def waiting_hosts(self) -> list[tuple[str, int, float]]:
        """Return (host, queued URLs, paused until) of every host that has any."""
        return self._db.execute(
            "SELECT h.name, t.admitted - t.done, h.paused_until FROM tallies t JOIN hosts h ON h.id = t.host"
            " WHERE t.admitted > t.done ORDER BY h.id"
        ).fetchall()


def seed_redirects(connection: sqlite3.Connection) -> list[str]:
    """Return the URLs that seeds redirected to: they extend the scope of the crawl (`policy.admit.Door`)."""
    return [url for (url,) in connection.execute("SELECT url FROM urls WHERE via = 'redirect' AND depth = 0")]
