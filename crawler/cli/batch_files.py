"""What `crawl batch` reads and writes: the list of URLs, the file of records, and one file for each page."""

from __future__ import annotations

import contextlib
import os
import re
import select
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from crawler import url as urls
from crawler.batch import Page
from crawler.cli.files import give_usual_mode, refuse_unwritable
from crawler.errors import StoreError, UsageError
from crawler.model import Record
from crawler.store.outputs import encoder, format_of

MAX_LINE: Final = 65536
"""Bytes of a line of the list that are read; what is longer is no URL anyway."""
PATIENCE: Final = 0.25
"""Seconds for which a read waits for more, so that nobody has to wait for a thread that does."""

_CHUNK: Final = 65536
_ARGUMENTS: Final = 1000  # URLs of the command line handed out at once
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_HOST_LENGTH: Final = 60
_NAME_LENGTH: Final = 60
_EXTENSIONS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "text/plain": ".txt",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/xml": ".xml",
    "application/xml": ".xml",
    "application/rss+xml": ".xml",
    "application/atom+xml": ".xml",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
}
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")


class UrlList:
    """The URLs of the command line, then those of a file (``-``: standard input), one a line; blank lines and # comments are none."""

    def __init__(self, arguments: Iterable[str], file: str | None) -> None:
        """Open the file. Raises UsageError when it cannot be read."""
        self._arguments = deque(arguments)
        self._fd = -1
        self._rest = b""
        if file == "-":
            self._fd = 0
        elif file is not None:
            try:
                self._fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                os.read(self._fd, 0)  # a folder can be opened, not read
            except OSError as error:
                raise UsageError(f"--urls-file {file}: cannot be read: {error.strerror}") from error
        self._first = True

    def read(self) -> list[str] | None:
        """Return some more URLs, perhaps none just now, or None at the end. Blocks for `PATIENCE` at most; raises StoreError."""
        if self._arguments:
            return [self._arguments.popleft() for _ in range(min(len(self._arguments), _ARGUMENTS))]
        if self._fd < 0:
            return None
        try:
            if not select.select([self._fd], [], [], PATIENCE)[0]:
                return []
            data = os.read(self._fd, _CHUNK)
        except OSError as error:
            raise StoreError(f"--urls-file: cannot be read: {error.strerror}") from error
        if not data:
            self.close()
            data = b"\n"  # a last line without an end
        return self._urls(data)

    def _urls(self, data: bytes) -> list[str]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:MAX_LINE]
        if self._first and lines:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._first = False
        # What is not UTF-8 becomes a URL that is none, and gets an answer that says so.
        texts = [line[:MAX_LINE].decode("utf-8", "surrogateescape").strip() for line in lines]
        return [text for text in texts if text and not text.startswith("#")]

    def close(self) -> None:
        """Close the file."""
        if self._fd > 0:
            os.close(self._fd)
        self._fd = -1


class RecordFile:
    """A file of records that gets its name when it is complete: until then it is ``.NAME….part`` beside it."""

    def __init__(self, path: str, *, overwrite: bool) -> None:
        """Open the temporary file. Raises UsageError when that cannot be, or `path` exists and is not to be replaced."""
        self.path = Path(path)
        self._encoder = encoder(format_of(path, formats=("jsonl", "csv")))
        refuse_unwritable(self.path, overwrite=overwrite)
        try:
            fd, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part")
        except OSError as error:
            raise UsageError(f"--output {path}: cannot be written: {error.strerror}") from error
        self.part = Path(name)
        self._overwrite = overwrite
        self._file = os.fdopen(fd, "wb")
        self._file.write(self._encoder.header)

    def write(self, records: list[Record]) -> None:
        """Append records. Raises StoreError."""
        try:
            self._file.write(self._encoder.encode(records))
            self._file.flush()
        except OSError as error:
            raise StoreError(f"--output {self.path}: cannot be written: {error.strerror}; what was written is in {self.part}") from error

    def finish(self) -> None:
        """Make it durable and give it its name. Raises StoreError; UsageError when that name has come to exist since."""
        try:
            self._file.flush()
            give_usual_mode(self._file.fileno())
            os.fsync(self._file.fileno())
            self._file.close()
            refuse_unwritable(self.path, overwrite=self._overwrite)
            self.part.replace(self.path)
        except OSError as error:
            raise StoreError(f"--output {self.path}: cannot be written: {error.strerror}; the records are in {self.part}") from error

    def leave(self) -> bool:
        """Close it as it is; without any record it is deleted. Return whether it is still there."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            if self.part.stat().st_size > len(self._encoder.header):
                return True
            self.part.unlink()
        return False


class PageFolder:
    """A folder with one file for each page."""

    def __init__(self, path: str, *, overwrite: bool) -> None:
        """Make the folder. Raises UsageError when it cannot be, or has something in it and nothing is to be replaced."""
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            occupied = any(self.path.iterdir())
        except OSError as error:
            raise UsageError(f"--save {path}: cannot be used: {error.strerror}") from error
        if occupied and not overwrite:
            raise UsageError(f"--save {path}: is not empty; name a new folder, or --overwrite replaces files of the same names")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UsageError(f"--save {path}: cannot be written")

    def save(self, number: int, page: Page) -> None:
        """Write the body of page `number` of the list, whole or not at all. Raises StoreError."""
        target = self.path / file_name(number, page)
        part = target.with_name(f".{number}.part")
        try:
            part.unlink(missing_ok=True)
            with part.open("xb") as file:
                file.write(page.body)
            part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise StoreError(f"--save {self.path}: {target.name} cannot be written: {error.strerror}") from error


def file_name(number: int, page: Page) -> str:
    """Return the file name of page `number` of the list: ``00001-example.com-index.html``.

    The number makes it the only one of its name, and says which line of the records belongs to it. Of the URL there is only what is
    letters, digits, dots, dashes and underscores; no more than 140 characters in all.
    """
    path = urls.path(page.url).partition("?")[0]
    stem = path.rstrip("/").rpartition("/")[2] if not path.endswith("/") else ""
    found = _EXTENSION.fullmatch(stem[stem.rfind(".") :]) if "." in stem[1:] else None
    extension = _EXTENSIONS.get(page.content_type or "") or (found[0].lower() if found else ".bin")
    name = stem.removesuffix(found[0]) if found else stem
    return f"{number:05d}-{_safe(urls.netloc(page.url), _HOST_LENGTH)}-{_safe(name, _NAME_LENGTH) or 'index'}{extension}"


def _safe(text: str, length: int) -> str:
    return _UNSAFE.sub("-", text).strip("-.")[:length].rstrip("-.")
