"""``crawl report`` on a site that is known in full, read by other programs: an HTML parser, a JSON reader, a CSV reader, Chromium."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import Crawl, lacking, run_crawl
from linked_site import Sites, linked_sites

EXTRAS = {
    "CRAWL_STORE__SIMHASH": "true",
    "CRAWL_STORE__RECORD_ANCHORS": "true",
    "CRAWL_POLITENESS__DELAY": "0",
    "CRAWL_FETCH__RETRIES": "0",
    "CRAWL_FETCH__HEADERS": '{ X-Note = "only-between-us" }',
}


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sites]:
    folder = tmp_path_factory.mktemp("report")
    with linked_sites() as sites:
        done = run_crawl(folder, "run", sites.origin, "--dir", "site", "--record-links", env=EXTRAS)
        assert done.code == 0, done
    return folder, sites


def report(folder: Path, *arguments: object) -> Any:
    return run_crawl(folder, "report", "site", *arguments)


class Reader(HTMLParser):
    """Collects what a document would load, what it would run, and whether its elements are closed in order."""

    VOID = ("meta", "rect", "line", "br")

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed", "form", "base"):
            self.loads.append(tag)
        self.loads += [name for name, _ in attrs if name.startswith("on") or name in ("src", "srcset", "style", "action", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.hrefs += [value or "" for name, value in attrs if name == "href"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_stands_for_itself_and_escapes_what_pages_say(crawled: tuple[Path, Sites]) -> None:
    folder, sites = crawled
    done = report(folder, "-o", "out.html")
    assert (done.code, done.stdout) == (0, ""), done
    html = (folder / "out.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert (reader.loads, reader.open) == ([], [])
    assert len(set(reader.ids)) == len(reader.ids)
    assert {href[1:] for href in reader.hrefs if href.startswith("#")} <= set(reader.ids)
    assert "default-src 'none'" in html.replace("&#x27;", "'")
    assert "url(" not in html.partition("</style>")[0]
    assert "</title><script>alert(1)</script>" in reader.text, "the title is shown as it is"
    assert "<script" not in html
    for link, (_, pages) in sites.broken.items():
        if link.startswith(sites.origin) and not link.endswith((".png", "nofollowed.html")):
            assert {link, *pages} <= set(reader.hrefs)
    again = report(folder, "-o", "out.html")
    assert again.code == 2
    assert "--overwrite" in again.stderr


def test_json_has_the_whole_report(crawled: tuple[Path, Sites]) -> None:
    folder, sites = crawled
    done = report(folder, "--format", "json")
    assert done.code == 0, done
    model = json.loads(done.stdout)
    lines = (folder / "site" / "records.jsonl").read_text().splitlines()
    assert model["urls"] == len(lines) == sum(model["outcomes"].values())
    assert model["bytes"] == sum(json.loads(line)["bytes"] or 0 for line in lines)
    for name in ("depths", "times"):
        assert sum(found["count"] for found in model[name]) == len(lines) - (name == "times")  # robots.txt forbids one: it has no time
    assert [group["urls"] for group in model["copies"]] == [[f"{sites.origin}/twin1.html", f"{sites.origin}/twin2.html"]]
    assert [sorted(group["urls"]) for group in model["near"]] == [[f"{sites.origin}/near1.html", f"{sites.origin}/near2.html"]]
    chains = {
        tuple(url.removeprefix(sites.origin) for url in found["chain"]): (found["end"], found["status"]) for found in model["redirects"]
    }
    assert chains == {
        ("/moved", "/good.html"): ("fetched", 200),
        ("/moved-bad", "/gone2.html"): ("failed", 404),
        ("/circle1", "/circle2", "/circle1"): ("loop", None),
    }
    own = {
        link: found
        for link, found in sites.broken.items()
        if link.startswith(sites.origin) and not link.endswith((".png", "nofollowed.html"))
    }
    assert {link["url"]: (link["reason"], set(link["pages"])) for link in model["links"]["broken"]} == own
    assert [denied["url"] for denied in model["denied"]] == [f"{sites.origin}/private.html"]
    assert model["about"]["refused"]["scope:host"] == 5
    assert model["about"]["settings"]["store.record_links"] is True
    assert "only-between-us" not in done.stdout


def test_csv_and_junit(crawled: tuple[Path, Sites]) -> None:
    folder, sites = crawled
    done = report(folder, "-o", "out.csv")
    assert done.code == 0, done
    rows = list(csv.DictReader(io.StringIO((folder / "out.csv").read_text(encoding="utf-8"), newline="")))
    gone = {row["page"] for row in rows if row["section"] == "broken_link" and row["name"].endswith("/gone.html")}
    assert gone == {f"{sites.origin}{path}" for path in ("/", "/good.html", "/menu.html")}
    assert report(folder, "-o", "out.xml").code == 0
    suites = {suite.get("name"): suite for suite in ElementTree.parse(folder / "out.xml").getroot()}
    assert {case.get("name") for case in suites[f"{sites.origin}/menu.html"]} == {
        f"{sites.origin}/gone.html",
        f"{sites.origin}/good.html#missing",
    }


def test_without_recorded_links_the_first_page_is_told(crawl: Crawl, tmp_path: Path) -> None:
    with linked_sites() as sites:
        done = crawl("run", sites.origin, "--dir", "site", "--delay", "0", "--retries", "0")
        assert done.code == 0, done
    model = json.loads(crawl("report", "site", "--format", "json").stdout)
    assert model["links"]["all_pages"] is False
    assert model["links"]["fragments_checked"] is False
    found = {link["url"].removeprefix(sites.origin): link["pages"] for link in model["links"]["broken"]}
    home = [f"{sites.origin}/"]
    assert found.pop("/gone.html")[0] in sites.broken[f"{sites.origin}/gone.html"][1]
    assert found == {"/moved-bad": home, "/circle1": home}
    assert "links were not recorded" in crawl("report", "site").stdout


def test_mistakes_are_named(crawled: tuple[Path, Sites]) -> None:
    folder, _ = crawled
    assert "its name says no format" in report(folder, "-o", "report.pdf").stderr
    missing = run_crawl(folder, "report", "nowhere")
    assert missing.code == 8
    assert "not a crawl's home" in missing.stderr


@pytest.mark.slow
def test_a_browser_shows_it_without_asking_anybody(crawled: tuple[Path, Sites]) -> None:
    folder, _ = crawled
    program = shutil.which("chromium")
    if program is None:
        lacking("chromium", "chromium")
    if os.environ.get("CI") == "true":
        import playwright.sync_api as sync_api
    else:
        sync_api = pytest.importorskip("playwright.sync_api")
    assert report(folder, "-o", "seen.html").code == 0
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        grounds = [_look(browser, folder / "seen.html", scheme) for scheme in ("light", "dark")]
        browser.close()
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]


def _look(browser: Any, path: Path, scheme: str) -> str:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 500, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url))
    page.goto(path.as_uri())
    assert said == [path.as_uri()], "nothing is loaded, and nothing breaks the document's own policy"
    assert page.locator("svg[role=img]").count() >= 6
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a narrow window need not be scrolled sideways"
    ground: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    return ground
