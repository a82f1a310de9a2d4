"""What is wanted of a page beyond its links and metadata, brought together: each part is loaded only where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from crawler.model import Extras, PageLink, Parsed, bare_type
from crawler.parse.frames import ToParse, Wanted
from crawler.parse.links import make_links

if TYPE_CHECKING:
    from crawler.parse.extraction import Extractor
    from crawler.parse.text import TextReader

_CSS: Final = "text/css"


class Gatherer:
    """Takes from pages what `wanted` names. One is made for each worker: rules are compiled and libraries loaded once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._extractor = _extractor(wanted)
        self._reader = _reader(wanted)

    def from_document(self, parsed: Parsed, html: bytes, page: ToParse, base: str) -> Parsed:
        """Return `parsed` with its extras, read from an HTML document in UTF-8 whose links are resolved against `base`."""
        wanted, extras = self._wanted, Extras()
        if self._extractor is not None:
            found = self._extractor.extract(html, page.url, parsed.links)
            parsed = replace(parsed, links=found.links)
            extras = replace(extras, items=found.items, faults=found.faults, priorities=found.priorities)
        if self._reader is not None or wanted.simhash:
            text = self._reader.read(html, page.url) if self._reader is not None else None
            extras = replace(extras, text=text, simhash=_simhash(text, html) if wanted.simhash else None)
        if wanted.anchors:
            from crawler.parse.anchors import anchors_and_fragments

            anchors, fragments = anchors_and_fragments(html, page.url, base)
            extras = replace(extras, anchors=anchors, fragments=fragments)
        if wanted.requisites:
            from crawler.parse.requisites import named_by_link_elements, requisites_of_html

            needed = requisites_of_html(html, base)
            if wanted.anchors:  # links are being checked: these are some, too
                needed += named_by_link_elements(html, base)
            extras = replace(extras, requisites=_page_links(needed))
        return replace(parsed, extras=extras)

    def from_other(self, parsed: Parsed, body: bytes, page: ToParse) -> Parsed:
        """Return `parsed` with what a style sheet needs to be shown; all else that is no HTML document has nothing more."""
        if not self._wanted.requisites or bare_type(page.content_type) != _CSS:
            return parsed
        from crawler.parse.requisites import requisites_of_css

        return replace(parsed, extras=Extras(requisites=_page_links(requisites_of_css(body, page.url, parsed.charset))))

    def archived(self, parsed: Parsed, page: ToParse) -> Parsed:
        """Return `parsed` with the WARC records of the exchange that brought the page, if they are wanted."""
        exchange = page.exchange
        if not self._wanted.archive or exchange is None:
            return parsed
        from crawler.archive.records import archived_exchange, truncation

        records = archived_exchange(
            url=page.url,
            ip=exchange.ip,
            started_at=exchange.started_at,
            exchanged=exchange.heads,
            payload=page.body,
            truncated=None if exchange.failed is None else truncation(exchange.failed),
        )
        return replace(parsed, extras=replace(parsed.extras or Extras(), archived=records))


def _extractor(wanted: Wanted) -> Extractor | None:
    if not wanted.extraction:
        return None
    from crawler.parse.extraction import Extractor

    return Extractor(wanted.extraction)


def _reader(wanted: Wanted) -> TextReader | None:
    if wanted.text == "off":
        return None
    from crawler.parse.text import TextReader

    return TextReader("markdown" if wanted.text == "markdown" else "text", wanted.extractor)


def _simhash(text: str | None, html: bytes) -> int | None:
    from crawler.parse.simhash import simhash, visible_text

    return simhash(visible_text(html) if text is None else text)


def _page_links(urls: list[str]) -> list[PageLink]:
    return make_links(urls)[0]
