"""One crawl of real documentation that writes everything at once, and the same one killed again and again.

CRAWL_TEST_OUTPUT_PAGES and CRAWL_TEST_OUTPUT_KILLS say how much of it (by default a part, so that the suite stays short).
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from conftest import Crawl, Documentation, NginxSite, Spawn
from read_back import check_index, check_markdown, check_mirror, check_records, check_wacz, check_warc

PAGES = int(os.environ.get("CRAWL_TEST_OUTPUT_PAGES", "80"))
KILLS = int(os.environ.get("CRAWL_TEST_OUTPUT_KILLS", "5"))
OUTPUTS = ("out.jsonl", "out.parquet", "out.warc.gz", "out.wacz", "out.md/", "out.mirror/")

pytestmark = [pytest.mark.real_site, pytest.mark.slow]


def command(url: str, folder: Path) -> list[object]:
    outputs = [part for name in OUTPUTS for part in ("-o", f"{folder}/{name}")]
    limit = ["--max-pages", PAGES] if PAGES else []
    return ["run", f"{url}index.html", "--dir", folder / "home", "--delay", 0, "--per-host", 8, *limit, *outputs]


def check_all(folder: Path, root: Path) -> None:
    records = check_records(folder)
    assert sum(record["outcome"] == "fetched" and record["content_type"] == "text/html" for record in records) >= (PAGES or 500)
    warc = folder / "out.warc.gz"
    check_warc(warc, records, root)
    assert check_index(folder / "out.cdxj", warc) == sum(record["status"] is not None for record in records)
    check_wacz(folder / "out.wacz", records)
    check_markdown(folder / "out.md", records)
    check_mirror(folder / "out.mirror", records)


def test_all_at_once(crawl: Crawl, nginx_site: NginxSite, documentation: Documentation, tmp_path: Path) -> None:
    root = documentation("python3.11/html", "python3.11-doc")
    site = nginx_site(root)
    finished = crawl(*command(site.url, tmp_path), timeout=600)
    assert finished.code == 0, finished
    check_all(tmp_path, root)


def test_all_at_once_killed_again_and_again(
    spawn_crawl: Spawn, crawl: Crawl, nginx_site: NginxSite, documentation: Documentation, tmp_path: Path
) -> None:
    root = documentation("python3.11/html", "python3.11-doc")
    site = nginx_site(root)
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    killed = 0
    while killed < KILLS:
        running = spawn_crawl(*command(site.url, tmp_path))
        time.sleep(dice.uniform(0.7, 1.6))
        killed += running.running
        running.kill()
    finished = crawl(*command(site.url, tmp_path), timeout=600)
    assert finished.code == 0, (seed, finished)
    check_all(tmp_path, root)
