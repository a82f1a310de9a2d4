"""The files that a batch of completions is appended to: the record log, the items, the archive, and the outputs that are streamed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate

from crawler.store.archive import archive_entry
from crawler.store.home import Home
from crawler.store.operations import Completion
from crawler.store.outputs import encoded


class Logs:
    """The open files of a home. Per batch: `append`, `sync`, and in the transaction `store_lengths`. Used by the writer thread alone."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def append(self, ended: Sequence[Completion], lines: list[bytes]) -> list[int]:
        """Append to every file, `lines` to the record log; return where each of them begins there. Raises StoreError."""
        home = self._home
        places = list(accumulate([len(line) for line in lines[:-1]], initial=home.records.length)) if lines else []
        if ended:
            home.records.append(b"".join(lines))
            for output in home.outputs:
                output.append(encoded(output.encoder, [one.record for one in ended], lines))
            beyond = [(one.answer, one.extras) for one in ended if one.extras is not None]
            if items := [item.data + b"\n" for _, extras in beyond for item in extras.items]:
                home.items.append(b"".join(items))
            if home.archive is not None:
                home.archive.append([archive_entry(answer, extras.archived) for answer, extras in beyond if answer and extras.archived])
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
