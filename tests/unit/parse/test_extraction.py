"""Items and links by rules, from whole pages: sources, types, nesting, lists, faults, limits, follow rules."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.extract.read import read_extraction
from crawler.model import PageLink
from crawler.parse import extraction as extraction_module
from crawler.parse.extraction import Extracted, Extractor
from crawler.url import fingerprint

URL = "https://example.org/catalogue/page-1.html"


def extractor(rules: str) -> Extractor:
    read, problems = read_extraction(tomllib.loads(rules), Path("/jobs"))
    assert problems == []
    return Extractor(msgspec.json.encode(read))


def extract(rules: str, html: str, *links: str, url: str = URL) -> Extracted:
    return extractor(rules).extract(html.encode(), url, [PageLink(fingerprint(link), link) for link in links])


def items(extracted: Extracted) -> list[dict[str, Any]]:
    return [json.loads(item.data) for item in extracted.items]


LD = '<script type="application/ld+json">'


def value(field: str, html: str) -> Any:
    """Return the value of a field, written as in a job file, in a page."""
    extracted = extract(f'[extract.thing.fields]\nanchor = "title"\nfield = {field}', f"<title>there</title>{html}")
    assert extracted.faults == []
    return items(extracted)[0]["field"]


@pytest.mark.parametrize(
    ("field", "html", "result"),
    [
        ('"h1"', "<h1> A <b>bold</b>\n title </h1><h1>B</h1>", "A bold title"),
        ('"a@title"', "<a title=T>x</a>", "T"),
        ('"//h1/text()"', "<h1>A<b>b</b></h1>", "A"),
        ('{ xpath = "count(//li)", type = "int" }', "<li>1<li>2", 2),
        ('{ xpath = "boolean(//li)", type = "bool" }', "<li>1", True),
        ('{ xpath = "string(//li)" }', "<li>1", "1"),
        ('{ css = "h1::text" }', "<h1>A<b>b</b></h1>", "A"),
        ("{ css = \"p\", regex = '([0-9]+) in stock' }", "<p>22 in stock</p>", "22"),
        ("{ css = \"p\", regex = '[0-9]+', list = true, type = \"int\" }", "<p>1, 2</p><p>3</p>", [1, 2, 3]),
        ("{ css = \"p\", regex = '[0-9]+', list = true }", "<p>free</p><p>3</p>", ["3"]),
        ("{ regex = 'sku: \"([A-Z0-9]+)\"' }", '<script>var x = {sku: "A77"}</script>', "A77"),
        ('{ css = "li", list = true }', "<li>a<li> <li>b", ["a", "b"]),
        ('{ css = "li", list = true }', "", []),
        ('{ css = "#data", type = "json" }', '<script id=data type="application/json">{"a": "b  c"}</script>', {"a": "b  c"}),
        ('{ css = "#data" }', "<script id=data>var a = 1</script>", "var a = 1"),
        ('{ css = "dl", type = "html" }', "<dl class=x><dt>a</dl> tail", '<dl class="x"><dt>a</dt></dl>'),
        ('{ css = "article" }', "<article><p>one</p><p>two</p><script>x()</script><b>th</b>ree<br>four</article>", "one two three four"),
        ('{ css = "a", type = "url" }', "<a href='../b?utm_source=x#y'>text</a>", "https://example.org/b"),
        ('{ css = "img", type = "url" }', "<img src=i.png>", "https://example.org/catalogue/i.png"),
        ('{ css = ".u", type = "url" }', "<p class=u>https://a.example/</p>", "https://a.example/"),
        ('{ css = "time", type = "date" }', "<time datetime=2024-03-05>yesterday</time>", "2024-03-05"),
        ('{ css = "meta[itemprop=sku]" }', "<meta itemprop=sku content=77>", "77"),
        ('{ css = ".none", default = "?" }', "", "?"),
        ('{ css = ".none" }', "", None),
        ('{ const = [1, "a"] }', "", [1, "a"]),
        ("{ url = true }", "", URL),
        ('{ opengraph = "og:title" }', "<meta property=og:title content=OG>", "OG"),
        ('{ meta = "AUTHOR" }', "<meta name=author content=Ann>", "Ann"),
        ('{ jsonld = "Product.price", type = "float" }', LD + '{"@type":"Product","price":"1,5"}</script>', 1.5),
        ('{ jsonld = "Product.brand" }', LD + '{"@type":"Product","brand":{"name":"A"}}</script>', "A"),
        ('{ jsonld = "Product.x", type = "json" }', LD + '{"@type":"Product","x":{"a":[1]}}</script>', {"a": [1]}),
        ('{ css = ".a", fields = { n = ".n", l = { css = "a", type = "url" } } }', "<p class=a><b class=n>N</b><a href=/x>x</a>",
         {"n": "N", "l": "https://example.org/x"}),
        ('{ css = "li", list = true, fields = { n = ".", i = "@id" } }', "<li id=1>a<li id=2>b",
         [{"n": "a", "i": "1"}, {"n": "b", "i": "2"}]),
        ('{ css = "li", list = true, fields = { n = { css = "b", required = true } } }', "<li><b>x</b>", [{"n": "x"}]),
        ('{ css = ".none", fields = { n = "." } }', "", None),
    ],
)  # fmt: skip
def test_sources_and_types(field: str, html: str, result: Any) -> None:
    assert value(field, html) == result


LIST = """
<base href="/shop/"><article id=a><h3>One</h3><a href=one>x</a><i>£1.50</i></article>
<article id=b><h3>Two</h3><i>free</i></article><article id=c><h3></h3><i>2</i></article>"""
EACH = """
[extract.book]
when = "/catalogue/"
each = "article"
[extract.book.fields]
title = { css = "h3", required = true }
price = { css = "i", type = "float" }
link = { css = "a", type = "url" }
id = "@id"
"""


def test_an_item_for_each_node_with_a_fault_for_each_field_that_failed() -> None:
    extracted = extract(EACH, LIST)
    assert items(extracted) == [
        {"type": "book", "url": URL, "title": "One", "price": 1.5, "link": "https://example.org/shop/one", "id": "a"},
        {"type": "book", "url": URL, "title": "Two", "price": None, "link": None, "id": "b"},
    ]
    assert extracted.faults == [("book.price", "not a number: 'free'"), ("book.title", "required, but what matched is empty")]


def test_a_page_that_no_rule_is_for_is_left_alone() -> None:
    extracted = extract(EACH, LIST, "https://example.org/a", url="https://example.org/about")
    assert (extracted.items, extracted.faults, [link.url for link in extracted.links]) == ([], [], ["https://example.org/a"])


@pytest.mark.parametrize(
    ("rules", "html", "fault"),
    [
        (EACH, "<p>nothing</p>", ("book.each", "matched nothing")),
        ('[extract.b]\nwhen = "cat"\n[extract.b.fields]\nt = "h1"', "<p>x", ("b", "none of its fields matched anything")),
        ('[extract.b.fields]\nt = { css = "h1", required = true }', "<p>x", ("b.t", "required, but nothing matched")),
        ('[extract.b]\neach = "//a/@href"\n[extract.b.fields]\nt = "."', "<a href=x>", ("b.each", "selects text or attributes; it must")),
        ('[extract.b.fields]\nt = { css = "i", regex = "[0-9]+" }', "<i>free</i>", ("b.t", "its regex finds nothing in 'free'")),
        ('[extract.b.fields]\nt = { css = "i", regex = "[0-9]", list = true }', "<i>x</i><i>y</i>", ("b.t", "finds nothing in any of 2")),
        ('[extract.b.fields]\nt = { css = "h1", type = "url" }', "<h1>My title</h1>", ("b.t", "selects h1 without href or src")),
        ('[extract.b.fields]\nt = { xpath = "//a/@href", fields = { x = "." } }', "<a href=x>", ("b.t", "selects text, in which")),
        ("[extract.b.fields]\nt = \"//a[re:test(@href, '(')]\"", "<a href=x>", ("b.t", "the selector fails")),
        ('[extract.b.fields]\nt = { jsonld = "A.b" }', LD + "{</script>", ("b.t", "JSON-LD: block 1 is broken")),
    ],
)  # fmt: skip
def test_what_fails_is_a_fault_and_no_item(rules: str, html: str, fault: tuple[str, str]) -> None:
    extracted = extract(rules, html)
    assert items(extracted) == []
    assert [rule for rule, _ in extracted.faults] == [fault[0]]
    assert fault[1] in extracted.faults[0][1]


def test_without_when_a_page_with_nothing_in_it_is_no_fault_and_defaults_make_no_item() -> None:
    extracted = extract('[extract.b.fields]\nt = "h1"\nn = { css = "i", default = "0" }\nu = { url = true }', "<p>x")
    assert (items(extracted), extracted.faults) == ([], [])


def test_several_types_from_one_page_and_a_broken_block_of_json_ld_told_once() -> None:
    rules = '[extract.a]\neach = "li"\n[extract.a.fields]\nn = "."\np = { jsonld = "P.n" }\n[extract.b.fields]\nt = "h1"'
    extracted = extract(rules, '<h1>T</h1><li>1<li>2<script type="application/ld+json">{"@type"</script>')
    assert [item.type for item in extracted.items] == ["a", "a", "b"]
    assert [rule for rule, _ in extracted.faults] == ["a.p"]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_module, "MAX_ITEMS", 3)
    monkeypatch.setattr(extraction_module, "MAX_ITEM", 100)
    rules = '[extract.a]\neach = "li"\n[extract.a.fields]\nn = "."'
    many = extract(rules, "<li>1<li>2<li>3<li>4")
    assert (len(many.items), many.faults) == (3, [("a.each", "4 matches; those after 3 are left out")])
    long = extract(rules, f"<li>{'x' * 100}<li>short")
    assert [item["n"] for item in items(long)] == ["short"]
    assert "more than 100; it is left out" in long.faults[0][1]
    monkeypatch.setattr(extraction_module, "MAX_PAGE_ITEMS", 80)
    full = extract(rules, "<li>1<li>2<li>3")
    assert (len(full.items), len(full.faults)) == (1, 1)


@pytest.mark.parametrize(
    "html", [b"", b" ", b"<!---->", b"\x00", b"<?xml version='1.0'?>", b"<frameset><frame src=x>", b"plain", "\ufffd".encode()]
)
def test_whatever_a_page_holds_nothing_is_raised(html: bytes) -> None:
    extracted = extractor(EACH).extract(html, URL, [])
    assert extracted.faults == [("book.each", "matched nothing")]


def test_deep_nesting_is_read_to_the_depth_that_libxml2_keeps() -> None:
    html = f"<h1>top</h1>{'<div>' * 5000}<h2>deep</h2>"
    assert items(extract('[extract.a.fields]\nt = "h1"\nd = "h2"', html)) == [{"type": "a", "url": URL, "t": "top", "d": None}]


HOME, NEXT, OTHER = "https://example.org/", "https://example.org/catalogue/page-2.html", "https://example.org/other"
LINKS = f"<a href=/>home</a><ul><li class=next><a href=page-2.html>next</a></ul><a rel='nofollow next' href={OTHER}>o</a>"


def followed(rules: str, html: str = LINKS) -> dict[str, int]:
    """Return the links with their priorities."""
    extracted = extract(rules, html, HOME, NEXT, OTHER)
    priorities = dict(extracted.priorities)
    return {link.url: priorities.get(link.key, 0) for link in extracted.links}


@pytest.mark.parametrize(
    ("rules", "links"),
    [
        ('[[follow]]\ncss = "li.next"\nnext = true', {HOME: 0, NEXT: 50, OTHER: 0}),
        ('[[follow]]\ncss = "li.next a"\npriority = 7\nonly = true', {NEXT: 7}),
        ("[[follow]]\nnext = true", {HOME: 0, NEXT: 0, OTHER: 50}),
        ('[[follow]]\nurl = "page-"\npriority = -3', {HOME: 0, NEXT: -3, OTHER: 0}),
        ('[[follow]]\nurl = "page-"\nonly = true\n[[follow]]\nurl = "other"', {NEXT: 0, OTHER: 0}),
        ('[[follow]]\nurl = "page-"\nonly = true\nwhen = "/about"', {HOME: 0, NEXT: 0, OTHER: 0}),
        ('[[follow]]\ncss = "a"\nurl = "page-"\npriority = 2\n[[follow]]\nurl = "page"\npriority = 9', {HOME: 0, NEXT: 9, OTHER: 0}),
        ('[[follow]]\nxpath = "//a/@href"\nonly = true', {HOME: 0, NEXT: 0, OTHER: 0}),
        ('[[follow]]\ncss = "nothing"\nonly = true', {}),
    ],
)
def test_follow_rules(rules: str, links: dict[str, int]) -> None:
    assert followed(rules) == links


def test_a_rule_may_find_links_that_are_none_of_the_page_and_keeps_nofollow() -> None:
    extracted = extract('[[follow]]\nxpath = "//@data-href"\n[[follow]]\ncss="a"', "<p data-href=/more><a rel=nofollow href=/n>n</a>", HOME)
    assert [(link.url, link.nofollow) for link in extracted.links] == [
        (HOME, False),
        ("https://example.org/more", False),
        ("https://example.org/n", True),
    ]


def test_rules_that_cannot_be_compiled_after_all_are_faults() -> None:
    broken = Extractor(b'{"items": {"a": {"fields": {"t": "h1["}}}, "hook": "/nowhere/hook.py"}')
    extracted = broken.extract(b"<h1>x", URL, [])
    assert [rule for rule, _ in extracted.faults] == ["a", "hook"]
