"""Links that belong to another process of the same crawl: kept from the transaction that found them until that process has them.

One process owns a host. What it finds of other processes' hosts goes into the table ``outbox`` in the transaction of the page that had
the link, and leaves it when the owner has said that it is durable there. In between any process may die at any time: what is in the table
is handed over again, and the owner, which knows what it has seen, takes each URL once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import xxhash
from msgspec import Struct

from crawler.frontier.sqlite import Candidate
from crawler.model import Kind, Via

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: the reader goes on behind the last one it saw
  target INTEGER NOT NULL,               -- number of the process that owns the host
  extends INTEGER NOT NULL,              -- whether the scope grows by it: then every process gets it
  link TEXT NOT NULL                     -- JSON of a candidate's fields
);
CREATE TABLE IF NOT EXISTS extensions (url TEXT PRIMARY KEY) WITHOUT ROWID;  -- what seeds redirected to, whoever found it
"""

_FIELDS: Final = Candidate.__struct_fields__
_ENCODE: Final = msgspec.json.encode
_DECODE: Final = msgspec.json.Decoder(tuple[int, str, str, Kind, Via, int, int, str | None, int])


class Parcel(Struct, frozen=True, array_like=True, gc=False):
    """A row of the outbox. `link` is JSON, made by one process and read by the other alone."""

    id: int
    target: int
    extends: bool
    link: str

    def candidate(self) -> Candidate:
        """Return the link as the frontier takes it."""
        return Candidate(*_DECODE.decode(self.link))


class Arrival(Struct, frozen=True):
    """What another process handed over: links of our hosts, and what seeds redirected to. Stored as it is, never handed on."""

    candidates: list[Candidate]
    extensions: list[str]
    scope_grew: bool


class Aside(Struct, frozen=True):
    """Something to be done with the database in the writer thread, between two transactions."""

    act: Callable[[], Any]


def owner_of(host: str, processes: int) -> int:
    """Return the number of the process that owns `host`; the same for ever, as homes are made by it."""
    return xxhash.xxh3_64_intdigest(host.encode()) % processes


class Outbox:
    """The tables ``outbox`` and ``extensions``; used by the writer thread alone, but for the start."""

    def __init__(self, connection: sqlite3.Connection, number: int, processes: int) -> None:
        """Be the outbox of process `number` of `processes`."""
        self._db = connection
        self._number = number
        self._processes = processes
        self.is_seed: Callable[[str], bool] = lambda _: False
        """Whether a URL is a seed or extended the scope; called in the writer thread."""
        self.extend: Callable[[str], bool] = lambda _: False
        """Extends the scope by a URL and says whether it grew; called in the reactor's thread."""
        self.on_committed: Callable[[], object] = lambda: None
        """Called in the reactor's thread after each transaction."""
        self.written = 0
        """Rows written by this process; may run ahead of the transaction, so it is a hint to read and nothing more."""
        connection.executescript(SCHEMA)

    def owns(self, host: str) -> bool:
        """Say whether `host` is this process's own."""
        return self.owner(host) == self._number

    def owner(self, host: str) -> int:
        """Return the number of the process that owns `host`."""
        return owner_of(host, self._processes)

    def divert(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Keep what is others' in the open transaction, and return what is ours."""
        ours: list[Candidate] = []
        rows: dict[tuple[int, str, bool], Candidate] = {}
        for candidate in candidates:
            owner = self.owner(candidate.host)
            if owner == self._number:
                ours.append(candidate)
            extends = candidate.via is Via.REDIRECT and candidate.depth == 0 and self.is_seed(candidate.url)
            if extends:
                self.learn(candidate.url)
            for target in range(self._processes) if extends else (owner,):
                if target != self._number:
                    rows.setdefault((target, candidate.url, extends), candidate)
        if rows:
            self._write(rows)
        return ours

    def take_in(self, operations: Iterable[object]) -> list[Candidate]:
        """Store in the open transaction what arrivals say of the scope, and return the links that they bring."""
        found: list[Candidate] = []
        for operation in operations:
            if isinstance(operation, Arrival):
                found += operation.candidates
                for url in operation.extensions:
                    self.learn(url)
        return found

    def _write(self, rows: dict[tuple[int, str, bool], Candidate]) -> None:
        encoded = [(target, extends, [getattr(candidate, name) for name in _FIELDS]) for (target, _, extends), candidate in rows.items()]
        self._db.execute(
            "INSERT INTO outbox (target, extends, link) SELECT value ->> 0, value ->> 1, value -> 2 FROM json_each(?)",
            (_ENCODE(encoded).decode(),),
        )
        self.written += len(rows)

    def learn(self, url: str) -> None:
        """Store in the open transaction that the scope grew by `url`."""
        self._db.execute("INSERT OR IGNORE INTO extensions (url) VALUES (?)", (url,))

    def extensions(self) -> list[str]:
        """Return the URLs by which the scope has grown."""
        return stored_extensions(self._db)

    def read(self, after: int, limit: int) -> list[Parcel]:
        """Return up to `limit` rows behind the row `after`, in order."""
        rows = self._db.execute("SELECT id, target, extends, link FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [Parcel(number, target, bool(extends), link) for number, target, extends, link in rows]

    def forget(self, numbers: list[int]) -> None:
        """Delete rows: their owners have them."""
        self._db.execute("DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))", (_ENCODE(numbers).decode(),))


def stored_extensions(connection: sqlite3.Connection) -> list[str]:
    """Return the URLs by which the scope has grown, from a home that may have no such table."""
    return [url for (url,) in connection.execute("SELECT url FROM extensions")] if _has(connection, "extensions") else []


def hands_on(connection: sqlite3.Connection, url: str) -> bool:
    """Say whether a link to `url` waits in the outbox of a home, which may have none."""
    return (
        _has(connection, "outbox")
        and connection.execute("SELECT 1 FROM outbox WHERE link ->> 1 = ? LIMIT 1", (url,)).fetchone() is not None
    )


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
