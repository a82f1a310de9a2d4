"""A crawl's home: opened, locked, checked, and brought back to its last transaction."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from crawler import __version__
from crawler.errors import HomeError, StoreError, UsageError
from crawler.job import Job, differences
from crawler.model import Record
from crawler.store import schema
from crawler.store.archive import Archive, about, close_last_segment, delete_archive, is_archived
from crawler.store.counters import Counters
from crawler.store.outputs import JsonLines, OutputFile, encoder, format_of

DATABASE: Final = "crawl.sqlite"
RECORDS: Final = "records.jsonl"
ITEMS: Final = "items.jsonl"
DERIVED: Final = "outputs.json"  # which outputs were made of the crawl's logs, and when (crawler/cli/derived.py)
LOCK: Final = "lock"
OWN: Final = frozenset({DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", RECORDS, ITEMS, DERIVED, LOCK})
_REBUILD_BATCH: Final = 2_000
_LOCK_TRIES: Final = 5
_TAIL: Final = 65_536  # bytes read first in search of the last record
_DECODER: Final = msgspec.json.Decoder(Record)

DAMAGED: Final = "the home is damaged, start over with --fresh or another --dir"


class Home:
    """An open, locked home. `resumed` says whether it held an unfinished crawl, `state` how it stands."""

    def __init__(self, folder: Path, lock_fd: int, connection: sqlite3.Connection) -> None:
        """Take over an open lock and database; use `open_home`."""
        self.folder = folder
        self.connection = connection
        self._lock_fd = lock_fd
        self.state: str = schema.read_meta(connection, "state") or "new"
        self.resumed = self.state not in ("new",)
        self.records = OutputFile(folder / RECORDS, JsonLines(), self._length(RECORDS))
        self.items = OutputFile(folder / ITEMS, JsonLines(), self._length(ITEMS))
        self.archive: Archive | None = None
        self.outputs: list[OutputFile] = []

    def _length(self, name: str) -> int:
        row = self.connection.execute("SELECT length FROM files WHERE path = ?", (name,)).fetchone()
        return row[0] if row else 0

    def job(self) -> Job | None:
        """Return the job that the home was made for, or None when it is new."""
        stored = self.connection.execute("SELECT value FROM meta WHERE key = 'job'").fetchone()
        if stored is None:
            return None
        try:
            return msgspec.json.decode(stored[0], type=Job)
        except msgspec.ValidationError as error:
            raise HomeError(f"{self.folder}: its job cannot be read ({error}); choose another --dir") from error

    def _begun(self) -> bool:
        """Say whether any URL was admitted: seeds are, before the first of them is fetched."""
        return Counters.load(self.connection).admitted > 0

    def adopt(self, job: Job) -> None:
        """Store the job of a new home, or check that a resumed one is asked to do the same crawl.

        Raises UsageError naming what differs.
        """
        before = self.job()
        if before is not None and self._begun() and (found := differences(before, job)):
            raise UsageError(
                f"{self.folder} holds another crawl ({'; '.join(found)}):"
                " choose another --dir, or start over with --fresh, which deletes it"
            )
        schema.write_meta(self.connection, "job", job)
        schema.write_meta(self.connection, "version", __version__)
        if before is None:
            schema.write_meta(self.connection, "created", time.time())

    def open_files(self, outputs: list[str], *, overwrite: bool) -> None:
        """Open the record log and the outputs and cut each to its committed length; rebuild outputs that lack records.

        Raises UsageError when an output exists that is not this crawl's, StoreError when one cannot be written.
        """
        self._check_database()
        try:
            self.records.open()
            job = self.job()
            if self.items.length or (job is not None and job.extraction is not None):
                self.items.open()
            if job is not None and job.settings.store.archive:
                self.archive = Archive(self.folder, self.connection, size=job.settings.store.archive_size, about=about(job))
        except StoreError as error:
            raise HomeError(str(error) if error.__cause__ else f"{error}; {DAMAGED}") from error
        for name in outputs:
            output = self._output(name, overwrite=overwrite)
            self.connection.execute(
                "INSERT OR IGNORE INTO files (path, length) VALUES (?, 0)", (str(output.path),)
            )  # ours before it exists
            self._open_output(output, overwrite=overwrite)
            self.outputs.append(output)
        written = {RECORDS, ITEMS, *(str(output.path) for output in self.outputs)}
        for (path,) in self.connection.execute("SELECT path FROM files").fetchall():
            if path not in written and not is_archived(path):
                # It will lack what this run brings, and is to be written again when it is asked for again.
                self.connection.execute("UPDATE files SET length = 0 WHERE path = ?", (path,))

    def _check_database(self) -> None:
        """Raise HomeError where there are records that the database knows nothing of: it was deleted, or its log was (``-wal``)."""
        log = self.folder / RECORDS
        if log.exists() and log.stat().st_size and not self._begun():
            raise HomeError(f"{self.folder}: {RECORDS} holds records, but {DATABASE} nothing of them; move the records away, or {DAMAGED}")

    def write_missing(self, outputs: list[str], *, overwrite: bool) -> list[str]:
        """Write those outputs of a finished crawl that do not exist or are not whole, touch no other, and return their names.

        Raises as `open_files` does.
        """
        missing = []
        for name in outputs:
            output = self._output(name, overwrite=overwrite)
            if not output.length or not output.path.exists() or output.path.stat().st_size < output.length:
                self._open_output(output, overwrite=overwrite)
                output.close()
                missing.append(name)
        return missing

    def _output(self, name: str, *, overwrite: bool) -> OutputFile:
        path = Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow a symlink
        self._check_output(path, overwrite=overwrite)
        return OutputFile(path, encoder(format_of(name)), self._length(str(path)))

    def _check_output(self, path: Path, *, overwrite: bool) -> None:
        if any(path == output.path for output in self.outputs):
            raise UsageError(f"--output {path}: given twice")
        if not _is_utf8(path):
            raise UsageError(f"--output {str(path)!r}: the name is not UTF-8; choose another")
        if path.parent == self.folder and path.name in OWN:
            raise UsageError(f"--output {path}: this file is the home's own; choose another name")
        if not path.parent.is_dir():
            raise UsageError(f"--output {path}: the folder {path.parent} does not exist; make it first")
        if path.is_dir():
            raise UsageError(f"--output {path}: is a folder; name a file")
        if path.exists() and not path.is_file():
            raise UsageError(
                f"--output {path}: is not a regular file and could not be cut back after a crash; '--output -' streams to a pipe"
            )
        if path.exists() and any(path.samefile(other) for other in self._open_paths()):
            raise UsageError(f"--output {path}: is another name of a file that this crawl writes already; choose another name")
        ours = self.connection.execute("SELECT 1 FROM files WHERE path = ?", (str(path),)).fetchone()
        if not ours and not overwrite and path.exists() and path.stat().st_size:
            raise UsageError(f"--output {path}: exists already and is not this crawl's; choose another name, or --overwrite replaces it")

    def _open_paths(self) -> list[Path]:
        paths = [*(self.folder / name for name in OWN), *(output.path for output in self.outputs)]
        return [path for path in paths if path.exists()]

    def _open_output(self, output: OutputFile, *, overwrite: bool) -> None:
        """Open an output; where it is new while records exist, or was cut or deleted, write it again from the record log.

        Raises UsageError when it holds what this crawl did not write, unless it may be overwritten.
        """
        wanted = output.length
        have = output.path.stat().st_size if output.path.exists() else 0
        if wanted and have and not self._wrote(output, have):
            if not overwrite:
                raise UsageError(
                    f"--output {output.path}: was changed since this crawl wrote it; move it away, or --overwrite writes it anew"
                )
            wanted = 0
        if wanted and have >= wanted:
            output.open()
            return
        output.length = 0
        output.open()
        batch: list[Record] = []
        for record in self.read_records():
            batch.append(record)
            if len(batch) >= _REBUILD_BATCH:
                output.append(output.encoder.encode(batch))
                batch = []
        output.append(output.encoder.encode(batch))
        output.sync()
        self.connection.execute("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", (str(output.path), output.length))

    def _wrote(self, output: OutputFile, have: int) -> bool:
        """Say whether the beginning of an output, and the committed end if it has one, are what this crawl wrote."""
        first = next(self.read_records(), None)
        last = self._last_record()
        return first is None or last is None or output.wrote(have, first, last)

    def _last_record(self) -> Record | None:
        length, size = self.records.length, _TAIL
        if not length:
            return None
        with (self.folder / RECORDS).open("rb") as log:
            while True:
                start = max(0, length - size)
                log.seek(start)
                tail = log.read(length - start)
                cut = tail.rfind(b"\n", 0, -1)
                if cut >= 0 or not start:
                    return decode_record(self.folder / RECORDS, tail[cut + 1 :])
                size *= 4

    def read_records(self) -> Iterator[Record]:
        """Yield every committed record."""
        yield from read_log(self.folder / RECORDS, self.records.length)

    def close(self) -> None:
        """Close everything and let go of the lock. Raises StoreError when the archive's last segment cannot get its name."""
        try:
            for output in (self.records, self.items, *self.outputs):
                output.close()
            finished = schema.read_meta(self.connection, "state") == "finished"
            if self.archive is not None:
                self.archive.close(finished=finished)
            elif finished:
                close_last_segment(self.folder)
        finally:
            self.connection.close()
            os.close(self._lock_fd)


def _is_utf8(path: Path) -> bool:
    """Say whether a path can be kept in the database and told in JSON."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_log(path: Path, length: int) -> Iterator[Record]:
    """Yield the records in the first `length` bytes of a record log."""
    return (decode_record(path, line) for line in read_lines(path, length))


def read_lines(path: Path, length: int) -> Iterator[bytes]:
    """Yield the lines in the first `length` bytes of a log of the home. Raises HomeError when it is not there or shorter."""
    if not length:
        return
    try:
        log = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with log:
        left = length
        while left > 0 and (line := log.readline()):
            left -= len(line)
            yield line
    if left > 0:
        raise HomeError(f"{path}: {left} committed bytes are missing; {DAMAGED}")


def unreadable(path: Path, error: OSError) -> HomeError:
    """Return what to tell of a record log that cannot be opened."""
    remedy = f"; {DAMAGED}" if isinstance(error, FileNotFoundError) else ""
    return HomeError(f"{path}: cannot be read: {error.strerror}{remedy}")


def decode_record(path: Path, line: bytes) -> Record:
    """Return a record from its line in the record log `path`; raises HomeError when it is none."""
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HomeError(f"{path}: holds what is no record ({error}); {DAMAGED}") from error


def open_home(folder: Path, *, fresh: bool = False) -> Home:
    """Open or make the home at `folder` and lock it.

    `fresh` deletes the crawl it holds. Raises HomeError when the folder is no home, locked, read-only, of a newer version,
    or on a full disk.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100
    if folder.exists() and not folder.is_dir():
        raise HomeError(f"{folder} is a file, not a crawl's home; choose another --dir")
    if folder.is_dir() and not (folder / DATABASE).exists() and (other := sorted({entry.name for entry in folder.iterdir()} - OWN)):
        raise HomeError(f"{folder} is not a crawl's home: it holds other files ({other[0]}, …); choose another --dir")
    lock_fd = open_lock(folder)
    try:
        take_lock(folder, lock_fd)
        if fresh:
            _delete(folder)
        return Home(folder, lock_fd, schema.connect(folder / DATABASE, create=True))
    except sqlite3.DatabaseError as error:
        os.close(lock_fd)
        raise HomeError(f"{folder / DATABASE} is damaged: {error}; choose another --dir") from error
    except BaseException:
        os.close(lock_fd)
        raise


def open_for(folder: Path, job: Job, *, fresh: bool = False) -> Home:
    """Open the home at `folder` for a crawl of `job` without outputs, its files as they were committed.

    Raises as `open_home`, `Home.adopt` and `Home.open_files` do; nothing is left open then.
    """
    home = open_home(folder, fresh=fresh)
    try:
        home.adopt(job)
        home.open_files([], overwrite=False)
    except BaseException:
        home.close()
        raise
    return home


def open_lock(folder: Path) -> int:
    """Make `folder` if it is not there, and open its lock for `take_lock`; raises HomeError when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HomeError(f"{folder}: cannot be used as home: {error.strerror}; choose another --dir") from error


def take_lock(folder: Path, lock_fd: int) -> None:
    """Take the kernel's lock: it dies with its process, so a crash leaves nothing behind."""
    for patience in range(_LOCK_TRIES):  # `is_locked` in another process holds it for an instant
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if patience < _LOCK_TRIES - 1:
                time.sleep(0.02)
                continue
        holder = os.pread(lock_fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise HomeError(f"{folder} is in use by another process (pid {holder}): wait for it, stop it, or choose another --dir")
    try:
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise HomeError(f"{folder}: cannot be written: {error.strerror}; free some space or choose another --dir") from error


def is_locked(folder: Path) -> int | None:
    """Return the pid of the process that crawls in `folder`, or None when none does."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else -1
    else:
        return None
    finally:
        os.close(fd)


def _delete(folder: Path) -> None:
    """Delete the crawl that a home holds; only files that are a home's own."""
    database = folder / DATABASE
    if database.exists():
        schema.connect(database, create=True, any_older=True).close()  # refuses what is not a crawl's; one whose making was interrupted is
    delete_archive(folder)
    for name in sorted(OWN - {LOCK}):
        (folder / name).unlink(missing_ok=True)
