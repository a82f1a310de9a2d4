"""The engine where more than links is asked for: requisites, links out of scope that are probed, near duplicates, items, an archive."""

from __future__ import annotations

import json
from pathlib import Path

from small_crawl import Crawl, crawl, outcomes
from small_web import Reply, html, moved, small_web, status, text
from warcio.archiveiterator import ArchiveIterator

from crawler.archive.segments import read_index
from crawler.extract.rules import Extraction, ItemRule
from crawler.store.home import open_home
from crawler.store.reader import HomeReader

STYLES = '<link rel="stylesheet" href="/s/a.css">'


def css(body: str) -> Reply:
    return Reply(200, body.encode(), {"content-type": "text/css"})


async def test_what_pages_need_is_fetched_from_any_host_and_nothing_else_of_it(tmp_path: Path) -> None:
    async with small_web({"/far.png": text("p"), "/": html("/never")}) as other:
        pages = {
            "/": html("/b", head=f'{STYLES}<img src="{other.url("/far.png")}">'),
            "/b": html(other.url("/"), head=STYLES),
            "/s/a.css": lambda _: css("@import 'b.css'; body { background: url(bg.png) }"),
            "/s/b.css": lambda _: css("p { color: red }"),
            "/s/bg.png": text("b"),
        }
        async with small_web(pages) as web:
            _, records = await crawl(
                tmp_path / "home", [web.url()], scope__requisites=True, scope__depth=1, fetch__allow_addresses=["127.0.0.0/8"]
            )
    found = {record.url: (record.via, record.depth) for record in records}
    assert found == {
        web.url(): ("seed", 0),
        web.url("/b"): ("link", 1),
        web.url("/s/a.css"): ("requisite", 0),
        web.url("/s/b.css"): ("requisite", 0),
        web.url("/s/bg.png"): ("requisite", 0),
        other.url("/far.png"): ("requisite", 0),
    }
    assert "/" not in other.paths()


async def test_links_out_of_scope_are_probed_by_head_and_by_get_where_that_is_refused(tmp_path: Path) -> None:
    beyond = {
        "/good": html("/deeper"),
        "/gone": status(404),
        "/no-head": lambda number: Reply(405) if number == 1 else Reply(200, b"x" * 100_000),
        "/moved": moved("/good2"),
        "/good2": text("ok"),
    }
    async with small_web(beyond) as other:
        links = [other.url(path) for path in ("/good", "/gone", "/no-head", "/moved")]
        async with small_web({"/": html(*links)}) as web:
            _, records = await crawl(
                tmp_path / "home", [web.url()], scope__probe_external=True, fetch__allow_addresses=["127.0.0.0/8"], fetch__retries=0
            )
    assert outcomes([record for record in records if record.url != web.url()], other) == {
        "/good": "fetched",
        "/gone": "failed:http_error",
        "/no-head": "fetched",
        "/moved": "redirected",
        "/good2": "fetched",
    }
    assert "/deeper" not in other.paths()
    attempts = {record.url: record.attempts for record in records}
    assert (attempts[other.url("/good")], attempts[other.url("/no-head")]) == (1, 2)


async def test_probes_keep_to_exclusions_and_pages_to_which_they_lead_are_crawled(tmp_path: Path) -> None:
    beyond = {"/kept-out": text("x"), **{f"/{n}": moved(f"/{n + 1}") for n in range(9)}}
    asks = {"scope__probe_external": True, "scope__exclude": ["kept-out"], "fetch__max_redirects": 3}
    async with small_web(beyond) as other, small_web({"/b": html("/c"), "/c": html()}) as web:
        web.pages["/"] = html(other.url("/kept-out"), other.url("/back"), other.url("/0"))
        other.pages["/back"] = moved(web.url("/b"))
        _, records = await crawl(tmp_path / "home", [web.url()], fetch__allow_addresses=["127.0.0.0/8"], **asks)
    assert outcomes([record for record in records if record.url.startswith(web.url())], web) == dict.fromkeys(("/", "/b", "/c"), "fetched")
    assert {*other.paths()} - {"/robots.txt"} == {"/0", "/1", "/2", "/3", "/back"}


WORDS = " ".join(f"word{number} is told of here" for number in range(120))


async def test_links_of_near_duplicates_are_not_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    def page(extra: str, *links: str) -> Reply:
        hrefs = "".join(f'<a href="{link}">x</a>' for link in links)
        return Reply(200, f"<title>t</title><p>{WORDS} {extra}</p>{hrefs}".encode(), {"content-type": "text/html"})

    pages = {
        "/": html("/one", "/two"),
        "/one": lambda _: page("alpha", "/from-one", "/both"),
        "/two": lambda _: page("beta", "/from-two", "/both"),
        **{f"/{name}": html() for name in ("from-one", "from-two", "both")},
    }
    async with small_web(pages) as web:
        _, records = await crawl(tmp_path / "home", [web.url()], scope__near_duplicates="skip", politeness__per_host=1)
        _, every = await crawl(tmp_path / "all", [web.url()], politeness__per_host=1)
    assert set(outcomes(every, web)) - set(outcomes(records, web)) == {"/from-two"}
    (near,) = [record for record in records if record.url == web.url("/two")]
    assert near.detail == "2 links not followed: nearly the text of another page"


async def test_items_and_archive_are_in_step_with_the_records(tmp_path: Path) -> None:
    pages = {"/": html("/a", "/old", "/gone"), "/a": html("/"), "/old": moved("/a"), "/gone": status(404)}
    rules = Extraction(items={"page": ItemRule(fields={"name": "title"})})
    async with small_web(pages) as web:
        run = Crawl(tmp_path / "home", [web.url()], store__archive=True, extraction=rules)
        result = await run.run()
    reader = HomeReader(tmp_path / "home")
    try:
        items = [json.loads(line) for line in reader.items()]
        (folder, files), *_ = reader.archives()
        index = list(read_index(folder, files))
    finally:
        reader.close()
    assert sorted(items, key=lambda item: item["url"]) == [{"type": "page", "url": web.url(path), "name": "t"} for path in ("/", "/a")]
    assert result.snapshot.items == {"page": 2}
    (folder / "crawl-00000.warc.gz").rename(folder / "crawl-00000.warc.gz.open")  # as a kill leaves it just before the end
    open_home(tmp_path / "home", fresh=False).close()
    with (folder / "crawl-00000.warc.gz").open("rb") as segment:
        told = [(record.rec_type, record.rec_headers.get_header("WARC-Target-URI")) for record in ArchiveIterator(segment)]
    assert sorted(url for kind, url in told if kind == "response") == sorted(web.url(path) for path in pages)
    assert len(index) == 4
    assert files["crawl-00000.warc.gz"] == (folder / "crawl-00000.warc.gz").stat().st_size
