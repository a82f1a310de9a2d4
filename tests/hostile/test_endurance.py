"""What is harmless once and not ten thousand times."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from conftest import Read, Running, Site, Spawn

PAGES = 10_000
CONCURRENCY = 32


def descriptors(running: Running) -> int:
    with contextlib.suppress(OSError):
        return len(list(Path(f"/proc/{running.pid}/fd").iterdir()))
    return 0


@pytest.mark.slow
def test_ten_thousand_connections_leave_no_descriptor(site: Site, spawn_crawl: Spawn, read_records: Read, tmp_path: Path) -> None:
    """A server of HTTP/1.0 closes each connection: there are never more descriptors than requests in flight need."""
    server = site("evil_web")
    command = ("run", f"{server.url}old", "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--no-robots", "--exclude", "/ok/")
    command += ("--delay", 0, "--per-host", CONCURRENCY, "--concurrency", CONCURRENCY)
    running, counts = spawn_crawl(*command), []
    began = time.monotonic()
    while running.running and time.monotonic() - began < 120:
        counts.append(descriptors(running))
        time.sleep(0.05)
    done = running.wait(5)
    assert done.code == 0, done
    records = read_records(tmp_path / "out.jsonl")
    assert [record["url"] for record in records if record["outcome"] != "fetched" or record["attempts"] != 1] == []
    assert len(records) == PAGES + 1
    assert len(counts) > 10
    assert max(counts) < CONCURRENCY + 64  # the latter for databases, outputs, workers
