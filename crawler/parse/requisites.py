"""What a page needs to be shown: its style sheets, scripts, images, fonts, media; and what its style sheets need in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler.parse import css, srcset
from crawler.url import canonicalise

MAX_REQUISITES: Final = 10_000
"""Requisites reported of one page or sheet, as many as links by default."""

ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "audio": ("src",),
    "body": ("background",),
    "embed": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src",),
    "input": ("src",),
    "object": ("data",),
    "script": ("src", "href", "xlink:href"),
    "source": ("src",),
    "table": ("background",),
    "td": ("background",),
    "th": ("background",),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Elements and the attributes that name what they show; ``link`` elements have a rule of their own."""
SRCSETS: Final = {"img": "srcset", "source": "srcset", "link": "imagesrcset"}

_RELATIONS: Final = frozenset(
    ("stylesheet", "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "modulepreload", "manifest")
)
_CONNECTIONS: Final = frozenset(("preconnect", "dns-prefetch"))
_PRELOADED: Final = frozenset(("style", "font", "image", "script", "track", "audio", "video"))
_SELECTOR: Final = ", ".join((*ATTRIBUTES, "link", "style", '[style*="("]'))


def requisites_of_html(html: bytes, base_url: str) -> list[str]:
    """Return the canonical URLs that an HTML document needs, each once, in its order; `html` is UTF-8, fetched from `base_url`.

    The document's own base element counts. At most `MAX_REQUISITES` are returned.
    """
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    base = base_of(tree, base_url)
    return _canonical((reference for node in tree.css(_SELECTOR) for reference in _of_element(node)), base)


def named_by_link_elements(html: bytes, base_url: str) -> list[str]:
    """Return the canonical URLs that any ``link`` element names, but those that only open connections; as `requisites_of_html` does."""
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    elements = [node.attributes for node in tree.css("link[href]")]
    named = (found.get("href") or "" for found in elements if _CONNECTIONS.isdisjoint((found.get("rel") or "").lower().split()))
    return _canonical(named, base_of(tree, base_url))


def requisites_of_css(sheet: bytes, url: str, charset: str | None) -> list[str]:
    """Return the canonical URLs that a style sheet needs, each once, in its order.

    `charset` is the label that its Content-Type names, if any. At most `MAX_REQUISITES` are returned.
    """
    return _canonical((reference.url for reference in css.references(css.decoded(sheet, charset))), url)


def base_of(tree: LexborHTMLParser, url: str) -> str:
    """Return what a document's references are resolved against: its first base element with a target, else its own `url`."""
    for node in tree.css("base[href]"):
        return canonicalise((node.attributes.get("href") or "").strip(), url) or url
    return url


def is_requisite(relation: str, preloaded_as: str) -> bool:
    """Say whether a link element of these ``rel`` and ``as`` attributes names something that its page needs to be shown."""
    relations = set(relation.lower().split())
    return not relations.isdisjoint(_RELATIONS) or ("preload" in relations and preloaded_as.strip().lower() in _PRELOADED)


def _of_element(node: LexborNode) -> Iterator[str]:
    """Yield the references of one element, as they are spelt."""
    tag = node.tag or ""
    attributes = node.attributes
    if tag == "link":
        if not is_requisite(attributes.get("rel") or "", attributes.get("as") or ""):
            return
        yield attributes.get("href") or ""
    elif tag == "style":
        yield from (reference.url for reference in css.references(node.text()))
    elif tag != "input" or (attributes.get("type") or "").strip().lower() == "image":
        yield from (attributes.get(name) or "" for name in ATTRIBUTES.get(tag, ()))
    if tag in SRCSETS:
        yield from (url for url, _ in srcset.candidates(attributes.get(SRCSETS[tag]) or ""))
    if style := attributes.get("style"):
        yield from (reference.url for reference in css.references(style))


def _canonical(references: Iterator[str], base: str) -> list[str]:
    spelled: set[str] = set()
    urls: dict[str, None] = {}
    for reference in map(str.strip, references):
        if not reference or reference[0] == "#" or reference in spelled or reference[:5].lower() == "data:":
            continue
        spelled.add(reference)
        url = canonicalise(reference, base)
        if url is not None:
            urls[url] = None
            if len(urls) == MAX_REQUISITES:
                break
    return list(urls)
