"""One page as rules and hooks see it: parsed by lxml once, at the first question that needs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, Final

from lxml import etree
from parsel import Selector
from parsel.csstranslator import HTMLTranslator

from crawler.parse.structured import LinkedData, linked_data, meta_properties
from crawler.url import canonicalise

Node = Any
"""An element of lxml."""
Query = Callable[[Node], Any]
"""A compiled selector: a node in; nodes, strings, a number or a truth value out."""

_SILENT: Final = frozenset(("script", "style", "noscript", "template"))
_BLOCK_NAMES: Final = (
    "address article aside blockquote br button caption dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr legend li main nav ol option p pre section select summary table tbody td textarea tfoot th thead tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
_SPACES: Final = re.compile(r"[ \t\n\f\r\xa0]+")


class Document:
    """One HTML page, valid UTF-8, that came from a canonical URL. Asking raises nothing but MemoryError."""

    def __init__(self, html: bytes, url: str) -> None:
        self.html = html
        self.url = url

    @cached_property
    def selector(self) -> Selector:
        """The page for parsel: a tree by libxml2, which drops what is nested deeper than 2 046 elements."""
        try:
            return Selector(body=self.html, encoding="utf-8", type="html", base_url=self.url)
        except (etree.LxmlError, ValueError):  # nothing in it that could be a document
            return Selector(text="<html></html>", type="html", base_url=self.url)

    @property
    def root(self) -> Node:
        """The html element."""
        return self.selector.root

    @cached_property
    def base(self) -> str:
        """The URL that references are resolved against: the first base element counts."""
        element = self.root.find(".//base[@href]")
        return self.url if element is None else canonicalise(element.get("href").strip(), self.url) or self.url

    @cached_property
    def linked_data(self) -> LinkedData:
        """The page's JSON-LD."""
        return linked_data(self.root)

    @cached_property
    def properties(self) -> dict[str, list[str]]:
        """The contents of its meta elements, by lower-cased name."""
        return meta_properties(self.root)

    @cached_property
    def source(self) -> str:
        """The page's HTML as text."""
        return self.html.decode("utf-8", "replace")

    def resolve(self, reference: str) -> str | None:
        """Return the canonical URL of a reference in this page, None when it is no http or https URL."""
        return canonicalise(reference.strip(), self.base)


@lru_cache(1024)
def css_query(selector: str) -> Query:
    """Compile CSS with parsel's ``::text`` and ``::attr(name)``; raises ValueError with a line for people."""
    try:
        path = HTMLTranslator().css_to_xpath(selector)
    except Exception as error:  # cssselect has several, one of them SyntaxError
        raise ValueError(f"{selector!r} is not CSS that is known here: {error}") from error
    return xpath_query(path)


@lru_cache(1024)
def xpath_query(path: str) -> Query:
    """Compile XPath 1.0 with EXSLT's regular expressions and parsel's ``has-class()``; raises ValueError with a line for people."""
    try:
        compiled: Query = etree.XPath(path, smart_strings=False, namespaces={"re": "http://exslt.org/regular-expressions"})
        compiled(_PROBE)  # some mistakes, an unknown function for one, show only when it runs
    except (etree.XPathError, ValueError, TypeError) as error:
        raise ValueError(f"{path!r} is not XPath: {error}") from error
    return compiled


_PROBE: Final = etree.fromstring("<html><body/></html>")


def ask(query: Query, node: Node) -> list[Any]:
    """Return what a query finds in a node as a list; no number and empty text are nothing.

    Raises ValueError, with a line for people, when it fails: some mistakes show only where the query has something to work on.
    """
    try:
        result = query(node)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise ValueError(f"the selector fails: {error}") from error
    if isinstance(result, list):
        return result
    if isinstance(result, float):
        return [] if result != result else [int(result) if result.is_integer() else result]  # noqa: PLR0124 - not a number
    return [] if result == "" else [result]


def outer_html(node: Node) -> str:
    """Return an element as HTML, without what follows it."""
    return str(etree.tostring(node, encoding="unicode", method="html", with_tail=False))


def text_of(node: Node) -> str:
    """Return the text of an element: white space collapsed, blocks apart, without scripts and styles."""
    if len(node) == 0:
        return tidy(node.text or "")  # a script's, too, when it is asked for itself
    pieces: list[str] = []
    skipped = None
    for event, element in etree.iterwalk(node, events=("start", "end", "comment", "pi")):
        tag = element.tag
        if event == "start" and skipped is None:
            if tag in _SILENT and element is not node:
                skipped = element
                continue
            if tag in _BLOCKS:
                pieces.append(" ")
            pieces.append(element.text or "")
        elif event != "start":
            if element is skipped:
                skipped = None
            if skipped is None and element is not node:
                pieces.append(" " if tag in _BLOCKS else "")
                pieces.append(element.tail or "")
    return tidy("".join(pieces))


def tidy(text: str) -> str:
    """Return text with its white space collapsed."""
    return _SPACES.sub(" ", text).strip(" ")
