"""An SQLite database: the records in one table, each type of item in another; lists and nested values are JSON text."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from crawler.errors import StoreError
from crawler.export.places import new_file
from crawler.export.source import Source
from crawler.export.tables import Table, tables_of

_BATCH: Final = 1_000  # rows inserted at once
_TYPES: Final = {"integer": "INTEGER", "number": "REAL", "boolean": "INTEGER"}
_INDEXED: Final = ("url", "outcome")


def write_sqlite(source: Source, target: Path, *, items: str | None = None, table: str | None = None) -> int:
    """Write a new database and return the number of rows in all its tables. Raises UsageError, StoreError."""
    tables = tables_of(source, items=items, table=table)
    try:
        with new_file(target) as path, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")  # the file is nobody's until it is whole
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            count = sum(_write(db, one) for one in tables)
            db.execute("COMMIT")
            return count
    except sqlite3.Error as error:
        raise StoreError(f"{target}: cannot be written: {error}") from error


def _write(db: sqlite3.Connection, table: Table) -> int:
    plain = f"_{table.name}" if table.name.lower().startswith("sqlite_") else table.name  # those names are SQLite's own
    name = _quoted(plain)
    columns = ", ".join(f"{_quoted(column.name)} {_TYPES.get(column.kind, 'TEXT')}" for column in table.columns)
    db.execute(f"CREATE TABLE {name} ({columns})")
    insert = f"INSERT INTO {name} VALUES ({', '.join('?' * len(table.columns))})"
    lists = [index for index, column in enumerate(table.columns) if column.kind == "texts"]
    rows, count = _plain(table.rows(), lists), 0
    while batch := list(islice(rows, _BATCH)):
        db.executemany(insert, batch)
        count += len(batch)
    for column in table.columns:
        if column.name in _INDEXED and (column.name == "url" or not table.item):
            db.execute(f"CREATE INDEX {_quoted(f'{plain}_{column.name}')} ON {name} ({_quoted(column.name)})")
    return count


def _plain(rows: Iterator[tuple[Any, ...]], lists: list[int]) -> Iterator[list[Any]]:
    """Yield rows whose lists are JSON text."""
    for row in rows:
        values = list(row)
        for index in lists:
            if values[index] is not None:
                values[index] = msgspec.json.encode(values[index]).decode()
        yield values


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
