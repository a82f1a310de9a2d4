"""Archives of whole crawls, read back by programs that are not ours: warcio, FastWARC, cdxj-indexer, wacz."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
import zipfile
from base64 import b32encode
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fastwarc
from conftest import Crawl, Documentation, NginxSite, Read, Running, Site, Spawn
from sites.exchanges import Read as WarcRecord
from sites.exchanges import read_warc, warcio_check
from warcio.archiveiterator import ArchiveIterator

Record = dict[str, Any]


def wait_until_recorded(log: Path, goal: int, running: Running) -> None:
    deadline = time.monotonic() + 60
    while running.running and (log.read_bytes().count(b"\n") if log.exists() else 0) < goal:
        assert time.monotonic() < deadline, "the crawl makes no progress"
        time.sleep(0.005)


def exchanges(path: Path) -> dict[str, WarcRecord]:
    """Return the responses and revisits of a WARC file by URL, each of which must be there once, with its request."""
    found: dict[str, WarcRecord] = {}
    requests: set[str] = set()
    for record in read_warc(path.read_bytes()):
        url = record.fields.get("WARC-Target-URI")
        if record.type == "request":
            assert url not in requests
            requests.add(url)
        elif url is not None:
            assert url not in found
            found[url] = record
    assert found.keys() == requests
    return found


def another_index(path: Path) -> list[tuple[str, str, Record]]:
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "cdxj_indexer.main", "--sort", path], capture_output=True, check=True)
    return index_lines(done.stdout)


def index_lines(data: bytes) -> list[tuple[str, str, Record]]:
    found = [line.split(" ", 2) for line in data.decode().splitlines()]
    return [(key, at, {name: value for name, value in json.loads(text).items() if name != "recordDigest"}) for key, at, text in found]


def validate_wacz(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "wacz.main", "validate", "-f", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def pages_of(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as package:
        _, *pages = map(json.loads, package.read("pages/pages.jsonl").splitlines())
    assert len(pages) == len({page["url"] for page in pages})
    return {page["url"] for page in pages}


def decoded_payloads(path: Path) -> dict[str, bytes]:
    """Return the decoded payload of each response."""
    with path.open("rb") as file:
        return {
            record.rec_headers["WARC-Target-URI"]: record.content_stream().read()
            for record in ArchiveIterator(file)
            if record.rec_type == "response"
        }


def check_against_records(folder: Path, records: list[Record]) -> None:
    """Compare a WARC file, its index and a WACZ with the records of the crawl."""
    answered = {record["url"]: record for record in records if record["status"] is not None}
    archived = exchanges(folder / "all.warc.gz")
    warcio_check(folder / "all.warc.gz")
    assert archived.keys() == answered.keys()
    assert [url for url, one in archived.items() if one.http.get_statuscode() != str(answered[url]["status"])] == []
    payloads = decoded_payloads(folder / "all.warc.gz")
    fetched = {url for url, record in answered.items() if record["outcome"] == "fetched" and url in payloads}
    assert [url for url in fetched if hashlib.sha256(payloads[url]).hexdigest() != answered[url]["digest"]] == []
    assert index_lines((folder / "all.cdxj").read_bytes()) == another_index(folder / "all.warc.gz")
    assert pages_of(folder / "all.wacz") == {record["url"] for record in records if record["outcome"] == "fetched"}


def test_archives_of_a_crawl_that_was_killed_again_and_again(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    pages, kills, chance = 160, 3, random.Random(7)
    server = site("generated", "--pages", pages, "--missing-every", 20, "--redirect-every", 15, "--latency", 0.005)
    outputs = [argument for name in ("all.warc.gz", "all.wacz", "out.jsonl") for argument in ("-o", tmp_path / name)]
    command = ["run", server.url, "--dir", tmp_path / "home", *outputs, "--delay", 0, "--per-host", 8]
    small = {"CRAWL_STORE__ARCHIVE_SIZE": "12000"}
    for kill in range(kills):
        running = spawn_crawl(*command, env=small)
        wait_until_recorded(tmp_path / "home" / "records.jsonl", (kill + 1) * pages // (kills + 2), running)
        time.sleep(chance.uniform(0, 0.05))
        assert running.running, f"it ended before kill {kill + 1}: {running.wait()}"
        running.kill()
        assert not (tmp_path / "all.warc.gz").exists()
    finished = crawl(*command, env=small)
    assert finished.code == 0, finished
    segments = sorted(path.name for path in (tmp_path / "home" / "archive").iterdir())
    assert len(segments) > 5
    assert not [name for name in segments if name.endswith(".open")]
    records = read_records(tmp_path / "out.jsonl")
    assert len(records) > pages
    check_against_records(tmp_path, records)
    validate_wacz(tmp_path / "all.wacz")
    assert {one.http.get_statuscode() for one in exchanges(tmp_path / "all.warc.gz").values()} == {"200", "302", "404"}


def test_a_stopped_crawl_is_exported_and_holds_the_very_bytes_that_were_served(
    documentation: Documentation, nginx_site: NginxSite, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    root = documentation("python3.11/html", "python3.11-doc")
    server = nginx_site(root)
    archive = {"CRAWL_STORE__ARCHIVE": "true"}
    stopped = crawl("run", f"{server.url}index.html", "--dir", tmp_path / "home", "--delay", 0, "--max-pages", 30, env=archive)
    assert stopped.code == 0, stopped
    for name in ("all.warc.gz", "all.wacz", "out.jsonl"):
        exported = crawl("export", tmp_path / "home", "-o", tmp_path / name)
        assert exported.code == 0, exported
    check_against_records(tmp_path, read_records(tmp_path / "out.jsonl"))
    with (tmp_path / "all.warc.gz").open("rb") as file:
        for record in fastwarc.ArchiveIterator(file, record_types=fastwarc.WarcRecordType.response):
            if record.http_headers.status_code == 200:
                path = root / unquote(urlsplit(record.headers["WARC-Target-URI"]).path).lstrip("/")
                assert record.reader.read() == path.read_bytes(), path
                digest = hashlib.sha1(path.read_bytes()).digest()
                assert record.headers["WARC-Payload-Digest"] == f"sha1:{b32encode(digest).decode()}"


def test_the_archives_of_several_processes_become_one(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", 3, "--pages", 5)
    outputs = [argument for name in ("all.warc.gz", "all.wacz", "out.jsonl") for argument in ("-o", tmp_path / name)]
    done = crawl("run", server.url, "--scope", "any", "--dir", tmp_path / "home", "--processes", 2, *outputs, "--delay", 0)
    assert done.code == 0, done
    records = read_records(tmp_path / "out.jsonl")
    assert len({urlsplit(record["url"]).netloc for record in records}) == 3
    check_against_records(tmp_path, records)


def test_an_answer_that_was_too_large_is_archived_as_far_as_it_was_taken(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 3, "--page-bytes", 9000)
    output = ["--dir", tmp_path / "home", "-o", tmp_path / "all.warc.gz"]
    done = crawl("run", server.url, *output, "--max-body", 5000, "--delay", 0, "--retries", 0)
    assert (tmp_path / "all.warc.gz").exists(), done
    (record,) = exchanges(tmp_path / "all.warc.gz").values()
    assert record.fields["WARC-Truncated"] == "length"
    warcio_check(tmp_path / "all.warc.gz")
