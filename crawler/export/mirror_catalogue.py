"""The catalogue of a mirror: which URL lies where in the archive, and at which path its file will lie."""

from __future__ import annotations

import re
import sqlite3
import zlib
from pathlib import Path
from typing import Final

from crawler.archive.reading import Answer, answers
from crawler.errors import StoreError
from crawler.export.mirror_names import ROOT, file_of, folded, folders_of
from crawler.model import media_type
from crawler.policy.status import REDIRECTS
from crawler.url import canonicalise

MAX_REDIRECTS: Final = 20
"""Redirects in a row that are followed to a file."""

_MIRRORED: Final = frozenset((200, 203))
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,512}<(?:!doctype html|html|head|body|!--)", re.I)
_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE pages (number INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, segment TEXT NOT NULL, offset INTEGER NOT NULL, media TEXT,
    location TEXT, payload TEXT, path TEXT);
CREATE TABLE payloads (digest TEXT PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE taken (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_PAGE: Final = "INSERT OR REPLACE INTO pages (url, segment, offset, media, location, payload) VALUES (?, ?, ?, ?, ?, ?)"
_REVISITED: Final = """
UPDATE pages SET segment = payloads.segment, offset = payloads.offset FROM payloads WHERE pages.payload = payloads.digest"""


class Catalogue:
    """An SQLite file that is made once and then only read; in memory is a page of it at a time.

    Table ``pages`` has a row a URL: `segment` and `offset` of its answer, its media type, the `path` of its file; that of a redirect has
    its `location` and, when that is in the mirror, the path to which it leads in the end.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add_segment(self, segment: Path, length: int) -> None:
        """Enter the answers in the first `length` bytes of a WARC segment; of two for one URL the later counts.

        Raises HomeError when it is not there, StoreError when it cannot be read.
        """
        try:
            for offset, answer in answers(segment, length):
                self._add(answer, str(segment), offset)
        except (OSError, zlib.error) as error:
            raise StoreError(f"{segment}: cannot be read: {error}") from error

    def _add(self, answer: Answer, segment: str, offset: int) -> None:
        execute = self._connection.execute
        if not answer.revisit and not answer.truncated and answer.digest:
            execute("INSERT OR IGNORE INTO payloads VALUES (?, ?, ?)", (answer.digest, segment, offset))
        if answer.status in REDIRECTS:
            location = canonicalise(answer.header("location") or "", answer.url)
            execute(_PAGE, (answer.url, segment, offset, None, location or "", None))
        elif answer.status in _MIRRORED and not answer.truncated:
            execute(_PAGE, (answer.url, segment, offset, _media_type(answer), None, answer.digest if answer.revisit else None))

    def finish(self) -> None:
        """Find the payloads that revisits mean, give every file its path, follow the redirects."""
        execute = self._connection.execute
        execute(_REVISITED)
        execute("DELETE FROM pages WHERE payload NOT IN (SELECT digest FROM payloads)")
        self._take_folders()
        taking = self._connection.cursor()
        for number, url, media in execute("SELECT number, url, media FROM pages WHERE location IS NULL ORDER BY url"):
            taking.execute("UPDATE pages SET path = ? WHERE number = ?", (self._take(url, media), number))
        for number, location in execute("SELECT number, location FROM pages WHERE location IS NOT NULL"):
            taking.execute("UPDATE pages SET path = ? WHERE number = ?", (self._end_of(location), number))
        execute("DROP TABLE taken")
        execute("DROP TABLE payloads")
        execute("COMMIT")

    def _take_folders(self) -> None:
        """Reserve the names of all folders: no file may have one of them."""
        self._connection.execute("INSERT INTO taken VALUES (?)", (ROOT,))
        for (url,) in self._connection.execute("SELECT url FROM pages WHERE location IS NULL"):
            names = folders_of(url)
            paths = [(folded("/".join(names[: depth + 1])),) for depth in range(len(names))]
            self._connection.executemany("INSERT OR IGNORE INTO taken VALUES (?)", paths)

    def _take(self, url: str, media: str | None) -> str:
        folder = "/".join(folders_of(url))
        attempt = 0
        while True:
            path = f"{folder}/{file_of(url, media, attempt)}"
            if self._connection.execute("INSERT OR IGNORE INTO taken VALUES (?)", (folded(path),)).rowcount:
                return path
            attempt += 1

    def _end_of(self, location: str) -> str | None:
        """Return the path to which a redirect to `location` leads, None when it leads out of the mirror, or in a circle."""
        for _ in range(MAX_REDIRECTS):
            row = self._connection.execute("SELECT path, location FROM pages WHERE url = ?", (location,)).fetchone()
            if row is None or row[0] is not None:
                return None if row is None else row[0]
            location = row[1] or ""
        return None

    def count(self) -> int:
        """Return the number of files."""
        row = self._connection.execute("SELECT count(*) FROM pages WHERE path IS NOT NULL AND location IS NULL").fetchone()
        return int(row[0])

    def path_of(self, url: str) -> str | None:
        """Return the path of the file of canonical `url`, or of the file to which it redirects."""
        row = self._connection.execute("SELECT path FROM pages WHERE url = ?", (url,)).fetchone()
        return None if row is None else row[0]


def _media_type(answer: Answer) -> str | None:
    """Return what an answer says that it is; one that does not say it and begins as a document is HTML."""
    named = media_type(answer.headers)
    if named is None and answer.header("content-encoding") is None and _MARKUP.match(answer.payload):
        return "text/html"
    return named
