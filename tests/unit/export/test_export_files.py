"""Lines, Parquet and SQLite, read back by programs that are not ours."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from made_source import BOOKS, books, record, source

from crawler.errors import StoreError, UsageError
from crawler.export.formats import parse_output, write
from crawler.export.places import MARK


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def count(files: str, where: str = "true") -> int:
    [row] = duckdb.sql(f"SELECT count(*) FROM '{files}' WHERE {where}").fetchall()
    return int(row[0])


@pytest.mark.parametrize(("name", "program"), [("o.jsonl", "cat"), ("o.jsonl.gz", "zcat"), ("o.jsonl.zst", "zstdcat")])
def test_json_lines(name: str, program: str) -> None:
    assert write(parse_output(name), books()) == 3
    lines = subprocess.run([program, name], capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line)["url"] for line in lines] == ["http://a.example/1", "http://b.example/2", "http://b.example/3"]
    assert write(parse_output(f"{name}?items=book"), books()) == 3
    lines = subprocess.run([program, name], capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [book for book in BOOKS if book["type"] == "book"]


def test_csv_of_records_and_of_items() -> None:
    assert write(parse_output("o.csv"), books()) == 3
    with Path("o.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["fetched", "fetched", "failed"]
    assert not {"text", "links", "headers", "simhash", "anchors", "fragments"} & rows[0].keys()
    assert write(parse_output("o.csv?items=book"), books()) == 3
    with Path("o.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0].values()) == ['Ä, "b"', "12.5", "100", "true", '["x","y"]', "", "1", "http://a.example/1"]
    assert rows[1]["title"] == "'=1+1", "a spreadsheet would run it"


def test_parquet_has_typed_columns() -> None:
    assert write(parse_output("o.parquet"), books()) == 3
    table = pq.read_table("o.parquet")
    first, second, third = table.to_pylist()
    assert first["robots"] == ["noindex", "nofollow"]
    assert first["headers"] == '{"server":"x"}'
    assert first["fetched_at"] == datetime(2026, 1, 31, 23, 59, 59, 123000, tzinfo=UTC)
    assert (second["text"], second["simhash"], second["status"]) == ("Ünï \U0001f4da", "00ff", 200)
    assert (third["fetched_at"], third["status"], third["outcome"]) == (None, None, "failed")
    types = duckdb.sql("SELECT typeof(fetched_at), typeof(robots), typeof(bytes) FROM 'o.parquet'").fetchall()
    assert types[0] == ("TIMESTAMP WITH TIME ZONE", "VARCHAR[]", "BIGINT")


def test_parquet_of_items() -> None:
    assert write(parse_output("o.parquet?items=book"), books()) == 3
    rows = duckdb.sql("SELECT title, price, pages, new, tags, nothing, extra, url FROM 'o.parquet'").fetchall()
    assert rows[0] == ('Ä, "b"', 12.5, 100, True, '["x","y"]', None, "1", "http://a.example/1")
    assert rows[2] == ("line\nbreak", None, 2**62, None, None, None, None, "http://b.example/2")


def test_parquet_without_rows_still_has_its_columns() -> None:
    assert write(parse_output("o.parquet"), source()) == 0
    assert "url" in pq.read_schema("o.parquet").names


def test_parquet_in_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.export.parquet._BATCH", 10)
    monkeypatch.setattr("crawler.export.parquet._GROUP_ROWS", 30)
    assert write(parse_output("o.parquet"), source([record(f"http://a.example/{n}") for n in range(95)])) == 95
    file = pq.ParquetFile("o.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [30, 30, 30, 5]
    assert file.read()["url"].to_pylist() == [f"http://a.example/{n}" for n in range(95)]


def test_parquet_by_host() -> None:
    assert write(parse_output("o.parquet?partition=host"), books()) == 3
    assert sorted(path.as_posix() for path in Path("o.parquet").glob("*/*")) == [
        "o.parquet/host=a.example/part-0.parquet",
        "o.parquet/host=b.example/part-0.parquet",
    ]
    assert count("o.parquet/*/*.parquet", "host = 'b.example'") == 2
    assert write(parse_output("o.parquet?partition=host&items=book"), books()) == 3
    assert count("o.parquet/*/*.parquet", "host = 'a.example' AND price > 4") == 1
    assert Path("o.parquet", MARK).exists()


def test_parquet_by_date() -> None:
    assert write(parse_output("o.parquet?partition=date"), books()) == 3
    dates = duckdb.sql(
        "SELECT date::VARCHAR, count(*) FROM read_parquet('o.parquet/*/*.parquet', hive_partitioning=true) GROUP BY 1 ORDER BY 1"
    )
    found = dates.fetchall()
    assert ("2026-01-31", 1) in found
    assert ("2026-02-01", 1) in found
    assert sum(rows for _, rows in found) == 3, "what has no date is there, too"
    with pytest.raises(UsageError, match="no date"):
        write(parse_output("o.parquet?partition=date&items=book"), books())


def test_many_partitions_in_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.export.partitions._OPEN_FILES", 3)
    monkeypatch.setattr("crawler.export.partitions._WAITING_PIECES", 8)
    monkeypatch.setattr("crawler.export.parquet._BATCH", 7)
    hosts = [f"http://[::{n % 11}]:80{n % 11:02}/{n}" for n in range(100)]
    assert write(parse_output("o.parquet?partition=host"), source([record(url) for url in hosts])) == 100
    assert count("o.parquet/*/*.parquet") == 100
    rows = duckdb.sql("SELECT url, host FROM read_parquet('o.parquet/*/*.parquet', hive_partitioning=true)").fetchall()
    assert sorted(url for url, _ in rows) == sorted(hosts)
    assert all(url.startswith(f"http://{host}:") for url, host in rows), "names of folders are decoded by the reader"


def test_sqlite_has_a_table_for_records_and_for_each_type_of_item() -> None:
    assert write(parse_output("o.sqlite"), books()) == 3 + 4
    db = sqlite3.connect("o.sqlite")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {"records", "book", "author"}
    assert db.execute("SELECT outcome, count(*) FROM records GROUP BY 1 ORDER BY 1").fetchall() == [("failed", 1), ("fetched", 2)]
    assert db.execute("SELECT json_extract(robots, '$[1]'), typeof(bytes) FROM records LIMIT 1").fetchone() == ("nofollow", "integer")
    assert db.execute("SELECT title, price, pages, new, tags FROM book").fetchone() == ('Ä, "b"', 12.5, 100, 1, '["x","y"]')
    plan = db.execute("EXPLAIN QUERY PLAN SELECT * FROM records WHERE url = 'x'").fetchone()[3]
    assert "records_url" in plan
    db.close()


def test_sqlite_of_one_type_with_a_name() -> None:
    assert write(parse_output('o.db?items=book&table=my "books"'), books()) == 3
    db = sqlite3.connect("o.db")
    assert db.execute('SELECT count(*) FROM "my ""books"""').fetchone() == (3,)
    db.close()


def test_a_full_disk_leaves_what_was_there() -> None:
    Path("o.parquet").write_text("old")
    broken = source([record()])

    def records() -> None:
        raise OSError(28, "No space left on device")

    for name in ("o.parquet", "o.jsonl", "o.sqlite"):
        target = Path(name)
        target.write_text("old")
        with pytest.raises(StoreError, match="No space left"):
            write(parse_output(name), type(broken)(records, broken.items, {}, broken.archives, []))  # type: ignore[arg-type]
        assert target.read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["o.jsonl", "o.parquet", "o.sqlite"]
