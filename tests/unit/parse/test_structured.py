"""JSON-LD and meta elements: paths, graphs, and blocks that are broken."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.parse.document import Document


def page(*blocks: str, head: str = "") -> Document:
    scripts = "".join(f'<script type="application/ld+json">{block}</script>' for block in blocks)
    return Document(f"<html><head>{head}{scripts}</head><body></body></html>".encode(), "https://example.org/")


PRODUCT = """{"@context": "https://schema.org", "@type": "Product", "name": "Chair", "offers": [{"@type": "Offer", "price": "12.50"},
 {"@type": "Offer", "price": 13}], "brand": {"@type": "Brand", "name": "Acme"}, "image": ["a.jpg", "b.jpg"]}"""
GRAPH = """{"@graph": [{"@type": ["Article", "NewsArticle"], "author": {"@id": "#ann"}, "headline": {"@value": "News", "@language": "en"}},
 {"@id": "#ann", "@type": "https://schema.org/Person", "name": "Ann"}]}"""


@pytest.mark.parametrize(
    ("block", "path", "values"),
    [
        (PRODUCT, "Product.name", ["Chair"]),
        (PRODUCT, "Product.offers.price", ["12.50", 13]),
        (PRODUCT, "Offer.price", ["12.50", 13]),
        (PRODUCT, "Product.image", ["a.jpg", "b.jpg"]),
        (PRODUCT, "Product.brand.name", ["Acme"]),
        (PRODUCT, "Product.nothing.here", []),
        (PRODUCT, "Recipe.name", []),
        (PRODUCT, "*.name", ["Chair"]),
        (GRAPH, "NewsArticle.author.name", ["Ann"]),
        (GRAPH, "Article.headline", ["News"]),
        (GRAPH, "Person.name", ["Ann"]),
        (f"[{PRODUCT}, {GRAPH}]", "Person.name", ["Ann"]),
    ],
)
def test_paths(block: str, path: str, values: list[Any]) -> None:
    assert page(block).linked_data.find(path) == values


@pytest.mark.parametrize(
    "block",
    [
        '{"@type": "Thing", "name": "x",}',
        '{"@type": "Thing", "tags": ["a", "b", ], "name": "x"};',
        '<!-- {"@type": "Thing", "name": "x"} -->',
        '//<![CDATA[\n{"@type": "Thing", "name": "x"}\n//]]>',
        '{"@type": "Thing", "text": "two\nlines\tand, ] a bracket", "name": "x"}',
    ],
)
def test_common_flaws_are_repaired(block: str) -> None:
    linked = page(block).linked_data
    assert (linked.find("Thing.name"), linked.broken) == (["x"], [])


def test_a_broken_block_loses_only_itself() -> None:
    linked = page('{"@type": "Thing", "name": }', PRODUCT, "", "[" * 5000).linked_data
    assert linked.find("Product.name") == ["Chair"]
    assert [line.partition(":")[0] for line in linked.broken] == ["block 1 is broken", "block 4 is broken"]


def test_blocks_that_are_no_objects_are_nothing() -> None:
    linked = page('"text"', "[1, [2], null]").linked_data
    assert (linked.nodes, linked.broken) == ([], [])


def test_meta_properties() -> None:
    head = """<meta property="og:title" content=" A "><meta property="og:image" content="1.png"><meta property="og:image" content="2.png">
      <meta name="Author" content="Ann"><meta name="empty"><meta itemprop="sku" content="77">"""
    assert page(head=head).properties == {"og:title": ["A"], "og:image": ["1.png", "2.png"], "author": ["Ann"], "sku": ["77"]}
