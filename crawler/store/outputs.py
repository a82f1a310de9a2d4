"""Files that records are appended to: each knows its committed length and can be cut back to it.

`Encoder` turns records into bytes (JSON Lines, also compressed, and CSV); `OutputFile` appends bytes durably. An output is a function of
the record log alone, so one that is missing, or new on resume, is rebuilt from it. All other outputs are made when the crawl has ended
(`crawler.export`).
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from crawler.errors import StoreError, UsageError
from crawler.model import Record
from crawler.store.compressed import GZIP, ZSTD, Compressed

_NOT_IN_CSV: Final = ("headers", "links", "text", "simhash", "anchors", "fragments")
_COLUMNS: Final = tuple(name for name in Record.__struct_fields__ if name not in _NOT_IN_CSV)
_ENCODE: Final = msgspec.json.Encoder().encode
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: the same in full width

EXTENSIONS: Final = {
    **dict.fromkeys((".jsonl", ".jl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".jsonl.gz", ".jl.gz", ".ndjson.gz"), "jsonl.gz"),
    **dict.fromkeys((".jsonl.zst", ".jl.zst", ".ndjson.zst"), "jsonl.zst"),
    ".csv": "csv",
}
FORMATS: Final = tuple(dict.fromkeys(EXTENSIONS.values()))
_LONGEST_FIRST: Final = sorted(EXTENSIONS.items(), key=lambda pair: -len(pair[0]))


class Encoder(Protocol):
    """Turns records into an output's bytes."""

    header: bytes

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return the bytes of `records`, one line each."""

    def begins(self, file: BinaryIO, have: int, first: Record) -> bool:
        """Say whether a file of `have` bytes begins as if this encoder had written `first` first; it is read from where it stands."""

    def ends(self, file: BinaryIO, length: int, last: Record) -> bool:
        """Say whether a file's first `length` bytes end as if this encoder had written `last` last."""


def _begins(encoding: Encoder, file: BinaryIO, have: int, first: Record) -> bool:
    head = (encoding.header + encoding.encode([first]))[:have]
    return file.read(len(head)) == head


def _ends(encoding: Encoder, file: BinaryIO, length: int, last: Record) -> bool:
    tail = encoding.encode([last])
    file.seek(max(0, length - len(tail)))
    return file.read(len(tail)) == tail


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

    def begins(self, file: BinaryIO, have: int, first: Record) -> bool:
        """See `Encoder`."""
        return _begins(self, file, have, first)

    def ends(self, file: BinaryIO, length: int, last: Record) -> bool:
        """See `Encoder`."""
        return _ends(self, file, length, last)


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
        """Return one row per record, without the fields that are lists of many or long texts."""
        return self._rows([[csv_cell(getattr(record, name)) for name in _COLUMNS] for record in records])

    def begins(self, file: BinaryIO, have: int, first: Record) -> bool:
        """See `Encoder`."""
        return _begins(self, file, have, first)

    def ends(self, file: BinaryIO, length: int, last: Record) -> bool:
        """See `Encoder`."""
        return _ends(self, file, length, last)


def csv_cell(value: object) -> object:
    """Return a value as CSV has it: a list as its words, and nothing that a spreadsheet would run."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def encoded(encoding: Encoder, records: list[Record], lines: list[bytes]) -> bytes:
    """Return what an output gets: of the record log's own lines where it has the same form."""
    if type(encoding) is JsonLines:
        return b"".join(lines)
    return encoding.packed(lines) if type(encoding) is Compressed else encoding.encode(records)


def encoder(name: str) -> Encoder:
    """Return the encoder of a format in `FORMATS`."""
    if name == "csv":
        return Csv()
    if name == "jsonl":
        return JsonLines()
    return Compressed(GZIP if name == "jsonl.gz" else ZSTD, JsonLines.lines)


def format_of(path: str, *, formats: Iterable[str] = FORMATS) -> str:
    """Return the format, one of `formats`, that a file's extension names; ``-`` is JSON Lines.

    Raises UsageError naming what can be written.
    """
    if path == "-":
        return "jsonl"
    name = Path(path).name.lower()
    found = next((form for extension, form in _LONGEST_FIRST if name.endswith(extension) and name != extension), None)
    if found is None or found not in formats:
        known = " or ".join(f".{form}" for form in formats)
        raise UsageError(f"--output {path}: the extension names the format: {known} ('-' writes JSON lines to standard output)")
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

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._fd >= 0

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

    def wrote(self, have: int, first: Record, last: Record) -> bool:
        """Say whether the file, of `have` bytes and perhaps closed, begins with `first` and has `last` where its committed part ends.

        Of a file that was cut only the beginning is looked at. Raises StoreError when it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                if not self.encoder.begins(file, have, first):
                    return False
                return have < self.length or self.encoder.ends(file, self.length, last)
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
