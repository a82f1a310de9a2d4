"""Files that records are appended to: each knows its committed length and can be cut back to it.

`Encoder` turns records into bytes (JSON Lines, CSV); `OutputFile` appends bytes durably. An output is a function of the
record log alone, so one that is missing, or new on resume, is rebuilt from it.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from crawler.errors import StoreError, UsageError
from crawler.model import Record

_COLUMNS: Final = tuple(name for name in Record.__struct_fields__ if name not in ("headers", "links"))
_ENCODE: Final = msgspec.json.Encoder().encode
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: the same in full width

FORMATS: Final = ("jsonl", "csv")
EXTENSIONS: Final = {".jsonl": "jsonl", ".jl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_LATER: Final = {
    ".parquet": "Parquet",
    ".warc": "WARC",
    ".warc.gz": "WARC",
    ".wacz": "WACZ",
    ".jsonl.gz": "compressed JSONL",
    ".jsonl.zst": "compressed JSONL",
}


class Encoder(Protocol):
    """Turns records into an output's bytes."""

    header: bytes

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return the bytes of `records`, one line each."""


class JsonLines:
    """One JSON object a line, UTF-8 (jsonlines.org)."""

    header = b""

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return one line per record."""
        return b"".join(self.lines(records))

    @staticmethod
    def lines(records: Iterable[Record]) -> list[bytes]:
        """Return the line of each record."""
        return [_ENCODE(record) + b"\n" for record in records]


class Csv:
    """RFC 4180 with a header line. Text that a spreadsheet would run as a formula gets a leading apostrophe."""

    def __init__(self) -> None:
        self.header = self._rows([_COLUMNS])

    @staticmethod
    def _rows(rows: Iterable[Iterable[object]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode()

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return one row per record, without the fields `headers` and `links`."""
        return self._rows([[_cell(getattr(record, name)) for name in _COLUMNS] for record in records])


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def encoded(encoding: Encoder, records: list[Record], lines: list[bytes]) -> bytes:
    """Return what an output gets: the record log's own lines where it has the same form."""
    return b"".join(lines) if type(encoding) is JsonLines else encoding.encode(records)


def encoder(name: str) -> Encoder:
    """Return the encoder of a format in `FORMATS`."""
    return Csv() if name == "csv" else JsonLines()


def format_of(path: str) -> str:
    """Return the format that an output's extension names; ``-`` is JSON Lines.

    Raises UsageError naming what can be written.
    """
    if path == "-":
        return "jsonl"
    name = Path(path).name.lower()
    for extension, what in _LATER.items():
        if name.endswith(extension):
            raise UsageError(f"--output {path}: {what} cannot be written yet; use a name that ends in .jsonl or .csv")
    found = EXTENSIONS.get(Path(name).suffix)
    if found is None:
        raise UsageError(f"--output {path}: the extension names the format: .jsonl or .csv ('-' writes JSON lines to standard output)")
    return found


class OutputFile:
    """An append-only file with a committed length."""

    def __init__(self, path: Path, encoding: Encoder, length: int = 0) -> None:
        self.path = path
        self.encoder = encoding
        self.length = length  # what has been appended so far, bytes; durable once committed
        self._fd = -1

    def __repr__(self) -> str:
        return f"<OutputFile {self.path} length={self.length}>"

    def open(self) -> None:
        """Open the file and cut it to its length. A shorter file raises StoreError; `rebuild` repairs an output."""
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._lock()
            size = os.fstat(self._fd).st_size
            if size < self.length:
                raise StoreError(f"{self.path}: {self.length - size} committed bytes are missing")
            os.ftruncate(self._fd, self.length)
            os.lseek(self._fd, self.length, os.SEEK_SET)
            _sync_folder(self.path.parent)
            if not self.length and self.encoder.header:
                self.append(self.encoder.header)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _lock(self) -> None:
        """Keep other crawls off the file while it is open; their homes have locks of their own, but not this one."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{self.path}: another crawl is writing to it; choose another name") from error
        except OSError:  # a file system without locks
            return

    def append(self, data: bytes) -> None:
        """Write `data` at the end; not durable before `sync` and the transaction that names the new length."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._cut_back()
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error
        self.length += len(data)

    def _cut_back(self) -> None:
        """Drop what a failed write left; on resume it would be cut anyway."""
        try:
            os.ftruncate(self._fd, self.length)
        except OSError:
            return

    def sync(self) -> None:
        """Make what was appended durable. A file that somebody deleted takes every write and loses it: that raises StoreError."""
        try:
            os.fdatasync(self._fd)
            names = os.fstat(self._fd).st_nlink
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be made durable: {error.strerror}") from error
        if not names:
            raise StoreError(f"{self.path}: was deleted or replaced while the crawl ran; run the same command again")

    def ends_with(self, data: bytes) -> bool:
        """Say whether the committed part of the file, which may be closed, ends with `data`. Raises StoreError when it cannot be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.length - len(data)))
                return file.read(len(data)) == data
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class StreamOutput:
    """Standard output: lines go out after the transaction that holds them; what a reader did not take is in the record log."""

    def __init__(self, encoding: Encoder, write: Callable[[bytes], object]) -> None:
        self.encoder = encoding
        self._write = write

    def emit(self, data: bytes) -> None:
        """Write lines. Raises StoreError when the reader has gone."""
        try:
            self._write(data)
        except OSError as error:
            raise StoreError(f"standard output: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
