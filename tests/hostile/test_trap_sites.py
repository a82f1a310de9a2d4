"""Traps beside good pages, without any budget: each crawl ends by itself, soon, and has all good pages."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Crawl, Read, Site
from sites.process import SiteProcess

GOOD = 30
FULL_SPEED = ("--per-host", 16, "--delay", 0)


class Trap(NamedTuple):
    """A trap: its address, the rules that must have refused something, and how many pages it may cost beside the good ones."""

    address: int
    rules: set[str]
    cost: int


TRAPS = {
    "calendar": Trap(1, {"trap:calendar", "trap:endless"}, 400),
    "sessions": Trap(2, {"trap:session_id"}, 2 * GOOD + 1),  # a redirect and its target for each page that insists on a session
    "random": Trap(3, {"trap:endless"}, 700),
    "relative": Trap(4, {"trap:same_content"}, 100),
    "redirects": Trap(5, {"redirects"}, 15),
    "login": Trap(7, {"trap:growing_query"}, 10),
}


def crawl_trap(crawl: Crawl, read_records: Read, url: str, folder: Path, *options: object) -> tuple[dict[str, Any], dict[str, int]]:
    """Crawl a site; return its records by path, and the counts of what was refused."""
    done = crawl("run", url, "--dir", folder / "home", "-o", folder / "out.jsonl", "--json", *FULL_SPEED, *options, timeout=60)
    assert done.code == 0, done
    records = {"/" + record["url"].removeprefix(url): record for record in read_records(folder / "out.jsonl")}
    return records, json.loads(done.stderr.splitlines()[-1])["refused"]


def fetched_titles(records: dict[str, Any]) -> set[str]:
    return {record["title"] for record in records.values() if record["outcome"] == "fetched"}


def url_of(server: SiteProcess, address: int) -> str:
    return f"http://127.0.0.{address}:{server.port}/"


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_ends_and_the_good_pages_are_there(name: str, site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    trap, server = TRAPS[name], site("trap_site")
    url = url_of(server, trap.address)
    records, refused = crawl_trap(crawl, read_records, url, tmp_path)
    assert {f"Good page {number}" for number in range(GOOD)} <= fetched_titles(records)
    assert trap.rules <= refused.keys(), refused
    assert len(records) <= GOOD + trap.cost
    for rule in trap.rules:
        check_why(crawl, tmp_path / "home", rule)


def check_why(crawl: Crawl, home: Path, rule: str) -> None:
    """Every rule is explained, by its name and in words."""
    with sqlite3.connect(f"file:{home}/crawl.sqlite?mode=ro", uri=True) as connection:
        (refused,) = connection.execute("SELECT url FROM refused WHERE rule = ? LIMIT 1", (rule,)).fetchone()
    connection.close()
    said = crawl("why", home, refused).stdout
    assert f"refused by {rule}: " in said
    assert "architecture" not in said, "a rule without words of its own"


def test_an_event_in_an_endless_calendar_is_found(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    records, _ = crawl_trap(crawl, read_records, url_of(site("trap_site"), 1), tmp_path)
    assert "The event" in fetched_titles(records)
    withheld = [record for record in records.values() if "links withheld" in (record["detail"] or "")]
    assert withheld
    assert {record["outcome"] for record in withheld} == {"fetched"}


def test_facets_are_bounded_by_the_budget_of_their_host(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    """Selections differ as pages do that people wrote: what ends them is the budget, and the breadth of the search saves the good pages."""
    url = url_of(site("trap_site"), 6)
    records, refused = crawl_trap(crawl, read_records, url, tmp_path, "--max-pages-per-host", 400)
    assert {f"Good page {number}" for number in range(GOOD)} <= fetched_titles(records)
    assert len(records) == 400
    assert refused["host_budget"] > 0


def test_without_rules_against_traps_only_a_budget_ends_them(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("trap_site")
    records, refused = crawl_trap(crawl, read_records, url_of(server, 1), tmp_path, "--no-traps", "--max-pages", 1200)
    assert len(records) >= 1200
    assert not [rule for rule in refused if rule.startswith("trap:")]
