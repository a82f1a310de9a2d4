"""What fragments may name in an HTML document, and the document's own links that have a fragment.

What a fragment indicates is decided as HTML decides it ("select the indicated part", HTML Standard 7.4.6.4): the element whose id is the
fragment, else the first ``a`` element whose name it is; both are asked again with the fragment percent-decoded. ``""`` and ``top``
name the top of any document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from crawler.parse.links import Resolver

MAX_ANCHORS: Final = 4 * 1024 * 1024
"""Characters of anchors, each with one more, that are told of one document; where there are more, none are."""
MAX_FRAGMENTS: Final = 4 * 1024 * 1024
"""Characters of links with a fragment that are told of one document: some 50 000 links; those beyond are left out."""
MAX_FRAGMENT: Final = 1000
"""Characters of a fragment that is told."""

_DIRECTIVE: Final = ":~:"
_SPACE: Final = "\t\n\f\r "
_REMOVED: Final = str.maketrans("", "", "\t\n\r")


def anchors_and_fragments(html: bytes, url: str, base: str) -> tuple[list[str] | None, list[str]]:
    """Return the ids and names in a document (UTF-8) fetched from canonical `url`, and its links with a fragment, each once, in its order.

    A link is a canonical URL, resolved against `base` (canonical, too), ``#`` and the fragment as it is written. Text fragments
    (``#:~:text=…``) are left out, and those that name the top. The anchors are None when they exceed `MAX_ANCHORS`.
    """
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    return _anchors(tree), _fragments(tree, base or url)


def _anchors(tree: LexborHTMLParser) -> list[str] | None:
    anchors: dict[str, None] = {}
    room = MAX_ANCHORS
    for node in tree.css("[id], a[name]"):
        attributes = node.attributes
        names = (attributes.get("id"), attributes.get("name") if node.tag == "a" else None)
        for name in names:
            if name and name not in anchors:
                anchors[name] = None
                room -= len(name) + 1
        if room < 0:
            return None
    return list(anchors)


def _fragments(tree: LexborHTMLParser, base: str) -> list[str]:
    resolver = Resolver(base)
    found: dict[str, None] = {}
    room = MAX_FRAGMENTS
    for reference, fragment in _references(tree):
        target = resolver.resolve(reference)
        if target is None or (link := f"{target}#{fragment}") in found:
            continue
        room -= len(link)
        if room < 0:
            break
        found[link] = None
    return list(found)


def _references(tree: LexborHTMLParser) -> Iterator[tuple[str, str]]:
    """Yield what stands before and after the ``#`` of each link that names a part of a document, each spelling once."""
    spelled: set[str] = set()
    for node in tree.css('a[href*="#"], area[href*="#"]'):
        href = node.attributes.get("href") or ""
        if href in spelled:
            continue
        spelled.add(href)
        reference, _, fragment = href.strip(_SPACE).translate(_REMOVED).partition("#")
        fragment = fragment.partition(_DIRECTIVE)[0]
        if 0 < len(fragment) <= MAX_FRAGMENT and fragment.lower() != "top":
            yield reference, fragment
