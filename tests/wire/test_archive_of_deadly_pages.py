"""Answers that no worker can parse are in the archive all the same: what was answered is there, whatever became of the page."""

from __future__ import annotations

from pathlib import Path

from small_crawl import Crawl, outcomes, records_in
from small_web import html, small_web
from warcio.archiveiterator import ArchiveIterator

from crawler.extract.rules import Extraction

HOOK = """import os
def parse(page):
    while page.url.endswith("hang"): pass
    if page.url.endswith("die"): os._exit(9)
    if page.url.endswith("grow"): bytes(1 << 40)
    yield {"type": "seen"}
"""


async def test_pages_that_end_their_worker_are_archived(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOK)
    rules = Extraction(hook=str(tmp_path / "hooks.py"))
    pages = {"/": html("/hang", "/die", "/grow"), **{path: html() for path in ("/hang", "/die", "/grow")}}
    async with small_web(pages) as web:
        await Crawl(tmp_path / "home", [web.url()], store__archive=True, parse__page_time=1.0, extraction=rules).run()
        found = outcomes(records_in(tmp_path / "home"), web)
    assert found == {"/": "fetched", "/hang": "failed:parse", "/die": "failed:parse", "/grow": "failed:parse"}
    with (tmp_path / "home/archive/crawl-00000.warc.gz").open("rb") as segment:
        told = [(record.rec_type, record.rec_headers.get_header("WARC-Target-URI")) for record in ArchiveIterator(segment)]
    for kinds in (("response", "revisit"), ("request",)):
        assert sorted(url for kind, url in told if kind in kinds) == sorted(web.url(path) for path in pages)
