"""A database that ends the connection half way, and one that gets names and values which a hostile page chose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from test_export_postgres import psql, server  # noqa: F401 (fixtures)

from crawler.errors import StoreError
from crawler.export.postgres import write_postgres
from crawler.export.source import Source
from crawler.model import Outcome, Record, Via

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crawl'"
NAMES = ["", "nul\0", 'q"uote', "x" * 80 + "1", "x" * 80 + "2", "percent %s", "URL"]


def record(url: str) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 0, "via": Via.SEED, "robots": []}
    return Record(**(known | {"attempts": 1, "fetched_at": "2026-01-31T23:59:59.123Z"}))  # type: ignore[arg-type]


def source(records: Any = list, items: Any = lambda _type: iter(())) -> Source:
    return Source(records=records, items=items, item_fields={}, archives=list, seeds=[])


def test_a_connection_that_ends_half_way_leaves_nothing_and_the_next_export_all(server: str, psql: Any) -> None:  # noqa: F811
    def rows(end_at: int) -> Iterator[Record]:
        for number in range(20_000):
            if number == end_at:
                psql(END)
            yield record(f"http://a.example/{number}")

    with pytest.raises(StoreError, match=r"terminating connection|closed|lost"):
        write_postgres(source(lambda: rows(10_000)), server, table="half")
    assert psql("SELECT to_regclass('half') IS NULL") == ["t"]
    assert write_postgres(source(lambda: rows(-1)), server, table="half") == 20_000


def test_any_names_of_fields_are_columns(server: str, psql: Any) -> None:  # noqa: F811
    item = {"type": "odd", "url": "u", **{name: f"{name}\0" for name in NAMES}}
    lines = lambda item_type: iter([json.dumps(item).encode()] if item_type in (None, "odd") else [])  # noqa: E731
    assert write_postgres(source(items=lines), server, items="odd") == 1
    [row] = [msgspec.json.decode(line) for line in psql("SELECT to_json(odd) FROM odd")]
    assert [value for name, value in row.items() if name not in ("url", "item_number")] == [
        f"{name}\0".replace("\0", "\ufffd") for name in NAMES
    ]
