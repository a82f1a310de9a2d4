"""status, why and export: what they say of a crawl, finished or running."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
from conftest import SITES, Crawl, Read, Site, Spawn, run_crawl
from sites.process import SiteProcess

QUICKLY = ("--per-host", "16", "--delay", "0")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished crawl with failures, redirects and refusals, and the address of its site. Nobody here writes to it."""
    folder = tmp_path_factory.mktemp("reading")
    server = SiteProcess(SITES / "generated.py", folder / "site.log", "--pages", 40, "--missing-every", 13, "--redirect-every", 17)
    try:
        done = run_crawl(folder, "run", server.url, "--dir", folder / "home", "--exclude", r"p/2\.html", *QUICKLY)
    finally:
        server.stop()
    assert done.code == 0, done
    return folder / "home", server.url


def test_status_says_what_the_records_say(home: tuple[Path, str], crawl: Crawl, read_records: Read) -> None:
    folder, url = home
    records = read_records(folder / "records.jsonl")
    told = json.loads(crawl("status", folder, "--json").stdout)
    assert (told["state"], told["seeds"], told["queued"], told["done"]) == ("finished", [url], 0, len(records))
    for outcome, count in told["counters"]["outcomes"].items():
        assert count == sum(record["outcome"] == outcome for record in records)
    text = crawl("status", folder).stdout
    assert f"{told['counters']['outcomes']['failed']:>8}  failed" in text
    assert str(folder / "records.jsonl") in text


def test_status_while_it_runs_and_after_a_kill(site: Site, spawn_crawl: Spawn, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 500, "--latency", 0.05)
    running = spawn_crawl("run", server.url, "--dir", tmp_path / "home", "--per-host", 2, "--delay", 0)
    deadline = time.monotonic() + 20
    while len(server.hits()) < 30 and time.monotonic() < deadline:
        time.sleep(0.1)
    told = json.loads(crawl("status", tmp_path / "home", "--json").stdout)
    assert (told["state"], told["pid"]) == ("running", running.pid)
    assert 0 < told["done"] < 500
    assert f"running (pid {running.pid})" in crawl("status", tmp_path / "home").stdout
    exported = crawl("export", tmp_path / "home")
    assert all(json.loads(line)["outcome"] == "fetched" for line in exported.stdout.splitlines())
    running.kill()
    text = crawl("status", tmp_path / "home").stdout
    assert "stopped before its end" in text
    assert f"crawl run {server.url} --dir {tmp_path / 'home'}" in text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", ["fetched", "as a seed, depth 0"]),
        ("p/1.html", ["fetched", "status 200", "as a link on "]),
        ("missing/13.html", ["failed (http_error)", "status 404"]),
        ("moved/17", ["redirected", "redirects to "]),
        ("p/2.html", [r"refused by exclude:p/2\.html", "linked from: "]),
        ("p/1.html?utm_source=x#part", ["the canonical form of", "fetched"]),
        ("a/a/a/a/a", ["not seen", "trap:repeated_segments"]),
        ("nowhere", ["not seen: nothing that was crawled so far leads to it"]),
    ],
)
def test_why(home: tuple[Path, str], crawl: Crawl, path: str, said: list[str]) -> None:
    folder, url = home
    answer = crawl("why", folder, url + path)
    assert answer.code == 0, answer
    for part in said:
        assert part in answer.stdout


def test_why_for_programs(home: tuple[Path, str], crawl: Crawl) -> None:
    folder, url = home
    told = json.loads(crawl("why", folder, f"{url}p/2.html", "--json").stdout)
    assert (told["known"]["state"], told["known"]["rule"]) == ("refused", r"exclude:p/2\.html")
    assert told["rules"][-1] == {"rule": r"exclude:p/2\.html", "passed": False}
    refused = crawl("why", folder, "ftp://example.com/")
    assert (refused.code, len(refused.error_lines)) == (2, 1)


def test_export_writes_what_was_recorded(home: tuple[Path, str], crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    folder, _ = home
    records = read_records(folder / "records.jsonl")
    assert [json.loads(line) for line in crawl("export", folder).stdout.splitlines()] == records
    rows = list(csv.DictReader(io.StringIO(crawl("export", folder, "--format", "csv").stdout)))
    assert [row["url"] for row in rows] == [record["url"] for record in records]
    failed = crawl("export", folder, "-o", tmp_path / "failed.jsonl", "--outcome", "failed")
    assert failed.code == 0, failed
    assert read_records(tmp_path / "failed.jsonl") == [record for record in records if record["outcome"] == "failed"]


def test_export_replaces_nothing_unasked(home: tuple[Path, str], crawl: Crawl, tmp_path: Path) -> None:
    output = tmp_path / "mine.csv"
    output.write_text("mine")
    refused = crawl("export", home[0], "-o", output)
    assert (refused.code, output.read_text()) == (2, "mine")
    assert "--overwrite" in refused.error_lines[0]
    assert crawl("export", home[0], "-o", output, "--overwrite").code == 0
    assert output.read_text().startswith("url,outcome,")
    absent = crawl("export", home[0], "-o", tmp_path / "absent" / "x.csv")
    assert (absent.code, len(absent.error_lines)) == (2, 1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".mine")], "no temporary file is left"


def test_config_shows_values_with_their_origin(crawl: Crawl, tmp_path: Path) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text("[fetch]\nretries = 7\ntimeout = 9.0\n[politeness]\ndelay = 2\n")
    environment = {"CRAWL_FETCH__TIMEOUT": "3.5"}
    told = json.loads(crawl("config", "show", "--json", "--config", file, env=environment).stdout)
    assert told["fetch.timeout"] == {"value": 3.5, "origin": "environment CRAWL_FETCH__TIMEOUT"}
    assert told["fetch.retries"] == {"value": 7, "origin": f"{file}: fetch.retries"}
    assert told["fetch.concurrency"] == {"value": 64, "origin": "default"}
    shown = tmp_path / "shown.toml"
    shown.write_text(crawl("config", "show", "--config", file, env=environment).stdout)
    again = json.loads(crawl("config", "show", "--json", "--config", shown).stdout)
    assert {key: entry["value"] for key, entry in again.items()} == {key: entry["value"] for key, entry in told.items()}


def test_config_check_names_every_mistake(crawl: Crawl, tmp_path: Path) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text("[fetch]\nconcurency = 7\ntimeout = 'soon'\n[politness]\n")
    refused = crawl("config", "check", file)
    assert refused.code == 4
    assert len(refused.error_lines) == 3
    assert all(str(file) in line for line in refused.error_lines)
    file.write_text("[fetch]\ntimeout = 5.0\n")
    assert crawl("config", "check", file).stdout == f"{file}: no mistakes, 1 setting\n"


def test_completion_scripts_name_the_program(crawl: Crawl) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_CRAWL_COMPLETE" in crawl("completion", shell).stdout
    offered = crawl("", env={"_CRAWL_COMPLETE": "bash_complete", "COMP_WORDS": "crawl st", "COMP_CWORD": "1"})
    assert offered.stdout == "plain,status\n"
