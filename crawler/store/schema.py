"""The layout of ``crawl.sqlite``: its mark, its version, its tables."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.errors import HomeError
from crawler.frontier.sqlite import SCHEMA as FRONTIER_SCHEMA

APPLICATION_ID: Final = 0x4372776C  # "Crwl"
VERSION: Final = 2

SCHEMA: Final = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, length INTEGER NOT NULL) WITHOUT ROWID;  -- committed length of each output
CREATE TABLE robots (origin TEXT PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;   -- JSON, policy.robots.RobotsEntry
CREATE TABLE refused (        -- links that did not pass the door, the first refused.KEPT of them
  key INTEGER PRIMARY KEY,
  url TEXT NOT NULL,
  rule TEXT NOT NULL,
  referrer TEXT,
  depth INTEGER NOT NULL
);
"""
    + FRONTIER_SCHEMA
)


def connect(path: Path, *, create: bool, any_older: bool = False) -> sqlite3.Connection:
    """Open the database of a home for writing and check its mark and version (`any_older`: one of an older version will do).

    Raises HomeError when it is not a crawl's, of another version, damaged, or not writable.
    """
    with ExitStack() as until_checked:
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
            until_checked.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit that was acknowledged survives a power cut
            connection.execute("PRAGMA cache_size = -32768")  # KiB
            connection.execute("PRAGMA wal_autocheckpoint = 4096")  # pages: a batch of many new URLs writes a thousand
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA busy_timeout = 5000")
            if create and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                _create(connection)
            check_version(connection, path, any_older=any_older)
        except sqlite3.DatabaseError as error:
            raise HomeError(f"{path}: cannot be used: {error}") from error
        until_checked.pop_all()
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;")


def check_version(connection: sqlite3.Connection, path: Path, *, any_older: bool = False) -> None:
    """Raise HomeError unless the open database is a crawl's and of this version, or `any_older` one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise HomeError(f"{path.parent} is not a crawl's home: its crawl.sqlite was made by another program; choose another --dir")
    if version > VERSION:
        raise HomeError(
            f"{path.parent} was made by a newer version of Crawl (format {version}, this one knows {VERSION}):"
            " upgrade Crawl, or choose another --dir"
        )
    if version < VERSION and not any_older:
        raise HomeError(
            f"{path.parent} was made by an older version of Crawl (format {version}, this one knows {VERSION}):"
            " use that version, choose another --dir, or start over with --fresh, which deletes it"
        )


def read_meta(connection: sqlite3.Connection, key: str) -> Any:
    """Return a value of the meta table (stored as JSON), or None."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0])


def write_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Store a value in the meta table as JSON."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, msgspec.json.encode(value).decode()))
