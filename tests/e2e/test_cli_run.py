"""What ``crawl run`` says and does around a crawl: budgets, failures, pipes, profile, quiet and verbose."""

from __future__ import annotations

import json
import pstats
import subprocess
from pathlib import Path

import pytest
from conftest import CRAWL, Crawl, Finished, Read, Site, environment

QUICKLY = ("--per-host", "16", "--delay", "0")


def events(done: Finished, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, done.stderr.splitlines()) if line["event"] == event]


def test_the_home_is_named_after_the_host(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 3)
    done = crawl("run", server.url, *QUICKLY, cwd=tmp_path)
    assert done.code == 0, done
    home = f"127.0.0.1-{server.port}.crawl"
    assert (tmp_path / home / "records.jsonl").is_file()
    assert home in str(events(done, "start")[0]["message"])


def test_a_page_budget_ends_well_and_a_higher_one_goes_on(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server, home = site("generated", "--pages", 60), tmp_path / "home"
    first = crawl("run", server.url, "--dir", home, "--max-pages", 10, *QUICKLY)
    assert first.code == 0, first
    assert len(read_records(home / "records.jsonl")) == 10
    assert "with a higher --max-pages" in crawl("status", home).stdout
    same = crawl("run", server.url, "--dir", home, "--max-pages", 10, *QUICKLY)
    assert events(same, "nothing_to_do"), same
    for limit, pages in ((20, 20), (None, 60)):
        more = crawl("run", server.url, "--dir", home, *(["--max-pages", limit] if limit else []), *QUICKLY)
        assert more.code == 0, more
        assert len(read_records(home / "records.jsonl")) == pages


def test_a_time_budget_ends_well(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 200, "--latency", 0.1)
    done = crawl("run", server.url, "--dir", tmp_path / "home", "--max-time", "1s", "--per-host", 1, "--delay", 0)
    assert done.code == 0, done
    assert "as --max-time says" in str(events(done, "summary")[0]["message"])


def test_nothing_fetched_is_a_failure_with_its_reason(crawl: Crawl, tmp_path: Path) -> None:
    done = crawl("run", "http://127.0.0.1:9/", "--dir", tmp_path / "home", "--retries", 0)
    assert done.code == 12, done
    assert str(events(done, "failures")[0]["message"]).startswith("No page could be fetched:\n  http://127.0.0.1:9/ failed (connect)")
    quiet = crawl("run", "http://127.0.0.1:9/", "--dir", tmp_path / "other", "--retries", 0, "-q")
    assert quiet.code == 12
    assert quiet.error_lines[0] == "crawl: No page could be fetched:"


@pytest.mark.parametrize(("allowed", "code"), [(3, 0), (2, 12)])
def test_more_failures_than_allowed(site: Site, crawl: Crawl, tmp_path: Path, allowed: int, code: int) -> None:
    server = site("generated", "--pages", 30, "--missing-every", 10)
    done = crawl("run", server.url, "--dir", tmp_path / "home", "--max-failures", allowed, *QUICKLY)
    assert events(done, "summary")[0]["outcomes"] == {"fetched": 30, "failed": 3}, done
    assert done.code == code


def test_seeds_from_a_file_and_from_standard_input(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 30)
    seeds = tmp_path / "seeds.txt"
    seeds.write_text(f"# ours\n\n{server.url}p/1.html\n  {server.url}p/2.html  \n")
    done = crawl("run", "-f", seeds, "--depth", 0, "--dir", tmp_path / "one", *QUICKLY)
    assert done.code == 0, done
    command = [*CRAWL, "run", "-f", "-", "--depth", "0", "--dir", str(tmp_path / "two"), *QUICKLY]
    piped = subprocess.run(command, input=seeds.read_bytes(), env=environment(tmp_path), capture_output=True, check=False)
    assert piped.returncode == 0, piped.stderr
    for home in ("one", "two"):
        urls = {record["url"] for record in read_records(tmp_path / home / "records.jsonl")}
        assert urls == {f"{server.url}p/1.html", f"{server.url}p/2.html"}
    seeds.write_text(f"{server.url}\nftp://example.com/\n")
    refused = crawl("run", "-f", seeds, "--dir", tmp_path / "three")
    assert refused.code == 2
    assert f"{seeds}, line 2" in refused.error_lines[0]


def test_a_pipe_whose_reader_has_enough(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 300, "--latency", 0.02)
    command = [*CRAWL, "run", server.url, "--dir", str(tmp_path / "home"), "-o", "-", *QUICKLY]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path))
    assert running.stdout is not None
    assert running.stdout.readline().startswith(b'{"url":')
    running.stdout.close()
    _, told = running.communicate(timeout=60)
    assert running.returncode == 11, told
    assert b"Standard output was closed" in told
    assert b"Traceback" not in told
    assert crawl("run", server.url, "--dir", tmp_path / "home", *QUICKLY).code == 0
    assert len(read_records(tmp_path / "home" / "records.jsonl")) == 300


def test_quiet_profile_and_json(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server, profile = site("generated", "--pages", 20), tmp_path / "crawl.prof"
    quiet = crawl("run", server.url, "--dir", tmp_path / "home", "-q", "--profile", profile, *QUICKLY)
    assert (quiet.code, quiet.stdout, quiet.stderr) == (0, "", "")
    names = {name for _, _, name in pstats.Stats(str(profile)).stats}  # type: ignore[attr-defined]
    assert {"_pump", "visit"} <= names, "the reactor's thread was profiled"
    refused = crawl("run", server.url, "--dir", tmp_path / "other", "--profile", "/absent/x.prof")
    assert refused.code == 2
    assert not (tmp_path / "other").exists()


def test_fresh_is_refused_before_anything_is_deleted(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server, home, output = site("generated", "--pages", 5), tmp_path / "home", tmp_path / "out.csv"
    assert crawl("run", server.url, "--dir", home, "-o", output, *QUICKLY).code == 0
    before = {path.name: path.read_bytes() for path in (home / "records.jsonl", output)}
    refused = crawl("run", server.url, "--dir", home, "-o", output, "--fresh", *QUICKLY)
    assert refused.code == 2
    assert "--overwrite" in refused.error_lines[0]
    assert {path.name: path.read_bytes() for path in (home / "records.jsonl", output)} == before


def test_a_header_of_the_configuration_file_that_cannot_be_sent(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[fetch]\nheaders = { Host = "elsewhere" }\n')
    refused = crawl("run", "http://127.0.0.1:9/", "--dir", tmp_path / "home", "--config", tmp_path / "c.toml")
    assert (refused.code, len(refused.error_lines)) == (4, 1)
    assert "c.toml: fetch.headers: Host: " in refused.error_lines[0]


def test_closed_standard_streams_are_no_fault(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 5)
    command = " ".join([*CRAWL, "run", server.url, "--dir", "home", *QUICKLY])
    done = subprocess.run(["sh", "-c", f"exec {command} <&- >&- 2>&-"], cwd=tmp_path, env=environment(tmp_path), timeout=60, check=False)
    assert done.returncode == 0
    assert len(read_records(tmp_path / "home" / "records.jsonl")) == 5


def test_progress_lines_tell_of_a_resumed_crawl(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server, home = site("generated", "--pages", 40), tmp_path / "home"
    assert crawl("run", server.url, "--dir", home, "--max-pages", 15, *QUICKLY).code == 0
    start = events(crawl("run", server.url, "--dir", home, *QUICKLY), "start")[0]
    assert (start["resumed"], start["done"]) == (True, 15)
    assert str(start["message"]).startswith(f"Resuming the crawl in {home}: 15 URLs done, ")
