"""When and by whom a page says it was written: meta elements, JSON-LD, the first time element of an article."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_DATES: Final = ("article:published_time", "datepublished", "date", "dc.date", "dcterms.created", "dc.date.issued", "parsely-pub-date")
_AUTHORS: Final = ("author", "article:author", "dc.creator", "parsely-author")
_NAMES: Final = ("property", "name", "itemprop")
_DATE: Final = re.compile(r"\s*((?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?:$|[T\s])")
_JSON_DATE: Final = re.compile(r'"datePublished"\s*:\s*"([^"]{10,40})"')
_MAX_AUTHOR: Final = 200


def published(tree: LexborHTMLParser) -> dict[str, str]:
    """Return what is known of ``date`` (ISO 8601, a day) and ``author``, in this order."""
    metas = [(_name(node), node.attributes.get("content") or "") for node in tree.css("meta[content]")]
    candidates = [_first(metas, _DATES), *_linked_dates(tree), *(node.attributes.get("datetime") for node in tree.css("article time")[:1])]
    date = next((found[1] for text in candidates if (found := _DATE.match(text or ""))), None)
    author = " ".join((_first(metas, _AUTHORS) or "").split())[:_MAX_AUTHOR]
    known = {"date": date, "author": None if author.startswith(("http://", "https://")) else author}
    return {key: value for key, value in known.items() if value}


def _linked_dates(tree: LexborHTMLParser) -> list[str]:
    scripts = tree.css('script[type="application/ld+json"]')[:5]
    return [found[1] for node in scripts if (found := _JSON_DATE.search(node.text()))]


def _name(node: LexborNode) -> str:
    attributes = node.attributes
    return next((value.lower() for name in _NAMES if (value := attributes.get(name))), "")


def _first(metas: list[tuple[str, str]], wanted: tuple[str, ...]) -> str | None:
    """Return the content that the first of the wanted names has."""
    return next((content for name in wanted for key, content in metas if key == name and content.strip()), None)
