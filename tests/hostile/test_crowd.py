"""Healthy hosts in bad company."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Read, Site, Spawn
from sites.process import Hit

HEALTHY, EVIL, PAGES = 100, 2_000, 16
DELAY = 0.5  # seconds between two requests to one host


def host(network: int, number: int) -> str:
    return f"127.{network}.{number // 250}.{number % 250 + 1}"


@pytest.mark.slow
@pytest.mark.alone
def test_healthy_hosts_keep_their_rate_beside_two_thousand_evil_ones(
    site: Site, spawn_crawl: Spawn, read_records: Read, tmp_path: Path
) -> None:
    """100 hosts are asked as often as their delay allows, be they alone or beside 2 000 that stall, drip or bomb all the time.

    There are 64 places for requests in flight, as by default: far fewer than hosts that stall.
    """
    rates = {}
    for name, evil in (("alone", 0), ("beside", EVIL)):
        folder = tmp_path / name
        folder.mkdir()
        server = site("evil_crowd", "--healthy", HEALTHY, "--evil", evil, "--pages", PAGES)
        hosts = [host(2, number) for number in range(evil)] + [host(1, number) for number in range(HEALTHY)]
        seeds = folder / "seeds"
        seeds.write_text("".join(f"http://{address}:{server.port}/\n" for address in hosts))
        command = ("run", "-f", seeds, "--dir", folder / "home", "-o", folder / "out.jsonl", "--no-robots", "--delay", DELAY)
        command += ("--per-host", 1, "--timeout", 2.5, "--retries", 0, "--quiet")
        running = spawn_crawl(*command, env={"CRAWL_PARSE__MAX_DECODED": "1000000"})
        done = running.wait(100)
        assert done.code == 0, done
        records = read_records(folder / "out.jsonl")
        hits = server.wait_for_hits(HEALTHY * PAGES)
        rates[name] = (len(hits) - HEALTHY) / sum(spans(hits))
        check_outcomes(records, evil)
        server.stop()
        time.sleep(0.1)
    assert rates["alone"] > 0.8 / DELAY, rates
    assert rates["beside"] >= 0.9 * rates["alone"], rates


def spans(hits: list[Hit]) -> list[float]:
    """Return, for each host, the seconds from its first request to its last."""
    times: dict[str, list[float]] = {}
    for hit in hits:
        times.setdefault(hit.address, []).append(hit.arrived)
    assert Counter(map(len, times.values())) == {PAGES: HEALTHY}
    return [max(arrived) - min(arrived) for arrived in times.values()]


def check_outcomes(records: list[dict[str, object]], evil: int) -> None:
    healthy = [record for record in records if str(record["url"]).startswith("http://127.1.")]
    others = Counter((record["outcome"], record["reason"]) for record in records if not str(record["url"]).startswith("http://127.1."))
    assert {record["outcome"] for record in healthy} == {"fetched"}
    assert len(healthy) == HEALTHY * PAGES
    bombs = len(range(2, evil, 3))
    assert others == Counter({("failed", "timeout"): evil - bombs, ("failed", "too_large"): bombs})
