"""The answers in the WARC segments of an archive, read one gzip member at a time."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from crawler.archive.records import IDENTICAL_PAYLOAD
from crawler.archive.segments import open_file

_CHUNK: Final = 256 * 1024
_GZIP: Final = 31  # wbits
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")


class Answer(Struct, frozen=True):
    """An archived HTTP response; that of a revisit has no payload, its `digest` is the one of the payload meant."""

    url: str
    status: int
    headers: list[tuple[str, str]]  # names lower-cased
    payload: bytes  # without transfer coding, still content-encoded
    digest: str  # as ``WARC-Payload-Digest`` has it
    revisit: bool
    truncated: bool

    def header(self, name: str) -> str | None:
        """Return the first value of header `name` (given in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def headers_named(self, name: str) -> list[str]:
        """Return every value of header `name` (given in lower case), in order."""
        return [value for key, value in self.headers if key == name]


def answers(segment: Path, length: int) -> Iterator[tuple[int, Answer]]:
    """Yield the answers in the first `length` bytes of a segment, each with its offset; revisits of identical payloads among them.

    `segment` may still be written (see `open_file`). Raises HomeError or OSError when it cannot be read, zlib.error when it is damaged.
    """
    with open_file(segment.parent, segment.name) as file:
        offset = 0
        while offset < length:
            record, size = _member(file, offset)
            if not size:
                return
            answer = _answer(record)
            if answer is not None:
                yield offset, answer
            offset += size


def answer_at(segment: Path, offset: int) -> Answer | None:
    """Return the answer at `offset`, None when there is none; raises as `answers` does."""
    with open_file(segment.parent, segment.name) as file:
        return _answer(_member(file, offset)[0])


def _member(file: BinaryIO, offset: int) -> tuple[bytes, int]:
    """Return the decompressed gzip member at `offset` and its size in the file; nothing and 0 when it is cut short."""
    file.seek(offset)
    stream = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    size = 0
    while not stream.eof:
        data = file.read(_CHUNK)
        if not data:
            return b"", 0
        pieces.append(stream.decompress(data))
        size += len(data)
    return b"".join(pieces), size - len(stream.unused_data)


def _answer(record: bytes) -> Answer | None:
    head, block = _split(record)
    fields = dict(_fields(head))
    kind = fields.get("warc-type")
    revisit = kind == "revisit" and fields.get("warc-profile") == IDENTICAL_PAYLOAD
    if (kind != "response" and not revisit) or not fields.get("content-type", "").startswith("application/http"):
        return None
    length = fields.get("content-length", "")
    http, payload = _split(block[: int(length)] if length.isdigit() else block)
    status = _STATUS.match(http)
    if status is None:
        return None
    return Answer(
        url=fields.get("warc-target-uri", ""),
        status=int(status[1]),
        headers=_fields(http),
        payload=b"" if revisit else payload,
        digest=fields.get("warc-payload-digest", ""),
        revisit=revisit,
        truncated="warc-truncated" in fields and not revisit,
    )


def _split(data: bytes) -> tuple[bytes, bytes]:
    end = _HEAD_END.search(data)
    return (data, b"") if end is None else (data[: end.start()], data[end.end() :])


def _fields(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("utf-8", "replace").split("\n")[1:]
    return [(name.strip().lower(), value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
