"""Names of fields and types that hooks took from pages: every database takes the tables, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
from made_source import source

from crawler.export.parquet import write_parquet
from crawler.export.sqlite import write_sqlite
from crawler.export.tables import MAX_FIELDS, item_table

LONG = "x" * 80
ODD = {"": 1, "nul\0": 2, 'q"uote': 3, "\x1b[31m": "\x1b[31m", f"{LONG}1": 5, f"{LONG}2": 6, "URL": 7}


def test_odd_names_and_reserved_ones_are_columns_and_tables(tmp_path: Path) -> None:
    made = source(items=[{"type": "sqlite_stat1", "url": "u", **ODD}])
    names = [column.name for column in item_table(made, "sqlite_stat1").columns]
    assert names == ["_", "nul_", 'q"uote', "_[31m", "x" * 56, "x" * 56 + "_2", "URL_2", "url"]
    assert write_sqlite(made, tmp_path / "a.db", items="sqlite_stat1") == 1
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as db:
        assert db.execute("SELECT * FROM _sqlite_stat1").fetchall() == [(*ODD.values(), "u")]
    write_parquet(made, tmp_path / "a.parquet", items="sqlite_stat1")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [dict(zip(names, [*ODD.values(), "u"], strict=True))]


def test_fields_beyond_a_thousand_share_a_column(tmp_path: Path) -> None:
    fields = {f"f{number}": number for number in range(MAX_FIELDS + 500)}
    made = source(items=[{"type": "many", "url": "u", "more": "mine", **fields}, {"type": "many", "url": "v", "f0": 1}])
    write_sqlite(made, tmp_path / "a.db", items="many")
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as db:
        first, second = db.execute('SELECT more, f0, f998, more_2, url FROM "many" ORDER BY rowid')
        assert len(db.execute("SELECT * FROM many").fetchone()) == MAX_FIELDS + 2
    assert first[:3] == ("mine", 0, 998)
    assert json.loads(first[3]) == {f"f{number}": number for number in range(999, MAX_FIELDS + 500)}
    assert second == (None, 1, None, None, "v")
