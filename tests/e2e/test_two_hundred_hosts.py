"""What 200 hosts see of a crawl that is killed in the middle: never more at once, never sooner, than was asked."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from pathlib import Path

from conftest import Crawl, Read, Site, Spawn
from sites.process import Hit

HOSTS = 200
PAGES = 20
PER_HOST = 2
DELAY = 0.25
CLOCK_SLACK = 0.002
"""Seconds between the crawl's clock, read when a request is written, and the kernel's stamp on its packet, which the server logs."""


def by_address(hits: list[Hit]) -> dict[str, list[Hit]]:
    found: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        found[hit.address].append(hit)
    return found


def too_close(hits: list[Hit], delay: float) -> list[tuple[float, str, str]]:
    """Return each pair of requests in a row to one host that came closer than `delay` seconds, with their distance."""
    return [
        (second.arrived - first.arrived, first.path, second.path)
        for first, second in itertools.pairwise(hits)
        if second.arrived - first.arrived < delay
    ]


def test_two_hundred_hosts_across_a_kill(site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", HOSTS, "--pages", PAGES, "--latency", 0.3, "--robots", "User-agent: *\nDisallow: /p/7.html\n")
    command = ("run", *server.urls(HOSTS), "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl")
    command += ("--per-host", PER_HOST, "--delay", DELAY, "--concurrency", 512)
    first = spawn_crawl(*command)
    time.sleep(4)
    assert first.running
    first.kill()
    done = crawl(*command)
    assert done.code == 0, done
    server.stop()

    hosts = by_address(server.hits())
    assert len(hosts) == HOSTS
    assert max(hit.in_flight for hits in hosts.values() for hit in hits) <= PER_HOST
    assert {address: close for address, hits in hosts.items() if (close := too_close(hits, DELAY - CLOCK_SLACK))} == {}
    assert sum(hit.path == "/p/7.html" for hits in hosts.values() for hit in hits) == 0
    # Two in flight are allowed and needed here (0.3 s an answer, a start each 0.25 s): a crawl that never uses the second is not tested.
    assert max(hit.in_flight for hits in hosts.values() for hit in hits) == PER_HOST

    records = read_records(tmp_path / "out.jsonl")
    assert len(records) == len({record["url"] for record in records}) == HOSTS * PAGES
    assert sum(record["outcome"] == "denied" for record in records) == HOSTS


def test_crawl_delay_of_robots_txt_is_kept(site: Site, crawl: Crawl) -> None:
    server = site("generated", "--pages", 4, "--robots", "User-agent: *\nCrawl-delay: 1\n")
    assert crawl("run", server.url, "-o", "-", "--delay", "0.05").code == 0
    server.stop()
    starts = [hit for hit in server.hits() if hit.path != "/robots.txt"]
    assert len(starts) == 4
    assert too_close(starts, 1 - CLOCK_SLACK) == []


def test_robots_txt_is_asked_for_once_however_many_wait(site: Site, crawl: Crawl) -> None:
    server = site("generated", "--pages", 50, "--latency", 0.2, "--robots", "User-agent: *\nDisallow:\n")
    seeds = [f"{server.url}p/{number}.html" for number in range(1, 40)]
    assert crawl("run", *seeds, "-o", "-", "--per-host", 16, "--delay", 0).code == 0
    server.stop()
    hits = server.hits()
    assert [hit.path for hit in hits].count("/robots.txt") == 1
    assert hits[0].path == "/robots.txt"
    assert hits[1].arrived >= hits[0].ended


def test_without_robots_nothing_is_asked_before_the_pages(site: Site, crawl: Crawl) -> None:
    server = site("generated", "--pages", 5, "--robots", "User-agent: *\nDisallow: /\n")
    done = crawl("run", server.url, "-o", "-", "--no-robots", "--delay", 0)
    assert done.code == 0, done
    server.stop()
    assert "/robots.txt" not in {hit.path for hit in server.hits()}
    assert done.stdout.count('"fetched"') == 5
