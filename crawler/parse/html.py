"""Links and metadata of an HTML document, by lexbor (selectolax): an HTML5 tree, as a browser without scripts builds it.

lexbor was measured against lxml on Rust's documentation: about twice as fast, and it neither drops what is nested deeper than 253
elements nor what follows a text of 10 MB, both of which libxml2 does without a word. In return it is quadratic in the
depth of nesting and in the attributes of one tag: the pool's time limit per page is the answer to that.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler.model import PageLink
from crawler.parse.links import References, Resolver
from crawler.url import canonicalise

MAX_TITLE: Final = 1000
MAX_DESCRIPTION: Final = 2000
MAX_LANGUAGE: Final = 64
MAX_DIRECTIVES: Final = 50
MAX_DIRECTIVE: Final = 100

_HTML_TYPES: Final = ("", "text/html", "application/xhtml+xml")
_REFRESH: Final = re.compile(r"[\t\n\f\r ]*(?:[0-9]+|(?=\.))[0-9.]*(?=[;,\t\n\f\r ])[\t\n\f\r ]*[;,]?[\t\n\f\r ]*(.*)", re.S)
_REFRESH_URL: Final = re.compile(r"url[\t\n\f\r ]*=[\t\n\f\r ]*(.*)", re.I | re.S)


class Document(Struct, frozen=True):
    """What an HTML document says; URLs are canonical."""

    title: str | None
    description: str | None
    language: str | None
    canonical: str | None
    robots: list[str]
    refresh: str | None
    links: list[PageLink]
    dropped_links: int


class _Head:
    """What base, meta and link elements said, in document order: the first of each counts."""

    def __init__(self, agent_token: str) -> None:
        self._robots_names = ("robots", agent_token)
        self.base: str | None = None
        self.description: str | None = None
        self.canonical: str | None = None
        self.refresh: str | None = None
        self.robots: list[str] = []
        self.following: list[tuple[str, bool]] = []  # references of link elements that lead to documents, and whether they are nofollow

    def meta(self, attributes: dict[str, str | None]) -> None:
        """Take a meta element."""
        content = attributes.get("content") or ""
        name = (attributes.get("name") or "").strip().lower()
        if name in self._robots_names and name:
            self._add_robots(content)
        elif name == "description" and self.description is None:
            self.description = _clean(content, MAX_DESCRIPTION)
        if self.refresh is None and (attributes.get("http-equiv") or "").strip().lower() == "refresh":
            self.refresh = refresh_target(content)

    def link(self, attributes: dict[str, str | None]) -> None:
        """Take a link element."""
        href = attributes.get("href")
        relations = (attributes.get("rel") or "").lower().split()
        if not href:
            return
        if "canonical" in relations and self.canonical is None:
            self.canonical = href
        media_type = (attributes.get("type") or "").partition(";")[0].strip().lower()
        alternate = "alternate" in relations and "stylesheet" not in relations and media_type in _HTML_TYPES
        if alternate or "next" in relations or "prev" in relations:
            self.following.append((href, "nofollow" in relations))

    def _add_robots(self, content: str) -> None:
        for part in content[: MAX_DIRECTIVES * MAX_DIRECTIVE].split(","):
            directive = _clean(part.lower(), MAX_DIRECTIVE)
            if directive and directive not in self.robots and len(self.robots) < MAX_DIRECTIVES:
                self.robots.append(directive)


def extract(data: bytes, url: str, *, agent_token: str, max_links: int, want_links: bool) -> Document:
    """Read an HTML document, valid UTF-8, fetched from canonical `url`.

    Raises nothing for what a document contains, but MemoryError or selectolax's error when memory ends.
    """
    tree = LexborHTMLParser(data, options=LexborDocumentOptions.WO_EVENTS.value)
    head = _read_head(tree, agent_token)
    references = _references(tree, head.following) if want_links else References()
    base = _base_url(head.base, url)
    links, dropped = references.resolve(Resolver(base), max_links)
    return Document(
        title=_title(tree),
        description=head.description,
        language=_language(tree),
        canonical=_resolve(head.canonical, base),
        robots=head.robots,
        refresh=_resolve(head.refresh, base),
        links=links,
        dropped_links=dropped,
    )


def _read_head(tree: LexborHTMLParser, agent_token: str) -> _Head:
    """Read base, meta and link elements wherever they stand: a stray one in the body counts too, as in browsers."""
    head = _Head(agent_token)
    for node in tree.tags("base"):
        href = node.attributes.get("href")
        if href is not None:
            head.base = href
            break
    for node in tree.tags("meta"):
        head.meta(node.attributes)
    for node in tree.tags("link"):
        head.link(node.attributes)
    return head


def _references(tree: LexborHTMLParser, following: list[tuple[str, bool]]) -> References:
    """Collect what leads to other documents. A walk over the tree for each tag is the fastest that there is: 15 µs for 58 kB."""
    references = References()
    for tag in ("a", "area"):
        for node in tree.tags(tag):
            attributes = node.attributes
            href = attributes.get("href")
            if href is not None:
                rel = attributes.get("rel")
                references.add(href, rel is not None and "nofollow" in rel.lower().split())
    for tag in ("iframe", "frame"):
        for node in tree.tags(tag):
            source = node.attributes.get("src")
            if source:
                references.add(source, False)
    for href, nofollow in following:
        references.add(href, nofollow)
    return references


def refresh_target(content: str) -> str | None:
    """Return the target in a meta refresh's content, None when it only reloads (HTML standard, "shared declarative refresh steps")."""
    timed = _REFRESH.match(content)
    if timed is None:
        return None
    rest = timed[1]
    named = _REFRESH_URL.match(rest)
    if named:
        rest = named[1]
    if rest[:1] in ("'", '"'):
        rest = rest[1:].partition(rest[0])[0]
    return rest.strip() or None


def _base_url(href: str | None, url: str) -> str:
    """The first base element counts, unless it leads where no document can be."""
    if href is None:
        return url
    return canonicalise(href.strip(), url) or url


def _resolve(reference: str | None, base: str) -> str | None:
    return None if reference is None else canonicalise(reference.strip(), base)


def _language(tree: LexborHTMLParser) -> str | None:
    root = tree.root
    return None if root is None else _clean(root.attributes.get("lang") or "", MAX_LANGUAGE)


def _title(tree: LexborHTMLParser) -> str | None:
    """The first title that is HTML's own: SVG has titles too."""
    node = tree.head.first_child if tree.head is not None else None
    while node is not None:
        if node.tag == "title":
            return _clean(node.text(), MAX_TITLE)
        node = node.next
    for node in tree.tags("title")[:100]:
        if not _in_svg(node):
            return _clean(node.text(), MAX_TITLE)
    return None


def _in_svg(node: LexborNode) -> bool:
    """Titles in SVG are children of SVG elements; HTML's own is a child of head, or of something that no SVG element is."""
    parent = node.parent
    for _ in range(20):
        if parent is None or parent.tag in ("head", "body", "html"):
            return False
        if parent.tag == "svg":
            return True
        parent = parent.parent
    return False


def _clean(text: str, limit: int) -> str | None:
    """Collapse white space, drop NULs, cut; None when nothing is left."""
    return " ".join(text.replace("\0", "").split())[:limit].rstrip() or None
