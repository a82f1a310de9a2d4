"""What was admitted lately: its place in the two large indexes is in memory, and moves to the disk a slice at a time.

A new URL is one row at the end of ``urls``, which is all that must be durable. But its key belongs anywhere in ``seen`` and its
place anywhere in ``queue``: written there at once, each would cost a page of each. So new entries are kept in two tables in
memory, in the same transaction, and when there are many of them, one slice of the key space (and the hosts of the same number) is
moved to the disk: thousands of rows to neighbouring pages. The slices take turns, so no transaction bears much of it.

``settled`` (in ``meta``) says for each slice up to which id all of it is on disk. What lies beyond is read from ``urls`` at start.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from crawler.frontier.rows import write_rows

SCHEMA: Final = """
CREATE TABLE seen (           -- which URL has a key; those lately admitted are in memory
  key INTEGER PRIMARY KEY,    -- fingerprint of the URL, or another key if that is another URL's
  id INTEGER NOT NULL
);
CREATE TABLE queue (          -- what is to be fetched; likewise
  slice INTEGER NOT NULL,
  host INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  seq INTEGER NOT NULL,       -- the URL's id
  PRIMARY KEY (slice, host, rank, seq)
) WITHOUT ROWID;
"""

_IN_MEMORY: Final = """
CREATE TEMP TABLE fresh (key INTEGER PRIMARY KEY, id INTEGER NOT NULL);
CREATE TEMP TABLE fresh_queue (slice INTEGER NOT NULL, host INTEGER NOT NULL, rank INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (slice, host, rank, seq)) WITHOUT ROWID;
CREATE TEMP TABLE slices (number INTEGER PRIMARY KEY, settled INTEGER NOT NULL);
"""

_DROP: Final = (  # a subquery: with a bare list of VALUES, SQLite 3.40 would scan the table
    "WITH j AS (VALUES {rows}) DELETE FROM {table} WHERE (slice, host, rank, seq) IN (SELECT * FROM j)"
)

SLICES: Final = 64
_KEY_BITS: Final = 64 - 6  # of a key, below those that number its slice
_HELD: Final = 1 << 18  # keys in memory, about 50 bytes each with their places in the queue


def slice_of_host(host: int) -> int:
    """Return the slice that holds the queue of the host with this id."""
    return host % SLICES


class Fresh:
    """The tables in memory; used by the writer thread alone, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read from `connection` what its tables lack."""
        self._db = connection
        self._settled = settled(connection)
        self._next = self._settled.index(min(self._settled))  # the slices take turns, so the oldest is next
        connection.executescript(_IN_MEMORY)
        write_rows(connection, "INSERT INTO slices VALUES {rows}", list(enumerate(self._settled)))
        self._held = self._load()

    def _load(self) -> int:
        oldest = min(self._settled)
        held = self._db.execute(
            "INSERT INTO fresh SELECT u.key, u.id FROM urls u WHERE u.id > ?"
            f" AND u.id > (SELECT settled FROM slices WHERE number = (u.key >> {_KEY_BITS}) + {SLICES // 2}) ORDER BY u.key",
            (oldest,),
        ).rowcount
        self._db.execute(
            f"INSERT INTO fresh_queue SELECT u.host % {SLICES}, u.host, u.rank, u.id FROM urls u LEFT JOIN done d ON d.id = u.id"
            f" WHERE u.id > ? AND u.state = 0 AND d.id IS NULL AND u.id > (SELECT settled FROM slices WHERE number = u.host % {SLICES})"
            " ORDER BY 1, 2, 3, 4",
            (oldest,),
        )
        return held

    def add_keys(self, rows: list[tuple[int, int]]) -> None:
        """Note the keys of new URLs: (key, id)."""
        self._held += len(rows)
        write_rows(self._db, "INSERT INTO fresh VALUES {rows}", rows)

    def add_places(self, rows: list[tuple[int, int, int, int]]) -> None:
        """Note the places of newly queued URLs: (slice, host, rank, seq)."""
        write_rows(self._db, "INSERT INTO fresh_queue VALUES {rows}", rows)

    def add_late_place(self, host: int, rank: int, seq: int) -> None:
        """Queue a URL that was admitted some time ago: it belongs where `_load` will not look for it, or will."""
        table = "queue" if seq <= self._settled[slice_of_host(host)] else "fresh_queue"
        self._db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", (slice_of_host(host), host, rank, seq))

    def drop_places(self, rows: list[tuple[int, int, int, int]]) -> None:
        """Take URLs out of the queue: (slice, host, rank, seq)."""
        left = len(rows) - write_rows(self._db, _DROP.replace("{table}", "fresh_queue"), rows)
        if left:
            write_rows(self._db, _DROP.replace("{table}", "queue"), rows)

    def drop_key(self, key: int) -> None:
        """Forget a URL."""
        self._held -= self._db.execute("DELETE FROM fresh WHERE key = ?", (key,)).rowcount
        self._db.execute("DELETE FROM seen WHERE key = ?", (key,))

    def settle(self, last: int) -> None:
        """Move slices to the disk while memory holds too many; `last` is the highest id in ``urls``."""
        moved = False
        while self._held > _HELD:
            self._move(self._next)
            self._settled[self._next] = last
            self._next = (self._next + 1) % SLICES
            moved = True
        if moved:
            value = msgspec.json.encode(self._settled).decode()
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('settled', ?)", (value,))

    def _move(self, number: int) -> None:
        first = (number - SLICES // 2) << _KEY_BITS
        keys = (first, first + (1 << _KEY_BITS) - 1)
        self._db.execute("INSERT INTO seen SELECT key, id FROM fresh WHERE key BETWEEN ? AND ? ORDER BY key", keys)
        self._held -= self._db.execute("DELETE FROM fresh WHERE key BETWEEN ? AND ?", keys).rowcount
        self._db.execute("INSERT INTO queue SELECT * FROM fresh_queue WHERE slice = ? ORDER BY host, rank, seq", (number,))
        self._db.execute("DELETE FROM fresh_queue WHERE slice = ?", (number,))


def settled(connection: sqlite3.Connection) -> list[int]:
    """Return for each slice the id up to which its part of ``seen`` and ``queue`` is complete on disk."""
    row: Any = connection.execute("SELECT value FROM meta WHERE key = 'settled'").fetchone()
    return msgspec.json.decode(row[0], type=list[int]) if row else [0] * SLICES
