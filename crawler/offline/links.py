"""Where the links of a mirrored page lead: to a file of the mirror by a relative path, else to the web by an absolute URL."""

from __future__ import annotations

import posixpath
import sqlite3
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import ada_url

from crawler.policy.sessions import without_session
from crawler.url import MAX_RAW_LENGTH, canonicalise

_KEPT: Final = 65_536
"""Paths of URLs kept in memory: pages of one site share most of their links."""


class Links:
    """The paths of all URLs of a mirror, those that redirect to one included; reads the catalogue that `crawler.export.mirror` makes."""

    def __init__(self, catalogue: sqlite3.Connection) -> None:
        @lru_cache(_KEPT)
        def path_of(url: str) -> str | None:
            row = catalogue.execute("SELECT path FROM pages WHERE url = ?", (url,)).fetchone()
            return None if row is None else row[0]

        self._path_of = path_of

    def path_of(self, url: str) -> str | None:
        """Return the path, from the mirror's root, of canonical `url`, which may have a session id that the crawl left out."""
        path = self._path_of(url)
        if path is None and (plain := without_session(url)) != url:
            return self._path_of(plain)
        return path

    def of(self, url: str, path: str) -> PageLinks:
        """Return the links of the page or sheet `url`, whose file is at `path`."""
        return PageLinks(self, url, path)


class PageLinks:
    """The links of one document."""

    def __init__(self, links: Links, url: str, path: str) -> None:
        self._links = links
        self._folder = posixpath.dirname(path)
        self._known: dict[str, str] = {}
        self.url = url
        self.base = url
        """What references are resolved against; a document's base element may change it."""

    def link(self, reference: str) -> str | None:
        """Return what stands for `reference` in the mirror, None when it stays as it is: no link to a page, or one within its own."""
        reference = reference.strip()
        if not reference or len(reference) > MAX_RAW_LENGTH or (reference[0] == "#" and self.base == self.url):
            return None
        head, hash_mark, fragment = reference.partition("#")
        target = canonicalise(head, self.base)
        path = None if target is None else self._links.path_of(target)
        if path is None:
            return self.absolute(reference)
        return f"{self._relative(path)}{hash_mark}{fragment}"

    def absolute(self, reference: str) -> str | None:
        """Return `reference` as an absolute URL, None when it is none of the web or not one at all."""
        try:
            text: str = ada_url.join_url(self.base, reference)
        except (ValueError, UnicodeError):
            return None
        return text if text.startswith(("http:", "https:")) else None

    def _relative(self, path: str) -> str:
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = quote(posixpath.relpath(path, self._folder), safe="/~!$&'()*+,;=@")
        return known
