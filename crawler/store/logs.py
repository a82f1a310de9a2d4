"""The files that a batch of completions is appended to: the record log, the items, the archive, and the outputs that are streamed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from crawler.model import Extras, Fetched, FetchFailed, Record
from crawler.store.archive import ArchiveEntry, archive_entry
from crawler.store.home import Home
from crawler.store.outputs import encoded


class Kept(Struct, frozen=True):
    """What is kept of one URL that came to its end."""

    record: Record
    line: bytes  # of the record log
    extras: Extras | None
    answer: Fetched | FetchFailed | None

    @property
    def items(self) -> list[bytes]:
        """The lines of its items, without their ends."""
        return [item.data for item in self.extras.items] if self.extras is not None else []

    @property
    def archive_entry(self) -> ArchiveEntry | None:
        """What goes into the archive, if there was an answer and a worker made its records."""
        if self.answer is None or self.extras is None or self.extras.archived is None:
            return None
        return archive_entry(self.answer, self.extras.archived)


class Logs:
    """The open files of a home. Per batch: `append`, `sync`, and in the transaction `store_lengths`. Used by the writer thread alone."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def append(self, kept: Sequence[Kept]) -> list[int]:
        """Append to every file; return where each record begins in the record log. Raises StoreError."""
        home, places = self._home, []
        place = home.records.length
        for one in kept:
            places.append(place)
            place += len(one.line)
        if kept:
            lines = [one.line for one in kept]
            home.records.append(b"".join(lines))
            for output in home.outputs:
                output.append(encoded(output.encoder, [one.record for one in kept], lines))
            if items := [item + b"\n" for one in kept for item in one.items]:
                home.items.append(b"".join(items))
            if home.archive is not None:
                home.archive.append([entry for one in kept if (entry := one.archive_entry) is not None])
        return places

    def sync(self) -> None:
        """Make what was appended durable. Raises StoreError."""
        home = self._home
        for file in (home.records, *([home.items] if home.items.is_open else []), *home.outputs):
            file.sync()
        if home.archive is not None:
            home.archive.sync()

    def store_lengths(self, connection: sqlite3.Connection) -> None:
        """Write every file's length into the open transaction."""
        home = self._home
        own = [(file.path.name, file.length) for file in (home.records, home.items)]
        rows = [*own, *((str(output.path), output.length) for output in home.outputs)]
        connection.executemany("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", rows)
        if home.archive is not None:
            home.archive.record(connection)
