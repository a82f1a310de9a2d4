"""Reading a home, also while another process crawls in it: status, records, why."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from crawler.errors import HomeError
from crawler.frontier.fresh import settled
from crawler.frontier.keys import keys_of
from crawler.frontier.sqlite import State, seed_redirects
from crawler.job import Job
from crawler.model import Record
from crawler.store.archive import FOLDER, committed_files
from crawler.store.counters import Counters
from crawler.store.home import DATABASE, ITEMS, RECORDS, decode_record, is_locked, read_lines, read_log, unreadable
from crawler.store.outbox import hands_on, stored_extensions
from crawler.store.schema import check_version, read_meta
from crawler.url import fingerprint


class Status(Struct, frozen=True):
    """How a crawl stands."""

    home: str
    state: str  # "running", "stopped", "finished"; a killed crawl is "stopped"
    pid: int | None
    seeds: list[str]
    queued: int
    counters: Counters
    outputs: dict[str, int]  # path: committed bytes


class Known(Struct, frozen=True):
    """What the home knows of one URL."""

    url: str
    state: str  # "done", "queued", "too_deep", "refused", "unknown"
    rule: str | None = None
    record: Record | None = None
    depth: int | None = None
    via: str | None = None
    referrer: str | None = None
    attempts: int | None = None


class HomeReader:
    """A read-only view of a home."""

    def __init__(self, folder: Path) -> None:
        """Open the home at `folder`. Raises HomeError when it is none."""
        self.folder = folder
        database = folder / DATABASE
        if not database.is_file():
            raise HomeError(f"{folder} is not a crawl's home (it has no {DATABASE}); 'crawl run --dir {folder} URL' would make one")
        try:
            self._db = _connect(database)
        except sqlite3.DatabaseError as error:
            raise HomeError(f"{database}: cannot be read: {error}") from error

    def close(self) -> None:
        """Close the view."""
        self._db.close()

    def job(self) -> Job:
        """Return the crawl's job. Raises HomeError when the home holds none yet."""
        stored = self._db.execute("SELECT value FROM meta WHERE key = 'job'").fetchone()
        if stored is None:
            raise HomeError(f"{self.folder} holds no crawl yet")
        return msgspec.json.decode(stored[0], type=Job)

    def status(self) -> Status:
        """Return how the crawl stands now."""
        pid = is_locked(self.folder)
        state = read_meta(self._db, "state") or "new"
        if state == "running" and pid is None:
            state = "stopped"
        counters = Counters.load(self._db)
        files = {path: length for path, length in self._files().items() if path.startswith("/")}  # the home's own are relative
        return Status(str(self.folder), state, pid, self.job().seeds, counters.queued, counters, files)

    def records(self) -> Iterator[Record]:
        """Yield every committed record, in the order of their commits."""
        yield from read_log(self.folder / RECORDS, self._files().get(RECORDS, 0))

    def items(self) -> Iterator[bytes]:
        """Yield the line of every committed item, a JSON object, in the order of the pages' commits."""
        yield from read_lines(self.folder / ITEMS, self._files().get(ITEMS, 0))

    def archives(self) -> list[tuple[Path, dict[str, int]]]:
        """Return the folders of the archive, each with the committed length of its files by name; none when none is kept.

        A folder without files is the archive of a crawl to which nobody has answered yet.
        """
        files = committed_files(self._db)
        return [(self.folder / FOLDER, files)] if files or (self.folder / FOLDER).is_dir() else []

    def _files(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT path, length FROM files"))

    def robots(self, origin: str) -> bytes | None:
        """Return the stored robots.txt entry of an origin (JSON), or None."""
        row = self._db.execute("SELECT entry FROM robots WHERE origin = ?", (origin,)).fetchone()
        return row[0] if row else None

    def seed_redirects(self) -> list[str]:
        """Return the URLs that the seeds redirected to: they belong to the scope as if they had been asked for."""
        return seed_redirects(self._db)

    def has_job(self) -> bool:
        """Say whether a crawl was begun in the home."""
        return self._db.execute("SELECT 1 FROM meta WHERE key = 'job'").fetchone() is not None

    def extensions(self) -> list[str]:
        """Return what seeds redirected to, as the processes of one crawl tell each other."""
        return stored_extensions(self._db)

    def hands_on(self, url: str) -> bool:
        """Say whether a link to `url` is on its way to another process of the crawl."""
        return hands_on(self._db, url)

    def known(self, url: str) -> Known:
        """Return what is known of a canonical URL."""
        keys = msgspec.json.encode(keys_of(url)).decode()
        fresh = min(settled(self._db))  # beyond it, a URL may not be in the index yet
        where = "SELECT state, line, depth, via, referrer, attempts FROM known WHERE url = ? AND "
        row = (
            self._db.execute(f"{where} id IN (SELECT id FROM seen WHERE key IN (SELECT value FROM json_each(?)))", (url, keys)).fetchone()
            or self._db.execute(f"{where} id > ? AND key IN (SELECT value FROM json_each(?))", (url, fresh, keys)).fetchone()
        )
        if row is None:
            return self._refused(url)
        state, line, depth, via, referrer, attempts = row
        name = State(state).name.lower()
        record = self._record_at(line) if state == State.DONE else None
        return Known(url, name, record=record, depth=depth, via=via, referrer=referrer, attempts=None if record else attempts)

    def _refused(self, url: str) -> Known:
        row = self._db.execute("SELECT rule, referrer FROM refused WHERE key = ? AND url = ?", (fingerprint(url), url)).fetchone()
        return Known(url, "refused", rule=row[0], referrer=row[1]) if row else Known(url, "unknown")

    def _record_at(self, line: int) -> Record:
        path = self.folder / RECORDS
        try:
            with path.open("rb") as log:
                log.seek(line)
                return decode_record(path, log.readline())
        except OSError as error:
            raise unreadable(path, error) from error


def _connect(database: Path) -> sqlite3.Connection:
    """Open a database for reading, also where nothing can be written: SQLite wants files beside one in WAL mode even then.

    Those are not needed when nobody writes and no log is left; a log left there is not passed over in silence.
    """
    address = f"{database.absolute().as_uri()}?mode=ro"
    log = database.with_name(f"{database.name}-wal")
    try:
        return _opened(address, database)
    except sqlite3.OperationalError:
        if os.access(database.parent, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        return _opened(f"{address}&immutable=1", database)


def _opened(address: str, database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        check_version(connection, database)
    except BaseException:
        connection.close()
        raise
    return connection
