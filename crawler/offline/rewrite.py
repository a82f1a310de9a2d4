"""Writes the files of a mirror: ``python -m crawler.offline.rewrite CATALOGUE FOLDER PART PARTS PROGRESS AFTER AS_IS``.

One of `PARTS` processes that share the work: it writes every file of the catalogue (`crawler.export.mirror` makes it) whose number is
`PART` modulo `PARTS` and greater than `AFTER`, into `FOLDER`. The number of each is in the file `PROGRESS` before it is begun, so that
who waits knows on which page the process died: it is started again behind, with that page `AS_IS`, written as it came.

Exits with 0 when all is written, 1 with a line on standard error when a file cannot be read or written. A page that takes longer than
`PAGE_TIME` ends the process by SIGALRM.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from selectolax.lexbor import SelectolaxError

from crawler.archive.reading import Answer, answer_at
from crawler.errors import HomeError
from crawler.model import HTML_TYPES
from crawler.offline.links import Links
from crawler.offline.pages import rewritten_page
from crawler.parse import charset, css
from crawler.parse.decode import decode

PAGE_TIME: Final = 30.0
"""Seconds for one file; the parser is quadratic in what some pages have a lot of."""
MEMORY: Final = 2 * 1024 * 1024 * 1024
"""Bytes of address space; a page that needs more is written as it came."""
MAX_DECODED: Final = 512 * 1024 * 1024
"""Bytes that a body may decode to; one that exceeds it is written as it came."""

_SCRIPTS: Final = ("text/javascript", "application/javascript", "application/x-javascript")
_FILES: Final = """
SELECT number, url, segment, offset, media, path FROM pages
WHERE path IS NOT NULL AND location IS NULL AND number % ? = ? AND number > ? ORDER BY number"""


class _File(Struct, frozen=True):
    number: int
    url: str
    segment: str
    offset: int
    media: str | None
    path: str


def main(arguments: list[str]) -> int:
    """Write a part of the files; see the module's docstring."""
    catalogue, folder, part, parts, progress, after, as_is = arguments
    with contextlib.closing(sqlite3.connect(f"{Path(catalogue).absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        rows = connection.execute(_FILES, (int(parts), int(part), int(after)))
        try:
            _write_all((_File(*row) for row in rows), Links(connection), Path(folder), Path(progress), int(as_is))
        except (HomeError, OSError, zlib.error) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


def _write_all(files: Iterator[_File], links: Links, folder: Path, progress: Path, as_is: int) -> None:
    parent = os.getppid()
    with progress.open("w") as begun:
        for file in files:
            if os.getppid() != parent:
                return  # who wanted the mirror is gone
            begun.seek(0)
            begun.write(f"{file.number:20}")
            begun.flush()
            signal.setitimer(signal.ITIMER_REAL, PAGE_TIME)
            _write(file, links, folder / file.path, rewrite=file.number != as_is)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _write(file: _File, links: Links, path: Path, *, rewrite: bool) -> None:
    answer = answer_at(Path(file.segment), file.offset)
    if answer is None:
        raise OSError(f"{file.segment}: no answer at {file.offset}")
    body = _content(answer, file, links) if rewrite else answer.payload
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _content(answer: Answer, file: _File, links: Links) -> bytes:
    """Return what a browser that opens the file is to read: decoded, and in UTF-8 if it is rewritten."""
    try:
        decoded = decode(answer.payload, answer.headers_named("content-encoding"), MAX_DECODED, expect_text=file.media in HTML_TYPES)
        body = answer.payload if decoded.reason is not None else decoded.body
        return _rewritten(body, answer.header("content-type"), file, links)
    except (MemoryError, RecursionError, SelectolaxError):
        return answer.payload


def _rewritten(body: bytes, content_type: str | None, file: _File, links: Links) -> bytes:
    page = links.of(file.url, file.path)
    if file.media in HTML_TYPES:
        html, _ = charset.to_utf8(body, charset.determine(body, content_type)[0])
        return rewritten_page(html, page)
    if file.media == "text/css":
        return css.rewritten(css.decoded(body, charset.from_content_type(content_type)), page.link).encode()
    if file.media in _SCRIPTS:  # the pages that run them are UTF-8 now
        return charset.to_utf8(body, charset.determine(body, content_type)[0])[0]
    return body


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    sys.exit(main(sys.argv[1:]))
