"""The archive in a crawl's home: WARC segments and their index, appended to in step with the transactions.

Like the record log, every file has a committed length, stored in the transaction that holds the outcomes of the pages in it; what is
beyond is cut off when the archive is opened. A segment is called ``crawl-00000.warc.gz.open`` until it is as large as asked for, or
the crawl is finished; its name is not part of a transaction, so it is put right at the next opening, and readers look for both.

A payload that an earlier response brought already is not stored again: ``payloads`` in the database, written in the same transaction,
tells which, and a ``revisit`` record names it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from crawler import __version__
from crawler.archive import records
from crawler.archive.cdxj import REVISIT, cdxj_line
from crawler.archive.segments import INDEX, OPEN, SEGMENT, segment_name, segment_number, segments_of
from crawler.errors import StoreError
from crawler.job import Job
from crawler.model import Archived, Fetched, FetchFailed, media_type
from crawler.store.outputs import JsonLines, OutputFile

FOLDER: Final = "archive"
"""The folder's name in a home, and what begins the names of its files in the table ``files``."""

_PREFIX: Final = f"{FOLDER}/"
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS payloads (digest TEXT PRIMARY KEY, url TEXT NOT NULL, date TEXT NOT NULL) WITHOUT ROWID"
_SEEDS_TOLD: Final = 10
_UNKNOWN_TYPE: Final = "unk"  # as CDX files have it


class ArchiveEntry(Struct, frozen=True):
    """An exchange whose records go into the archive."""

    url: str
    ip: str | None
    status: int
    mime: str | None
    head: bytes  # of the response, as it was received
    archived: Archived
    whole: bool = True  # all of the payload has come


def archive_entry(answer: Fetched | FetchFailed, archived: Archived) -> ArchiveEntry:
    """Return what the archive takes of an answer whose heads were kept (`exchange`). Raises ValueError for one without."""
    if answer.exchange is None or answer.status is None:
        raise ValueError(f"{answer.url}: the answer has no head")
    whole = isinstance(answer, Fetched)
    mime = media_type(answer.headers)
    return ArchiveEntry(answer.url, answer.ip, answer.status, mime, answer.exchange.response, archived, whole)


def about(job: Job) -> list[tuple[str, str]]:
    """Return what each segment says of the crawl it belongs to, in the names that WARC 1.1 gives for a ``warcinfo``."""
    polite = job.settings.politeness
    return [
        ("description", f"Crawl of {', '.join(job.seeds[:_SEEDS_TOLD])}{', …' if len(job.seeds) > _SEEDS_TOLD else ''}"),
        ("robots", "obey" if polite.robots else "ignore"),
        ("http-header-user-agent", polite.user_agent),
    ]


class Archive:
    """The archive of an open home. Per batch: `append`, `sync`, and `record` in the transaction. Used by the writer thread alone."""

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        *,
        size: int,
        about: list[tuple[str, str]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the archive in the folder `home` and bring it back to its last transaction.

        `size`: bytes after which the next segment begins; `about`: what each segment says of the crawl (``warcinfo``), beside the software.
        Raises StoreError when committed bytes are missing or nothing can be written.
        """
        self.folder = home / FOLDER
        self._size = size
        self._about = about or []
        self._clock = clock
        self._connection = connection
        connection.execute(_SCHEMA)
        committed = committed_files(connection)
        try:
            self.folder.mkdir(exist_ok=True)
            self._repair(committed)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written: {error.strerror}") from error
        self._index = self._file(INDEX, committed.get(INDEX, 0))
        names = segments_of(committed)
        self._number = segment_number(names[-1]) if names else -1
        self._segment = self._file(names[-1] + OPEN, committed[names[-1]]) if names else None
        self._lengths: dict[str, int] = {}  # of files that the coming transaction has to name
        self._payloads: dict[str, tuple[str, str]] = {}  # first seen in the coming transaction: URL and date, by digest

    def _file(self, name: str, length: int) -> OutputFile:
        file = OutputFile(self.folder / name, JsonLines(), length)
        file.open()
        return file

    def _repair(self, committed: dict[str, int]) -> None:
        """Give segments the names that the last transaction knows: the last is open, no other, and there is none beyond."""
        names = segments_of(committed)
        for path in self.folder.iterdir():
            name = path.name.removesuffix(OPEN)
            if SEGMENT.fullmatch(name) and name not in committed:
                path.unlink()
        for name in names:
            closed, opened = self.folder / name, self.folder / (name + OPEN)
            wanted, other = (opened, closed) if name == names[-1] else (closed, opened)
            if not wanted.exists() and other.exists():
                other.rename(wanted)
            size = wanted.stat().st_size if wanted.exists() else 0
            if size < committed[name]:
                raise StoreError(f"{wanted}: {committed[name] - size} committed bytes are missing")

    def append(self, entries: list[ArchiveEntry]) -> None:
        """Write the records of a batch at the end; not durable before `sync` and the transaction. Raises StoreError."""
        known = self._known([entry.archived.payload for entry in entries])
        lines = [self._append(entry, known) for entry in entries]
        if lines:
            self._index.append(b"".join(lines))
            self._lengths[INDEX] = self._index.length

    def _append(self, entry: ArchiveEntry, known: dict[str, tuple[str, str]]) -> bytes:
        """Write the records of an exchange and return their line in the index."""
        segment = self._roomy()
        name, offset = segment_name(self._number), segment.length
        member, mime = self._member(entry, known)
        segment.append(member + entry.archived.request)
        self._lengths[name] = segment.length
        archived, length = entry.archived, len(member)
        return cdxj_line(
            url=entry.url,
            date=archived.date,
            mime=mime,
            status=entry.status,
            digest=archived.payload,
            length=length,
            offset=offset,
            filename=name,
        )

    def _member(self, entry: ArchiveEntry, known: dict[str, tuple[str, str]]) -> tuple[bytes, str]:
        """Return the record of the response, or of a revisit where its payload is there already, and what the index says of its type."""
        archived = entry.archived
        if entry.status == 200 and entry.whole and archived.payload != records.EMPTY:
            first = known.get(archived.payload)
            if first is not None:
                uri, date = first
                record = records.revisit(
                    url=entry.url, ip=entry.ip, head=entry.head, archived=archived, refers_to_uri=uri, refers_to_date=date
                )
                return record, REVISIT
            known[archived.payload] = self._payloads[archived.payload] = (entry.url, archived.date)
        return archived.response, entry.mime or _UNKNOWN_TYPE

    def _known(self, digests: list[str]) -> dict[str, tuple[str, str]]:
        """Return URL and date of the responses that brought payloads first."""
        rows = self._connection.execute(
            "SELECT digest, url, date FROM payloads WHERE digest IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(digests).decode(),),
        )
        return {digest: (url, date) for digest, url, date in rows} | self._payloads

    def _roomy(self) -> OutputFile:
        """Return the segment to append to: the next when this one is full."""
        if self._segment is not None and self._segment.length < self._size:
            return self._segment
        if self._segment is not None:
            self._segment.sync()
            self._close_segment(self._segment)
        self._number += 1
        name = segment_name(self._number)
        segment = self._segment = self._file(name + OPEN, 0)
        segment.append(records.warcinfo(filename=name, software=f"Crawl/{__version__}", about=self._about, created_at=self._clock()))
        return segment

    def _close_segment(self, segment: OutputFile) -> None:
        segment.close()
        segment.path = _renamed(segment.path, self.folder / segment.path.name.removesuffix(OPEN))

    def sync(self) -> None:
        """Make what was appended durable. Raises StoreError."""
        for file in (self._segment, self._index):
            if file is not None and self._lengths:
                file.sync()

    def record(self, connection: sqlite3.Connection) -> None:
        """Write the lengths, and the payloads that are new, into the open transaction."""
        rows = [(_PREFIX + name, length) for name, length in self._lengths.items()]
        connection.executemany("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", rows)
        payloads = [(digest, url, date) for digest, (url, date) in self._payloads.items()]
        connection.executemany("INSERT OR IGNORE INTO payloads (digest, url, date) VALUES (?, ?, ?)", payloads)
        self._lengths, self._payloads = {}, {}

    def close(self, *, finished: bool) -> None:
        """Close the files. `finished`: nothing more will come, so the last segment gets its final name. Raises StoreError."""
        self._index.close()
        segment, self._segment = self._segment, None
        if segment is not None and finished:
            self._close_segment(segment)
        elif segment is not None:
            segment.close()


def close_last_segment(home: Path) -> None:
    """Give the last segment of a finished crawl its final name, if a kill came before that. Raises StoreError."""
    for path in (home / FOLDER).glob(f"*{OPEN}"):
        if SEGMENT.fullmatch(path.name.removesuffix(OPEN)):
            _renamed(path, path.with_suffix(""))


def _renamed(path: Path, target: Path) -> Path:
    try:
        return path.rename(target)
    except OSError as error:
        raise StoreError(f"{path}: cannot be renamed: {error.strerror}") from error


def committed_files(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the committed length of each file of the archive, by name; nothing when there is no archive."""
    rows = connection.execute("SELECT path, length FROM files WHERE path GLOB ?", (f"{_PREFIX}*",))
    return {path.removeprefix(_PREFIX): length for path, length in rows}


def is_archived(path: str) -> bool:
    """Say whether a path in the table ``files`` is one of the archive's."""
    return path.startswith(_PREFIX)


def delete_archive(home: Path) -> None:
    """Delete the archive in a home: its own files, and the folder if nothing else is in it."""
    folder = home / FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name == INDEX or SEGMENT.fullmatch(path.name.removesuffix(OPEN)):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
