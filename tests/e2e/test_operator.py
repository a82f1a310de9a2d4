"""What operators and their machines do to a crawl: signals, closed terminals, limits, disks that take nothing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import CRAWL, Crawl, Finished, Read, Running, Site, Spawn, environment

USAGE, UNAVAILABLE, INTERRUPTED = 2, 8, 11


def in_shell(tmp_path: Path, before: str, *arguments: object, after: str = "") -> Finished:
    """Run ``crawl`` in a shell: after the commands `before`, with the redirections `after`."""
    line = f"{before} exec {shlex.join([*CRAWL, *map(str, arguments)])} {after}"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def wait_for_start(running: Running, home: Path) -> None:
    """Wait until the first page is recorded."""
    log = home / "records.jsonl"
    deadline = time.monotonic() + 30
    while not (log.exists() and log.stat().st_size):
        assert running.running, running.wait()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_closed_terminal_stops_the_crawl_in_order(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = site("generated", "--pages", 40, "--latency", 0.05)
    command = ("run", server.url, "--dir", tmp_path / "home", "--delay", "0.01")
    running = spawn_crawl(*command)
    wait_for_start(running, tmp_path / "home")
    running.signal(signal.SIGHUP)
    assert running.wait(20).code == INTERRUPTED
    assert crawl(*command).code == 0
    assert len({record["url"] for record in read_records(tmp_path / "home" / "records.jsonl")}) == 40


def test_nohup_outlives_the_terminal(site: Site, spawn_crawl: Spawn, tmp_path: Path) -> None:
    server = site("generated", "--pages", 20, "--latency", 0.05)
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the child
    try:
        running = spawn_crawl("run", server.url, "--dir", tmp_path / "home", "--delay", "0.01")
    finally:
        signal.signal(signal.SIGHUP, old)
    wait_for_start(running, tmp_path / "home")
    running.signal(signal.SIGHUP)
    assert running.wait(60).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_the_crawl_has_begun(number: signal.Signals, spawn_crawl: Spawn, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "seeds")
    running = spawn_crawl("run", "--seeds-file", tmp_path / "seeds", "--dir", tmp_path / "home")
    with (tmp_path / "seeds").open("w"):  # opens when the crawl has opened it, too
        running.signal(number)
        done = running.wait(20)
    assert (done.code, done.error_lines) == (INTERRUPTED, ["crawl: interrupted"])


def test_few_descriptors_mean_fewer_requests_in_flight_not_failures(site: Site, tmp_path: Path) -> None:
    server = site("generated", "--pages", 200, "--latency", 0.01)
    polite = ("--per-host", "100", "--concurrency", "100", "--delay", "0")
    done = in_shell(tmp_path, "ulimit -n 64;", "run", server.url, "--dir", tmp_path / "home", *polite)
    assert done.code == 0, done
    assert '"event": "descriptors"' in done.stderr
    status = json.loads(in_shell(tmp_path, "", "status", "--json", tmp_path / "home").stdout)
    assert (status["counters"]["outcomes"], status["counters"]["retries"]) == ({"fetched": 200}, 0)


def test_too_few_descriptors_are_refused(tmp_path: Path) -> None:
    done = in_shell(tmp_path, "ulimit -n 32;", "run", "http://127.0.0.1:9/", "--dir", tmp_path / "home")
    assert done.code == USAGE, done
    assert done.error_lines == ["crawl: this process may open 32 files, too few to crawl: raise the limit, as in: ulimit -n 1024"]


def test_standard_output_that_takes_nothing(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    crawl("run", site("generated", "--pages", 3).url, "--dir", tmp_path / "home", "--delay", "0")
    full = in_shell(tmp_path, "", "export", tmp_path / "home", after=">/dev/full")
    assert (full.code, len(full.error_lines)) == (UNAVAILABLE, 1), full
    assert "No space left on device" in full.stderr
    closed = in_shell(tmp_path, "", "export", tmp_path / "home", after=">&-")
    assert (closed.code, len(closed.error_lines)) == (USAGE, 1), closed
    assert "standard output is closed" in closed.stderr


def test_an_output_never_replaces_what_is_no_file(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    crawl("run", site("generated", "--pages", 3).url, "--dir", tmp_path / "home", "--delay", "0")
    os.mkfifo(tmp_path / "pipe.csv")
    for command in (("export", tmp_path / "home"), ("batch", "http://127.0.0.1:9/")):
        done = crawl(*command, "--output", tmp_path / "pipe.csv", "--overwrite")
        assert (done.code, len(done.error_lines)) == (USAGE, 1), done
        assert (tmp_path / "pipe.csv").is_fifo()


def test_a_damaged_database_is_told_in_one_line(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 300)
    crawl("run", server.url, "--dir", tmp_path / "home", "--delay", "0", "--per-host", "20", "--max-pages", "200")
    with (tmp_path / "home" / "crawl.sqlite").open("r+b") as file:
        file.seek(4 * 4096)
        file.write(os.urandom(200 * 4096))
    for command in (("why", tmp_path / "home", f"{server.url}p/1.html"), ("run", server.url, "--dir", tmp_path / "home")):
        done = crawl(*command)
        assert (done.code, len(done.error_lines)) == (UNAVAILABLE, 1), done
        assert "internal error" not in done.stderr


def test_a_home_on_a_read_only_file_system_can_be_read(small_disk: Path, site: Site, crawl: Crawl) -> None:
    server = site("generated", "--pages", 3)
    crawl("run", server.url, "--dir", small_disk / "home", "--delay", "0")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert '"done":3' in crawl("status", "--json", small_disk / "home").stdout
    assert len(crawl("export", small_disk / "home").stdout.splitlines()) == 3
    assert crawl("run", server.url, "--dir", small_disk / "home").code == UNAVAILABLE
