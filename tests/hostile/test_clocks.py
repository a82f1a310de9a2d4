"""Time that jumps, machines that sleep, kills at the wrong moment: the whole program keeps its manners and loses nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Crawl, Read, Running, Site, Spawn, lacking
from sites.process import Hit, SiteProcess

DELAY = 0.1  # seconds between two requests
EARLY = 0.01  # by which the kernel's stamps of two packets may tell less than there was
PAGES = 48
SLEEP = 7.0  # seconds: longer than the limits that `polite` and its callers set

pytestmark = pytest.mark.slow


def fake_clock() -> str:
    """Return the library that gives a process another clock."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        lacking("libfaketime", "faketime")
    return str(found[0])


def wait_for(running: Running, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert running.running, running.wait()
        assert time.monotonic() < deadline, "the crawl makes no progress"
        time.sleep(0.02)


def closest(hits: list[Hit]) -> float:
    """Return the shortest time between two requests that came one after the other, in seconds."""
    return min(later.arrived - earlier.arrived for earlier, later in itertools.pairwise(hits))


def polite(server: SiteProcess, folder: Path, *more: object) -> tuple[object, ...]:
    command = ("run", server.url, "--dir", folder / "home", "-o", folder / "out.jsonl", "--delay", DELAY, "--per-host", 2, "--no-robots")
    return (*command, "--timeout", 4, *more)


def test_a_wall_clock_that_jumps_changes_nothing(site: Site, spawn_crawl: Spawn, read_records: Read, tmp_path: Path) -> None:
    """30 days ahead, then back by a year, while pages are fetched and failures wait for their next attempt."""
    server = site("generated", "--pages", PAGES, "--error-every", 8, "--latency", 0.05)
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    clock = {
        "LD_PRELOAD": fake_clock(),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "CRAWL_FETCH__RETRY_DELAY": "0.5",
    }
    began = time.monotonic()
    running = spawn_crawl(*polite(server, tmp_path), env=clock)
    for jump, share in (("+30d", 4), ("-365d", 2)):
        wait_for(running, lambda share=share: len(server.hits()) > PAGES // share)  # type: ignore[misc]
        offset.write_text(f"{jump}\n")
    done = running.wait()
    assert done.code == 0, done
    assert not done.error_lines, done
    records = read_records(tmp_path / "out.jsonl")
    assert len({record["url"] for record in records}) == len(records) == PAGES + PAGES // 8
    assert {record["outcome"] for record in records if "/error/" not in record["url"]} == {"fetched"}
    assert {record["attempts"] for record in records if "/error/" in record["url"]} == {3}
    years = {record["fetched_at"][:4] for record in records}
    assert len(years) > 1, "the clock did not jump"
    assert closest(server.hits()) > DELAY - EARLY
    assert time.monotonic() - began < 45


def test_after_a_sleep_there_is_no_burst_and_nothing_has_failed(site: Site, spawn_crawl: Spawn, read_records: Read, tmp_path: Path) -> None:
    """The crawl stands still, longer than any of its time limits, while answers come in; what was under way may be asked for again."""
    server = site("generated", "--pages", PAGES, "--latency", 0.3)
    running = spawn_crawl(*polite(server, tmp_path, "--retries", 1, "--page-time", 2))
    wait_for(running, lambda: len(server.hits()) > PAGES // 4)
    everybody = [running.pid, *running.children()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SLEEP)
    for pid in everybody:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    done = running.wait()
    assert done.code == 0, done
    records = read_records(tmp_path / "out.jsonl")
    assert [record for record in records if record["outcome"] != "fetched"] == []
    assert len(records) == PAGES
    assert sum(record["attempts"] - 1 for record in records) <= 2, "no more than was in flight"
    hits = server.wait_for_hits(PAGES)
    assert max(later.arrived - earlier.arrived for earlier, later in itertools.pairwise(hits)) > SLEEP - 1, "it did not sleep"
    assert closest(hits) > DELAY - EARLY


def test_a_poisonous_page_across_kills_costs_itself_alone(
    site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    """Killed three times while a page spins in a worker, begun again each time: the page fails, the others are there once."""
    server = site("evil", "--good", 20)
    good = [f"{server.url}good/{number}" for number in range(20)]
    command = ("run", f"{server.url}spin", *good, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--depth", 0, "--no-robots")
    command += ("--delay", 0, "--page-time", 1.5, "--workers", 1)
    for kills in range(1, 4):
        running = spawn_crawl(*command)
        wait_for(running, lambda kills=kills: sum(hit.path == "/spin" for hit in server.hits()) == kills)  # type: ignore[misc]
        time.sleep(0.5)
        running.kill()
    done = crawl(*command)
    assert done.code == 0, done
    records = read_records(tmp_path / "out.jsonl")
    assert {record["url"]: (record["outcome"], record["reason"]) for record in records} == {
        f"{server.url}spin": ("failed", "parse"),
        **dict.fromkeys(good, ("fetched", None)),
    }
    assert len(records) == 21
