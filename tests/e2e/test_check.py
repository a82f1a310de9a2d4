"""``crawl check`` on a site whose broken links are known in full."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Crawl
from linked_site import Sites, linked_sites

QUICKLY = ("--delay", "0", "--per-host", "8", "--allow-address", "127.0.0.0/8", "--retries", "0")


@pytest.fixture
def sites() -> Iterator[Sites]:
    with linked_sites() as sites:
        yield sites


def test_every_broken_link_with_every_page_that_holds_it(sites: Sites, crawl: Crawl) -> None:
    done = crawl("check", sites.origin, "--json", *QUICKLY)
    assert done.code == 12, done
    found = json.loads(done.stdout)
    assert {link["url"]: (link["reason"], set(link["pages"])) for link in found["links"]["broken"]} == sites.broken
    by_url = {link["url"]: link for link in found["links"]["broken"]}
    assert by_url[f"{sites.origin}/moved-bad"]["redirects_to"] == f"{sites.origin}/gone2.html"
    assert by_url[f"{sites.other}/away"]["redirects_to"] == f"{sites.other}/away-gone"
    assert by_url[f"{sites.origin}/gone.html"]["status"] == 404
    assert found["links"]["not_checked"] == {"robots": 1}
    assert found["complete"] is True
    asked = sorted(request for request in sites.asked if request[1] != "/robots.txt")
    assert asked == [  # the other site: by HEAD, by GET where that brought nothing, and nothing that only its pages link to
        *(("GET", path) for path in ("/away-gone", "/gone", "/neither", "/only-get")),
        *(("HEAD", path) for path in ("/away", "/away-gone", "/gone", "/neither", "/ok", "/only-get")),
    ]


def test_text_is_grouped_by_page(sites: Sites, crawl: Crawl) -> None:
    done = crawl("check", sites.origin, "--no-external", "-q", *QUICKLY)
    assert done.code == 12, done
    assert not sites.asked, "nobody else is asked"
    blocks = {block.splitlines()[0]: block for block in done.stdout.split("\n\n")}
    assert blocks[f"{sites.origin}/menu.html"] == (
        f"{sites.origin}/menu.html\n"
        f"  {sites.origin}/gone.html\n    status 404 Not Found\n"
        f"  {sites.origin}/good.html#missing\n    no element has the id or name missing"
    )
    assert done.stdout.splitlines()[-2].startswith("8 broken links on 4 pages; ")
    assert done.stdout.splitlines()[-1] == "Not checked: 1 URL: robots.txt forbids it."
    assert not done.stderr


def test_what_is_left_out_and_junit(sites: Sites, crawl: Crawl, tmp_path: Path) -> None:
    options = ("--no-external", "--no-fragments", "--no-requisites", "--ignore", r"/gone\.html$", "--ignore", "circle")
    done = crawl("check", sites.origin, "--format", "junit", "-o", "links.xml", *options, *QUICKLY)
    assert done.code == 12, done
    suites = ElementTree.parse(tmp_path / "links.xml").getroot()
    failed = {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None}
    assert failed == {f"{sites.origin}/moved-bad", f"{sites.origin}/nofollowed.html"}
    assert suites.get("failures") == suites.get("tests") == "2"
    again = crawl("check", sites.origin, "-o", "links.xml")
    assert again.code == 2
    assert "exists already" in again.stderr


def test_no_broken_link_is_exit_code_0_and_a_kept_home_is_made_anew(sites: Sites, crawl: Crawl, tmp_path: Path) -> None:
    command = ("check", f"{sites.origin}/good.html", "--ignore", "gone", "--depth", "0", "--dir", "kept", "--format", "csv", *QUICKLY)
    for _ in range(2):
        done = crawl(*command)
        assert done.code == 0, done
        assert list(csv.reader(done.stdout.splitlines())) == [["link", "reason", "status", "why", "redirects_to", "page"]]
    assert len((tmp_path / "kept" / "records.jsonl").read_text().splitlines()) == 1
    other = crawl("check", f"{sites.origin}/menu.html", "--dir", "kept", *QUICKLY)
    assert other.code == 2, "a home with another crawl is left alone"
    assert "seeds" in other.stderr


def test_what_a_limit_leaves_is_said(sites: Sites, crawl: Crawl) -> None:
    done = crawl("check", f"{sites.origin}/good.html", "--max-pages", "1", *QUICKLY)
    assert done.code == 0, done
    assert done.stdout == "No broken links; 1 URL checked.\nNot checked: 2 URLs: left by a limit (--max-pages).\n"


def test_a_start_that_is_not_there(sites: Sites, crawl: Crawl) -> None:
    done = crawl("check", f"{sites.origin}/nothing", *QUICKLY)
    assert done.code == 12
    assert done.stdout.startswith(f"Where the check began:\n  {sites.origin}/nothing\n    status 404 Not Found\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("https://h.test/", "--ignore", "("), "--ignore '(': not a regular expression"),
        (("ftp://h.test/",), "ftp://h.test/"),
        (("https://h.test/", "-o", "no/such/folder"), "make it first"),
    ],
)
def test_mistakes_of_users(crawl: Crawl, arguments: tuple[str, ...], said: str) -> None:
    done = crawl("check", *arguments)
    assert done.code == 2
    assert said in done.stderr
