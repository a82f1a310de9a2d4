"""The main content of an HTML page as plain text or Markdown, by resiliparse or trafilatura (`crawler.parse.extractors`).

resiliparse decides by rules and is fast; its Markdown is written from the page's own tree, of the texts that it keeps. trafilatura weighs
texts against each other, takes five to fifteen times as long, and finds dates and authors in more places.

Markdown begins with ``date`` and ``author`` between two lines ``---``, where the page tells them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final, Literal

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from crawler.parse.extractors import chosen
from crawler.parse.limited import TookTooLongError, cpu_limit
from crawler.parse.markdown import is_permalink, to_markdown
from crawler.parse.marks import mark, marks_in
from crawler.parse.published import published

MAX_TEXT: Final = 1024 * 1024
"""Bytes of text that a page gives; the rest is left out."""
MAX_HTML: Final = 16 * 1024 * 1024
"""Bytes of a page beyond which it gets no text."""
MAX_TAGS: Final = 600_000
"""Tags, opening and closing ones, beyond which a page gets no text."""
MAX_DEEP_TAGS: Final = 100_000
"""The same for pages whose elements are nested more than 60 deep; more than 300 deep, a page gets no text at all."""
MAX_SECONDS: Final = 2.0
"""CPU time of trafilatura after which a page gets no text: some pages take it minutes, and a worker has seconds for a page."""
RESET_AFTER: Final = 1_000
"""Pages after which trafilatura forgets: what it remembers from page to page is not bounded."""

_UNSEEN: Final = ["script", "style", "noscript", "template", "iframe", "object", "svg"]
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_METADATA: Final = re.compile(r"\A---\n.*?\n---\n", re.S)
_DEEP, _DEEPEST = ("*>" * depth + "*" for depth in (60, 300))
_PANIC: Final = "PanicException"  # of libraries in Rust; no Exception, so that nobody catches it by chance


class TextReader:
    """Reads the main content of one page after the other; made once in a worker, for importing a library takes a while."""

    def __init__(self, form: Literal["text", "markdown"], extractor: str) -> None:
        """`extractor` as in `config.Extractor`. Raises ValueError when it is not installed (`extractors.available` says so in time)."""
        name = chosen(extractor)
        if name is None:
            raise ValueError(f"no extractor {extractor!r}")
        library = _trafilatura if name == "trafilatura" else _resiliparse
        self._extract = library(markdown=form == "markdown")

    def read(self, html: bytes, url: str) -> str | None:
        """Return the main content of a page (UTF-8) fetched from canonical `url`; None when there is none, or it takes too long to find.

        Raises only MemoryError and RecursionError, whatever the page contains.
        """
        try:
            text = self._extract(html, url)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # a library stumbled over the page: that costs the page its text
            return None
        except BaseException as error:
            if type(error).__name__ != _PANIC:
                raise
            return None
        return _trimmed(text or "") or None


def _resiliparse(*, markdown: bool) -> Callable[[bytes, str], str | None]:
    from resiliparse.extract.html2text import extract_plain_text

    def main_text(html: str) -> str:
        """Find the main content, or all content of a page that seems to have no main one."""
        text: str = extract_plain_text(html, preserve_formatting=True, main_content=True)
        return text if text.strip() else extract_plain_text(html, preserve_formatting=True)

    def plain(html: bytes, _url: str) -> str | None:
        return main_text(html.decode("utf-8", "replace")) if _is_bearable(html, _parsed(html)) else None

    def as_markdown(html: bytes, url: str) -> str | None:
        tree = _parsed(html)
        if not _is_bearable(html, tree):
            return None
        known = published(tree)
        tree.strip_tags(_UNSEEN)
        marked = mark(tree.html or "")
        text = to_markdown(marked, url, marks_in(main_text(marked.html)), MAX_TEXT)
        return f"{_front_matter(known)}{text}" if text else None

    return as_markdown if markdown else plain


def _trafilatura(*, markdown: bool) -> Callable[[bytes, str], str | None]:
    import lxml.html
    from trafilatura.core import extract_with_metadata
    from trafilatura.meta import reset_caches

    for library in ("trafilatura", "htmldate", "justext", "courlan"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)  # what they say of a page is nobody's to read
    left = RESET_AFTER

    def extract(html: bytes, url: str) -> str | None:
        nonlocal left
        left -= 1
        if left == 0:
            reset_caches()
            left = RESET_AFTER
        if not _is_bearable(html, _parsed(html)):
            return None
        tree: Any = lxml.html.document_fromstring(html, parser=lxml.html.HTMLParser(encoding="utf-8"))
        for link in [link for link in tree.iter("a") if is_permalink(link.get("href") or "", link.text_content().strip())]:
            link.drop_tree()
        tree.make_links_absolute(url, handle_failures="discard")  # it would resolve them against the site's root
        options: dict[str, Any] = {"include_links": True, "include_images": True, "include_formatting": True} if markdown else {}
        form = "markdown" if markdown else "txt"
        try:
            with cpu_limit(MAX_SECONDS):
                found = extract_with_metadata(tree, url=url, output_format=form, include_comments=False, **options)
        except TookTooLongError:
            return None
        if found is None or not found.text:
            return None
        text = _METADATA.sub("", found.text)
        known = {key: value for key in ("date", "author") if (value := getattr(found, key, None))}
        return f"{_front_matter(known)}{text}" if markdown else text

    return extract


def _parsed(html: bytes) -> LexborHTMLParser:
    return LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)


def _is_bearable(html: bytes, tree: LexborHTMLParser) -> bool:
    """Say whether a page's text can be found in the time that a page has.

    What the libraries need grows with the number of elements times their depth: 20 000 that are nested take them ten seconds.
    """
    if tree.css_first(_DEEPEST) is not None:
        return False
    return html.count(b"<") <= (MAX_DEEP_TAGS if tree.css_first(_DEEP) is not None else MAX_TAGS) and len(html) <= MAX_HTML


def _front_matter(known: dict[str, str]) -> str:
    """Return facts as YAML between two lines; a JSON string is one of YAML's."""
    if not known:
        return ""
    return "---\n" + "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in known.items()) + "---\n\n"


def _trimmed(text: str) -> str:
    """Drop control characters and what is beyond the limit."""
    text = _CONTROLS.sub("", text).strip("\n ")
    if len(text) * 4 <= MAX_TEXT:
        return text
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore")
