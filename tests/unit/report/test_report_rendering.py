from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

from making_records import ORIGIN, failed, record, redirected, urls

from crawler.model import Record
from crawler.report.html import render_html
from crawler.report.junit import junit
from crawler.report.links import find_broken
from crawler.report.markup import link
from crawler.report.model import About, ReportModel
from crawler.report.sheet import links_csv, report_csv
from crawler.report.summary import Lengths, summarise

EVIL = "<script>alert('1')</script>&\"\x00\u202e"


def about(**given: object) -> About:
    return About(**{"home": "h.crawl", "state": "finished", "seeds": [f"{ORIGIN}/"], "settings": {}, **given})  # type: ignore[arg-type]


def of(*records: Record, **given: object) -> ReportModel:
    return summarise(lambda: iter(records), about(**given), lengths=Lengths(pages=2, broken=1, redirects=1, hosts=1, denied=1))


def test_an_empty_crawl_has_a_report() -> None:
    model = of(state="running")
    assert (model.urls, model.depths, model.first_fetch) == (0, [], None)
    assert "still running" in render_html(model)
    assert report_csv(model).startswith("section,name,value")


def test_nothing_from_pages_is_markup() -> None:
    evil = f"{ORIGIN}/?<script>\"'&"
    model = of(
        record("/a", title=EVIL, language=EVIL, content_type=EVIL, links=[evil], elapsed_ms=99),
        failed("/b", url=evil, detail=EVIL),
        settings={"fetch.headers": [EVIL]},
        refused={EVIL: 3},
        faults={EVIL: 1},
        items={EVIL: 1},
    )
    html = render_html(model)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&amp;&quot;") >= 6


def test_only_http_is_a_link() -> None:
    assert link("javascript:alert(1)") == "javascript:alert(1)"
    assert link(f"{ORIGIN}/a") == f'<a href="{ORIGIN}/a" rel="noreferrer noopener nofollow">{ORIGIN}/a</a>'


def test_lists_that_were_cut_say_so() -> None:
    pages = [record(f"/p{n}", links=urls("/gone0", "/gone1", "/gone2"), elapsed_ms=n) for n in range(30)]
    model = of(*pages, *(failed(f"/gone{n}") for n in range(3)), redirected("/m", "/p1"), redirected("/n", "/p1"))
    assert (len(model.links.broken), model.links.broken_count) == (1, 3)
    assert (len(model.links.broken[0].pages), model.links.broken[0].page_count) == (10, 30)
    assert [page.url for page in model.slowest] == urls("/p29", "/p28")
    html = render_html(model)
    for said in ("and 20 more", "and 2 more", "and 1 more"):
        assert said in html


def test_csv_is_no_formula_and_reads_back() -> None:
    links = find_broken(lambda: [record("/a", links=urls('/x,"y')), failed('/x,"y', detail="=cmd()\r\nnext")])
    [row] = csv.DictReader(io.StringIO(links_csv(links), newline=""))
    assert (row["link"], row["status"], row["page"]) == (f'{ORIGIN}/x,"y', "404", f"{ORIGIN}/a")
    assert row["why"] == "'=cmd()\r\nnext"


def test_junit_is_xml_whatever_pages_say() -> None:
    links = find_broken(lambda: [record("/a", links=urls("/x")), failed("/x", detail=EVIL)])
    root = ElementTree.fromstring(junit(links, name=EVIL, urls=2))
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    [failure] = root.iter("failure")
    assert failure.get("message") == EVIL.replace("\x00", "\ufffd")
    seed = ElementTree.fromstring(junit(find_broken(lambda: [failed("/")]), name="x", urls=1))
    assert [suite.get("name") for suite in seed] == ["where the crawl began"]
    passed = ElementTree.fromstring(junit(find_broken(lambda: [record("/a")]), name="x", urls=1))
    assert (passed.get("tests"), passed.get("failures"), len(list(passed.iter("testcase")))) == ("1", "0", 1)
