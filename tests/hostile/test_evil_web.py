"""A page that no worker survives, among good ones; `test_whole_program.py` plays all other cases."""

from __future__ import annotations

from pathlib import Path

from conftest import Crawl, Read, Site

GOOD = 40


def test_a_page_that_kills_its_worker_costs_itself_alone(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    """With 96 MB for a worker, the tree of /heavy does not fit: the worker dies of it, twice, and only that page is lost."""
    server = site("evil", "--good", GOOD)
    seeds = [f"{server.url}good/{number}" for number in range(GOOD)]
    command = ("run", *seeds[: GOOD // 2], f"{server.url}heavy", *seeds[GOOD // 2 :], "--dir", tmp_path / "home")
    command += ("-o", tmp_path / "out.jsonl", "--depth", 0, "--per-host", 16, "--delay", 0, "--no-robots")
    done = crawl(*command, env={"CRAWL_PARSE__PAGE_MEMORY": str(96 * 1024 * 1024), "CRAWL_PARSE__PAGE_TIME": "20"})
    assert done.code in (0, 12), done
    found = {record["url"]: (record["outcome"], record["reason"]) for record in read_records(tmp_path / "out.jsonl")}
    assert found == dict.fromkeys(seeds, ("fetched", None)) | {f"{server.url}heavy": ("failed", "parse")}
