"""Outputs of a crawl read by programs that are not ours, and held against what the server has."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from warcio.archiveiterator import ArchiveIterator


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_records(folder: Path) -> list[dict[str, Any]]:
    """The lines of the JSONL file are as many as DuckDB counts in the Parquet file, and each URL is there once; return them."""
    records = lines(folder / "out.jsonl")
    urls = [record["url"] for record in records]
    assert [url for url, count in Counter(urls).items() if count > 1] == []
    counted = asked(f"SELECT count(*), count(DISTINCT url) FROM '{folder / 'out.parquet'}'")
    wc = int(subprocess.run(["wc", "-l", folder / "out.jsonl"], capture_output=True, check=True, text=True).stdout.split()[0])
    assert counted == (wc, wc)
    fetched = asked(f"SELECT count(*) FROM '{folder / 'out.parquet'}' WHERE outcome = 'fetched'")
    assert fetched == (sum(record["outcome"] == "fetched" for record in records),)
    return records


def asked(sql: str) -> tuple[Any, ...]:
    with duckdb.connect() as connection:
        row: tuple[Any, ...] = connection.execute(sql).fetchall()[0]
        return row


def check_warc(path: Path, records: list[dict[str, Any]], root: Path) -> None:
    """`warcio check` finds nothing; every answer is there once, with the digest of the served file as its payload's."""
    checked = subprocess.run([sys.executable, "-m", "warcio.cli", "check", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found: list[str] = []
    requests = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "request":
                requests += 1
            if record.rec_type not in ("response", "revisit"):
                continue
            url = record.rec_headers.get_header("WARC-Target-URI")
            found.append(url)
            if record.http_headers.get_statuscode() == "200":
                assert record.rec_headers.get_header("WARC-Payload-Digest") == digest_of(served(root, url)), url
    answered = [record["url"] for record in records if record["status"] is not None]
    assert sorted(found) == sorted(answered)
    assert requests == len(found)


def served(root: Path, url: str) -> Path:
    path = root / urllib.parse.unquote(urllib.parse.urlsplit(url).path).lstrip("/")
    return path / "index.html" if path.is_dir() else path


def digest_of(path: Path) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(path.read_bytes()).digest()).decode()


def check_index(index: Path, warc: Path) -> int:
    """Every line of the CDXJ leads to the record of its URL; return how many there are."""
    entries = list(cdxj(index))
    assert [entry[:2] for entry in entries] == sorted(entry[:2] for entry in entries)
    with warc.open("rb") as file:
        for _, _, fields in entries:
            file.seek(int(fields["offset"]))
            record = next(iter(ArchiveIterator(file)))
            assert record.rec_headers.get_header("WARC-Target-URI") == fields["url"]
    return len(entries)


def cdxj(index: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for line in index.read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            continue
        key, date, fields = line.split(" ", 2)
        yield key, date, json.loads(fields)


def check_wacz(path: Path, records: list[dict[str, Any]]) -> None:
    """`wacz validate` finds nothing, and every page is listed once."""
    checked = subprocess.run([sys.executable, "-m", "wacz.main", "validate", "-f", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with zipfile.ZipFile(path) as archive:
        text = archive.read("pages/pages.jsonl").decode()
        names = archive.namelist()
    pages = [json.loads(line)["url"] for line in text.splitlines()[1:]]
    html = [record["url"] for record in records if record["outcome"] == "fetched" and record["content_type"] == "text/html"]
    assert sorted(pages) == sorted(html)
    assert any(name.startswith("archive/") for name in names)


def check_markdown(folder: Path, records: list[dict[str, Any]]) -> None:
    """There is a file for each page with text, and the index leads to it."""
    with_text = {record["url"]: record["text"] for record in records if record["text"]}
    index = lines(folder / "index.jsonl")
    assert {entry["url"] for entry in index} == set(with_text)
    for entry in index:
        text = (folder / entry["file"]).read_text(encoding="utf-8")
        assert text.startswith("---\n")
        assert with_text[entry["url"]].strip() in text


def check_mirror(folder: Path, records: list[dict[str, Any]]) -> None:
    """There is a file for each URL that was fetched."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    fetched = [record for record in records if record["outcome"] == "fetched"]
    assert len(files) >= len(fetched)
