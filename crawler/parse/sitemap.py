"""Entries of a sitemap: sitemaps.org XML and indexes, plain text, RSS 2.0 and Atom.

The XML is read as a stream and thrown away as it goes. Namespaces are ignored: many sitemaps have a wrong one or none. What is
damaged gives what could be read. No entity is resolved, nothing is loaded from disk or network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from lxml import etree
from msgspec import Struct

from crawler.model import PageLink
from crawler.parse.links import make_links
from crawler.url import canonicalise

MAX_ENTRIES: Final = 50_000
"""Entries of one sitemap, good or not (sitemaps.org)."""
MAX_COUNTED: Final = 10 * MAX_ENTRIES
"""Entries after which the others are not even counted."""
MAX_LOC: Final = 8192
"""Characters of one entry's address before it is canonical."""

_CHUNK: Final = 64 * 1024
_XML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,1024}<|\xff\xfe|\xfe\xff")
_PARENTS: Final = {"loc": ("url", "sitemap"), "link": ("item", "entry")}
_RECORDS: Final = frozenset(("url", "sitemap", "item", "entry"))


class Sitemap(Struct, frozen=True):
    """What a sitemap lists: pages, other sitemaps, and how many entries were beyond the limit."""

    links: list[PageLink]
    sitemaps: list[PageLink]
    dropped: int
    notes: list[str]


def read_sitemap(data: bytes, url: str) -> Sitemap:
    """Read a decoded sitemap fetched from canonical `url`; raises nothing for what it contains."""
    notes: list[str] = []
    found = _read_xml(data, notes) if _XML.match(data) else _read_text(data)
    pages: dict[str, bool] = {}
    indexes: dict[str, bool] = {}
    dropped = 0
    for count, (loc, is_index) in enumerate(found):
        if count >= MAX_COUNTED:
            notes.append(f"not read beyond {MAX_COUNTED} entries")
            break
        if count >= MAX_ENTRIES:
            dropped += 1
            continue
        canonical = canonicalise(loc.strip(), url) if len(loc) <= MAX_LOC else None
        if canonical is not None:
            (indexes if is_index else pages)[canonical] = False
    links, too_much = make_links(pages)
    sitemaps, more = make_links(indexes)
    return Sitemap(links, sitemaps, dropped + too_much + more, notes)


def _read_text(data: bytes) -> Iterator[tuple[str, bool]]:
    for line in data.decode("utf-8-sig", "replace").splitlines():
        text = line.strip()
        if text[:8].lower().startswith(("http://", "https://")):
            yield text, False


def _read_xml(data: bytes, notes: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield addresses, and for each whether it is a sitemap's, while the document is fed to the parser."""
    parser: Any = etree.XMLPullParser(
        events=("end",),
        recover=True,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for start in range(0, len(data), _CHUNK):
            parser.feed(data[start : start + _CHUNK])
            yield from _addresses(parser)
        parser.close()
    except etree.LxmlError as error:
        notes.append(f"XML damaged: {str(error)[:100]}")
    at_end = list(_addresses(parser))
    if at_end and not data.rstrip(b"\0\t\n\r ").endswith(b">"):
        at_end.pop()  # the document ends within an address: what there is of it is another one
    yield from at_end
    damage = parser.feed_error_log.last_error
    if damage is not None and not notes:
        notes.append(f"XML damaged: line {damage.line}: {damage.message[:100]}")


def _addresses(parser: Any) -> Iterator[tuple[str, bool]]:
    for _, element in parser.read_events():
        name = _local_name(element)
        if name in _PARENTS:
            parent = element.getparent()
            record = _local_name(parent) if parent is not None else ""
            if record in _PARENTS[name]:
                address = _address(element, record)
                if address:
                    yield address, record == "sitemap"
        elif name in _RECORDS:
            _discard(element)


def _address(element: Any, record: str) -> str:
    if record == "entry":  # Atom: the address is an attribute, and links that are not alternates lead elsewhere
        return str(element.get("href") or "") if element.get("rel") in (None, "alternate") else ""
    return str(element.text or "")


def _local_name(element: Any) -> str:
    """The name without its namespace, or without a prefix that was never bound to one."""
    return str(element.tag).rpartition("}")[2].rpartition(":")[2].lower()


def _discard(element: Any) -> None:
    """Free a record that has been read, and what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
