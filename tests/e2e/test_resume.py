"""Stopping, going on, and leaving alone: what one home lives through."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from conftest import Crawl, Read, Running, Site, Spawn
from sites.process import SiteProcess

PAGES = 600
SLOWLY = ("--per-host", "4", "--delay", "0", "--concurrency", "4")
QUICKLY = ("--per-host", "32", "--delay", "0")


def slow_site(site: Site) -> SiteProcess:
    """A site that takes four connections about three seconds."""
    return site("generated", "--pages", PAGES, "--latency", 0.02)


def wait_for_pages(server: SiteProcess, number: int, running: Running) -> None:
    """Wait until the site has answered `number` more requests than now."""
    goal = len(server.hits()) + number
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and running.running:
        if len(server.hits()) >= goal:
            return
        time.sleep(0.05)
    raise AssertionError(f"{number} pages were not reached: {running.wait(5) if not running.running else 'still running'}")


def check_complete(records: list[dict[str, Any]]) -> None:
    urls = [record["url"] for record in records]
    assert len(urls) == len(set(urls)) == PAGES
    assert {record["outcome"] for record in records} == {"fetched"}


def test_sigterm_drains_and_the_same_command_goes_on(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = slow_site(site)
    command = ("run", server.url, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", *SLOWLY)
    running = spawn_crawl(*command)
    wait_for_pages(server, 100, running)
    asked = time.monotonic()
    running.signal(signal.SIGTERM)
    stopped = running.wait(20)
    assert time.monotonic() - asked < 10
    assert stopped.code == 11, stopped
    assert "Traceback" not in stopped.stderr
    half = read_records(tmp_path / "out.jsonl")
    assert 0 < len(half) < PAGES

    resumed = crawl(*command)
    assert resumed.code == 0, resumed
    assert "resum" in resumed.stderr.lower(), "it says that it goes on"
    records = read_records(tmp_path / "out.jsonl")
    assert records[: len(half)] == half, "what was written stays"
    check_complete(records)


def test_sigterm_with_requests_that_never_end_is_out_in_time(site: Site, spawn_crawl: Spawn, tmp_path: Path) -> None:
    server = site("evil", "--patience", 60)
    running = spawn_crawl("run", f"{server.url}hang", "--dir", tmp_path / "home", "--stop-timeout", 1, "--no-robots")
    time.sleep(2)
    asked = time.monotonic()
    running.signal(signal.SIGTERM)
    stopped = running.wait(20)
    assert time.monotonic() - asked < 5
    assert stopped.code == 11, stopped


def test_a_second_signal_stops_at_once(site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 50, "--latency", 8)
    command = ("run", server.url, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--stop-timeout", 60, "--no-robots")
    running = spawn_crawl(*command)
    time.sleep(2)
    running.signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.running, "the first signal waits for what is under way"
    asked = time.monotonic()
    running.signal(signal.SIGINT)
    stopped = running.wait(20)
    assert time.monotonic() - asked < 2
    assert stopped.code == 11, stopped
    assert "Traceback" not in stopped.stderr
    read_records(tmp_path / "out.jsonl")  # whole lines only


def test_a_finished_crawl_is_left_alone_unless_asked(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 20)
    output = tmp_path / "out.jsonl"
    command = ("run", server.url, "--dir", tmp_path / "home", "-o", output, *QUICKLY)
    assert crawl(*command).code == 0
    before, asked = output.read_bytes(), len(server.wait_for_hits(21))  # robots.txt among them
    again = crawl(*command)
    assert "--fresh" in again.stderr, "it says how to begin anew"
    time.sleep(0.3)
    assert (output.read_bytes(), len(server.hits())) == (before, asked)
    time.sleep(1.1)  # so that the times of the records differ, whatever their resolution
    fresh = crawl(*command, "--fresh", "--overwrite")
    assert fresh.code == 0, fresh
    assert output.read_bytes() != before
    assert {record["url"] for record in read_records(output)} == {server.url, *(f"{server.url}p/{n}.html" for n in range(1, 20))}


def test_another_output_is_not_overwritten(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 5)
    output = tmp_path / "precious.jsonl"
    output.write_text("not ours\n")
    refused = crawl("run", server.url, "--dir", tmp_path / "home", "-o", output, *QUICKLY)
    assert refused.code != 0
    assert "--overwrite" in refused.stderr
    assert output.read_text() == "not ours\n"


def test_a_second_process_on_the_same_home_is_refused_also_after_a_crash(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = slow_site(site)
    command = ("run", server.url, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", *SLOWLY)
    running = spawn_crawl(*command)
    wait_for_pages(server, 20, running)
    second = crawl(*command)
    assert second.code == 8, second
    assert len(second.error_lines) == 1
    assert str(running.pid) in second.stderr, "it names the process that has the home"
    running.kill()
    third = spawn_crawl(*command)  # the dead process's lock does not bind
    wait_for_pages(server, 60, third)
    assert crawl(*command).code == 8
    assert third.wait().code == 0
    check_complete(read_records(tmp_path / "out.jsonl"))


def test_output_streams_to_stdout(site: Site, crawl: Crawl) -> None:
    server = site("generated", "--pages", 30)
    done = crawl("run", server.url, "-o", "-", *QUICKLY)
    assert done.code == 0, done
    assert done.stdout.count("\n") == 30
    assert all(line.startswith("{") for line in done.stdout.splitlines())
