"""Extraction as a crawl has it done: in worker processes that a page or a hook may end."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from crawler.config import ParseSettings
from crawler.model import Kind, Parsed, Reason
from crawler.parse.frames import ToParse, Wanted
from crawler.parse.pool import ParsePool

RULES = {
    "items": {"book": {"each": "article", "fields": {"title": {"css": "h2", "required": True}, "n": {"css": "i", "type": "int"}}}},
    "follow": [{"css": "li.next", "next": True}],
}
BODY = b"<article><h2>A</h2><i>1</i></article><article><h2>B</h2><i>x</i></article><article></article><li class=next><a href=/2>2</a></li>"


def make_pool(rules: dict[str, object], **settings: object) -> ParsePool:
    pool = ParsePool(reactor, ParseSettings(**{"workers": 1, **settings}), "crawl", wanted=Wanted(extraction=msgspec.json.encode(rules)))
    pool.start()
    return pool


def page(path: str, content_type: str = "text/html") -> ToParse:
    return ToParse(f"http://h.example/{path}", Kind.PAGE, content_type, [], BODY)


def rows(parsed: Parsed) -> list[tuple[object, ...]]:
    return [(item.type, *list(json.loads(item.data).values())[2:]) for item in parsed.extras.items]


async def test_items_faults_and_priorities_come_back():
    pool = make_pool(RULES)
    try:
        parsed, image = await gatherResults([pool.parse(page("a")), pool.parse(page("b", "image/png"))])
        assert rows(parsed) == [("book", "A", 1), ("book", "B", None)]
        assert parsed.extras.faults == [("book.n", "not a number: 'x'"), ("book.title", "required, but nothing matched")]
        assert [(link.url, dict(parsed.extras.priorities)[link.key]) for link in parsed.links] == [("http://h.example/2", 50)]
        assert image.extras is None or image.extras.items == []
    finally:
        await pool.stop()


async def test_a_hook_that_hangs_or_dies_costs_its_page_and_one_that_raises_not_even_that(tmp_path: Path):
    (tmp_path / "hooks.py").write_text(
        "import os\n"
        "def parse(page):\n"
        "    yield {'type': 'seen', 'path': page.url[17:]}\n"
        "    while page.url.endswith('hang'): pass\n"
        "    if page.url.endswith('die'): os._exit(9)\n"
        "    if page.url.endswith('raise'): raise KeyError('k')\n"
    )
    pool = make_pool({"hook": str(tmp_path / "hooks.py")}, page_time=1.0)
    try:
        paths = ("one", "hang", "die", "raise", "two")
        parsed = dict(zip(paths, await gatherResults([pool.parse(page(path)) for path in paths]), strict=True))
        assert {path: parsed[path].reason for path in paths} == dict.fromkeys(paths) | {"hang": Reason.PARSE, "die": Reason.PARSE}
        assert [rows(parsed[path]) for path in ("one", "raise", "two")] == [[("seen", path)] for path in ("one", "raise", "two")]
        assert parsed["raise"].extras.faults == [("hook", "KeyError: 'k' (line 6)")]
    finally:
        await pool.stop()
