"""Outputs of one crawl as a user asks for them: by ``crawl run -o``, by the same command again, by ``crawl export`` later or meanwhile."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import SITES, Crawl, Finished, Read, Site, Spawn, run_crawl
from sites.process import SiteProcess

QUICKLY = ("--per-host", "16", "--delay", "0")
JOB = """
outputs = [
  "out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.csv", "out.parquet", "out.sqlite",
  { path = "pages.csv", items = "page" },
  { path = "links.parquet", items = "link", partition = "host" },
]
[extract.page]
fields = { title = "title", length = { xpath = "string-length(string(.))", type = "float" } }
[extract.link]
each = "a"
fields = { href = { css = "a", attribute = "href" } }
"""


def told(done: Finished) -> dict[str, int]:
    """What a crawl says it wrote at its end: how many things, by output."""
    notes = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"event": "output"')]
    return {note["output"]: note["count"] for note in notes}


def rows(query: str) -> list[Any]:
    found: list[Any] = duckdb.sql(query).fetchall()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished crawl of many outputs and its home; nobody here writes to the home."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "job.toml").write_text(JOB)
    server = SiteProcess(SITES / "generated.py", folder / "site.log", "--pages", 40, "--missing-every", 13, "--redirect-every", 17)
    try:
        done = run_crawl(folder, "run", server.url, "--job", "job.toml", "--dir", "home", *QUICKLY)
    finally:
        server.stop()
    assert done.code == 0, done
    (folder / "told.json").write_text(json.dumps(told(done)))
    return folder


def test_all_outputs_hold_the_records(folder: Path, read_records: Read) -> None:
    records = read_records(folder / "out.jsonl")
    log = (folder / "home" / "records.jsonl").read_bytes()
    assert len(records) > 40
    for name, program in (("out.jsonl", "cat"), ("out.jsonl.gz", "zcat"), ("out.jsonl.zst", "zstdcat")):
        assert subprocess.run([program, folder / name], capture_output=True, check=True).stdout == log
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row["url"] for row in csv.DictReader(file)] == [record["url"] for record in records]
    counted = rows(f"SELECT outcome, count(*), sum(bytes), min(fetched_at) IS NULL FROM '{folder}/out.parquet' GROUP BY 1")
    for outcome, count, size, undated in counted:
        these = [record for record in records if record["outcome"] == outcome]
        assert (len(these), sum(record["bytes"] or 0 for record in these)) == (count, size or 0)
        assert undated == all(record["fetched_at"] is None for record in these)
    assert sum(count for _, count, _, _ in counted) == len(records)
    db = sqlite3.connect(folder / "out.sqlite")
    assert [url for (url,) in db.execute("SELECT url FROM records ORDER BY rowid")] == [record["url"] for record in records]
    db.close()


def test_item_tables_hold_the_items(folder: Path, read_records: Read) -> None:
    items = read_records(folder / "home" / "items.jsonl")
    pages = [item for item in items if item["type"] == "page"]
    links = [item for item in items if item["type"] == "link"]
    assert len(links) > len(pages) > 30
    with (folder / "pages.csv").open(newline="", encoding="utf-8") as file:
        found = [(row["title"], float(row["length"]), row["url"]) for row in csv.DictReader(file)]
    assert found == [(page["title"], page["length"], page["url"]) for page in pages]
    hrefs = rows(f"SELECT href FROM read_parquet('{folder}/links.parquet/*/*.parquet', hive_partitioning=true) WHERE host = '127.0.0.1'")
    assert sorted(href for (href,) in hrefs) == sorted(link["href"] for link in links)
    db = sqlite3.connect(folder / "out.sqlite")
    assert db.execute("SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM link)").fetchone() == (len(pages), len(links))
    db.close()
    records = len((folder / "out.jsonl").read_text().splitlines())
    partitioned = "links.parquet?items=link&partition=host"
    assert json.loads((folder / "told.json").read_text()) == {
        "out.parquet": records,
        "out.sqlite": records + len(items),
        "pages.csv?items=page": len(pages),
        partitioned: len(links),
    }


def test_export_writes_any_form_later(folder: Path, crawl: Crawl, tmp_path: Path) -> None:
    home = folder / "home"
    done = crawl("export", home, "-o", "later.parquet", "--items", "link", "--partition", "host")
    assert (done.code, "items written to later.parquet" in done.stderr) == (0, True), done
    before = rows(f"SELECT href, url FROM '{folder}/links.parquet/*/*.parquet'")
    assert rows(f"SELECT href, url FROM '{tmp_path}/later.parquet/*/*.parquet'") == before
    assert crawl("export", home, "-o", "failed.db", "--outcome", "failed", "--table", "broken").code == 0
    db = sqlite3.connect(tmp_path / "failed.db")
    assert db.execute("SELECT count(*) > 0, min(outcome), max(outcome) FROM broken").fetchone() == (1, "failed", "failed")
    db.close()
    shown = crawl("export", home, "--items", "page", "--format", "csv")
    assert shown.stdout == (folder / "pages.csv").read_bytes().decode()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["-o", "a.wacz"], ["wacz", "store.archive = true", "crawl run -o a.wacz"]),
        (["-o", "a.md/"], ["store.text = 'markdown'"]),
        (["-o", "a.mirror/"], ["store.archive = true"]),
        (["--format", "parquet"], ["standard output", "--output"]),
        (["-o", "a.csv", "--items", "boat"], ["'boat'", "page, link"]),
        (["-o", "a.csv", "--items", "page", "--outcome", "failed"], ["--outcome chooses records"]),
        (["-o", "a.wacz", "--outcome", "failed"], ["--outcome chooses records"]),
        (["-o", "a.csv", "--partition", "host"], ["csv has no partition", "parquet"]),
        (["-o", "job.toml/a.csv"], ["does not exist"]),
        (["-o", "home/records.jsonl", "--overwrite"], ["lies in the crawl's home"]),
        (["-o", "home/crawl.sqlite", "--overwrite"], ["lies in the crawl's home"]),
    ],
    ids=" ".join,
)
def test_what_export_cannot_write_is_told_with_the_remedy(folder: Path, crawl: Crawl, arguments: list[str], parts: list[str]) -> None:
    done = crawl("export", folder / "home", *arguments, cwd=folder)
    assert (done.code, [part for part in parts if part not in done.stderr]) == (2, []), done


def test_a_crawl_goes_on_and_its_outputs_with_it(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    """Made at the end of a budget, made again when there is more, left alone when there is nothing new, written when one is missing."""
    server = site("generated", "--pages", 30)
    command = ["run", server.url, "--dir", "home", *QUICKLY, "-o", "out.parquet", "-o", "out.md/", "-o", "out.warc.gz"]
    first = crawl(*command, "--max-pages", 5)
    assert (first.code, told(first)["out.parquet"]) == (0, 5), first
    foreign = crawl(*command, "--fresh", "--max-pages", 5)
    assert (foreign.code, "out.parquet: exists already" in foreign.stderr) == (2, True), "a new crawl does not own what an old one wrote"
    second = crawl(*command)
    assert (second.code, told(second)["out.parquet"]) == (0, 30), second
    assert rows(f"SELECT count(DISTINCT url) FROM '{tmp_path}/out.parquet'") == [(30,)]
    assert len(list((tmp_path / "out.md").rglob("*.md"))) == told(second)["out.md/"] > 0
    (tmp_path / "out.parquet").unlink()
    third = crawl(*command, "-o", "new.sqlite")
    assert told(third) == {"out.parquet": 30, "new.sqlite": 30}, third
    assert told(crawl(*command)) == {}
    late = crawl("run", server.url, "--dir", "home", *QUICKLY, "-o", "site.mirror/")
    assert (late.code, "scope.requisites = true" in late.stderr, "--fresh" in late.stderr) == (2, True, True), late


def test_a_crawl_that_was_stopped_has_its_outputs_later(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = site("generated", "--pages", 60, "--latency", 0.05)
    command = ("run", server.url, "--dir", "home", "--delay", 0, "--per-host", 2, "-o", "out.parquet", "-o", "out.jsonl.gz")
    running = spawn_crawl(*command)
    log = tmp_path / "home" / "records.jsonl"
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_bytes().count(b"\n") > 5):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert crawl("export", "home", "-o", "meanwhile.parquet").code == 0
    running.signal(signal.SIGINT)
    stopped = running.wait(30)
    assert "Not made yet" in stopped.stderr
    assert not (tmp_path / "out.parquet").exists()
    assert 5 <= rows(f"SELECT count(*) FROM '{tmp_path}/meanwhile.parquet'")[0][0] < 60
    finished = crawl(*command)
    assert (finished.code, told(finished)) == (0, {"out.parquet": 60}), finished
    text = subprocess.run(["zcat", tmp_path / "out.jsonl.gz"], capture_output=True, check=True).stdout
    assert text == log.read_bytes()


def test_several_processes(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 5, "--hosts", 6)
    command = ["run", server.url, "--dir", "home", "--scope", "any", "--allow-address", "127.0.0.0/8", "--delay", 0, "--workers", 2]
    outputs = ["-o", "out.parquet?partition=host", "-o", "out.jsonl.zst", "-o", "out.sqlite"]
    done = crawl(*command, "--processes", 2, *outputs)
    assert (done.code, told(done)) == (0, {"out.parquet?partition=host": 30, "out.sqlite": 30}), done
    found = rows(f"SELECT count(DISTINCT url), count(DISTINCT host) FROM read_parquet('{tmp_path}/out.parquet/*/*.parquet')")
    assert found == [(30, 6)]
    assert subprocess.run(["zstdcat", tmp_path / "out.jsonl.zst"], capture_output=True, check=True).stdout.count(b"\n") == 30
    assert told(crawl(*command, "--processes", 2, *outputs)) == {}
    (tmp_path / "out.sqlite").unlink()
    assert told(crawl(*command, "--processes", 2, *outputs)) == {"out.sqlite": 30}
