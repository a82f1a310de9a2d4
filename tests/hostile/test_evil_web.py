"""A crawl of the evil web: every URL gets the outcome that its trouble deserves, and none costs another its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import Crawl, Read, Site

GOOD = 40
EXPECTED = {
    "/": ("fetched", None),
    "/spin": ("failed", "parse"),
    "/bomb.gz": ("failed", "too_large"),
    "/badgzip": ("failed", "bad_encoding"),
    "/rot13": ("failed", "bad_encoding"),
    "/hang": ("failed", "timeout"),
    "/hangbody": ("failed", "timeout"),
    "/drip": ("failed", "timeout"),
    "/endless": ("failed", "too_large"),
    "/toolarge": ("failed", "too_large"),
    "/reset": ("failed", "truncated"),
    "/resetbody": ("failed", "truncated"),
    "/short": ("failed", "truncated"),
    "/badchunk": ("failed", "bad_http"),
    "/cutchunk": ("failed", "truncated"),
    "/nothttp": ("failed", "bad_http"),
    "/badheader": ("failed", "bad_http"),
    "/headerflood": ("failed", "bad_http"),
    "/404": ("failed", "http_error"),
    "/410": ("failed", "http_error"),
    "/429": ("failed", "http_error"),
    "/500": ("failed", "http_error"),
    "/503": ("failed", "http_error"),
    "/loop": ("redirected", None),
    "/loop/2": ("redirected", None),
    "/badredirect": ("failed", "redirect"),
    "/redirectnowhere": ("failed", "redirect"),
    "/redirectfile": ("failed", "redirect"),
    "/redirectprivate": ("redirected", None),
    "/refresh": ("fetched", None),
    "/manylinks": ("fetched", None),
    "/binary": ("fetched", None),
    "/forbidden": ("denied", "robots"),
} | {f"/good/{number}": ("fetched", None) for number in range(GOOD)}
FREE = {"/heavy"}
"""Cases whose outcome depends on the machine: within the limits or not, both are right."""


@pytest.mark.slow
def test_every_evil_gets_its_outcome(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("evil", "--good", GOOD)
    command = ("run", server.url, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--exclude", "/many/")
    command += ("--timeout", 3, "--max-body", 5_000_000, "--retries", 0, "--per-host", 16, "--delay", 0)
    began = time.monotonic()
    done = crawl(*command, env={"CRAWL_PARSE__PAGE_TIME": "1"})
    assert time.monotonic() - began < 60
    assert done.code in (0, 12), done
    assert "Traceback" not in done.stderr

    records = read_records(tmp_path / "out.jsonl")
    found = {"/" + record["url"].removeprefix(server.url): (record["outcome"], record["reason"]) for record in records}
    assert len(found) == len(records)
    counted = {path for path in found if path.startswith("/count")}
    assert {path: end for path, end in found.items() if path not in FREE | counted} == EXPECTED
    assert found.keys() >= FREE
    # An endless chain of redirects ends at the limit of ten in a row: the eleventh is seen and not followed.
    assert counted == {"/count", *(f"/count/{number}" for number in range(1, 11))}
    assert {found[path] for path in counted} == {("redirected", None)}
    assert "/forbidden" not in {hit.path for hit in server.hits()}


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
