"""Frames on the socket pair between the pool and a worker: pages one way, answers the other, each within a length limit.

To the worker: one `Setup` first, then pages. A page is a fixed head (two lengths), a msgpack header and the raw body;
the body is not wrapped in msgpack, which spares a copy of it on either side. To the parent: a fixed head
(`Answer`, length) and a msgpack `Parsed`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from crawler.model import Exchanged, Kind, Reason

MAX_HEADER: Final = 1024 * 1024
"""Bytes of a page's header: URL, Content-Type and Content-Encoding as the server sent them."""
MAX_BODY: Final = 1024 * 1024 * 1024
"""Bytes of a body that a worker accepts."""
MAX_ANSWER: Final = 96 * 1024 * 1024
"""Bytes of an answer that the parent accepts; what a page may report is limited well below (`links.MAX_REPORTED`)."""
MAX_ANSWER_BODY: Final = 63 * 1024 * 1024
"""Bytes of a decoded body that goes back to the parent; what else a page may report fits beside it."""
SOCKET_BUFFER: Final = 1024 * 1024
"""Bytes of kernel buffer asked for, each way: a usual page goes in one write."""

_READ_AHEAD: Final = 256 * 1024

_PAGE_HEAD: Final = struct.Struct("!II")  # length of the header, length of the body
_ANSWER_HEAD: Final = struct.Struct("!BI")  # Answer, length of the payload


class Answer(IntEnum):
    """What a worker says."""

    READY = 0  # set up; the payload is empty
    PARSED = 1
    PARSED_LAST = 2  # the same, and the worker leaves: it has grown, or has done its share


class FrameError(ValueError):
    """The other side broke the framing or a length limit: it cannot be trusted with another frame."""


class Wanted(Struct, frozen=True):
    """What is wanted of pages beyond links and metadata; see `model.Extras`."""

    archive: bool = False
    text: str = "off"  # as `config.Text`
    extractor: str = "auto"  # as `config.Extractor`
    simhash: bool = False
    anchors: bool = False
    requisites: bool = False
    extraction: bytes = b""  # JSON of extract.rules.Extraction; empty: there are no rules


class Setup(Struct, frozen=True):
    """What a worker must know before the first page; sizes in bytes."""

    page_memory: int
    max_decoded: int
    max_links: int
    recycle_after: int
    agent_token: str  # the name that ``<meta name="...">`` may address us by, lower case
    wanted: Wanted | None = None


class ToArchive(Struct, frozen=True, array_like=True):
    """What an archive keeps of an exchange beside its body."""

    ip: str | None
    started_at: float  # seconds since the epoch, UTC
    heads: Exchanged
    failed: Reason | None = None  # why the body is not whole


class ToParse(Struct, frozen=True):
    """A body to parse, with the facts of its response that decide how."""

    url: str  # canonical; links are resolved against it
    kind: Kind
    content_type: str | None
    encodings: list[str]  # every Content-Encoding value, in order
    body: bytes  # as it came off the wire, after the transfer coding
    want_links: bool = True
    want_body: bool = False  # the decoded body is to come back, too
    only_new_links: bool = False  # links that this worker has reported lately are left out
    exchange: ToArchive | None = None  # to be archived, if the worker does that
    archive_only: bool = False  # the body is not looked at: it is no page


class _PageHeader(Struct, frozen=True, array_like=True):
    url: str
    kind: Kind
    content_type: str | None
    encodings: list[str]
    want_links: bool
    want_body: bool
    only_new_links: bool
    exchange: ToArchive | None
    archive_only: bool


_encoder: Final = msgspec.msgpack.Encoder()
_setup_decoder: Final = msgspec.msgpack.Decoder(Setup)
_header_decoder: Final = msgspec.msgpack.Decoder(_PageHeader)


def setup_frame(setup: Setup) -> bytes:
    """Return the first frame to a worker."""
    header = _encoder.encode(setup)
    return _PAGE_HEAD.pack(len(header), 0) + header


def page_frame(page: ToParse) -> list[bytes]:
    """Return a page's frame as pieces to be written in order; the body is among them as it is.

    Raises FrameError when the header or the body exceeds its limit, or the header is not Unicode text.
    """
    try:
        header = _encoder.encode(
            _PageHeader(
                page.url,
                page.kind,
                page.content_type,
                page.encodings,
                page.want_links,
                page.want_body,
                page.only_new_links,
                page.exchange,
                page.archive_only,
            )
        )
    except UnicodeEncodeError as error:  # surrogates that a lenient reader of headers let in
        raise FrameError(str(error)) from error
    if len(header) > MAX_HEADER or len(page.body) > MAX_BODY:
        raise FrameError(f"page of {len(page.body)} bytes with {len(header)} bytes of header")
    return [_PAGE_HEAD.pack(len(header), len(page.body)) + header, page.body]


class PageReader:
    """A worker's end of the stream: reads ahead, so that pages that lie in the socket together cost one call.

    Both methods block until what they return has arrived, return None when the parent has gone, and raise FrameError when a length
    exceeds its limit, msgspec.DecodeError when a header is not one.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = memoryview(bytearray(_READ_AHEAD))
        self._start = 0
        self._end = 0

    def setup(self) -> Setup | None:
        """Return the setup, which comes first."""
        frame = self._frame()
        return None if frame is None else _setup_decoder.decode(frame[0])

    def page(self) -> ToParse | None:
        """Return the next page."""
        frame = self._frame()
        if frame is None:
            return None
        header = _header_decoder.decode(frame[0])
        return ToParse(
            header.url,
            header.kind,
            header.content_type,
            header.encodings,
            frame[1],
            header.want_links,
            header.want_body,
            header.only_new_links,
            header.exchange,
            header.archive_only,
        )

    def _frame(self) -> tuple[bytes, bytes] | None:
        if not self._fill(_PAGE_HEAD.size):
            return None
        header_length, body_length = _PAGE_HEAD.unpack_from(self._ahead, self._start)
        self._start += _PAGE_HEAD.size
        if header_length > MAX_HEADER or body_length > MAX_BODY:
            raise FrameError(f"frame of {header_length} + {body_length} bytes")
        header = self._take(header_length)
        body = None if header is None else self._take(body_length)
        return None if header is None or body is None else (header, body)

    def _take(self, length: int) -> bytes | None:
        if length <= len(self._ahead):
            if not self._fill(length):
                return None
            self._start += length
            return bytes(self._ahead[self._start - length : self._start])
        pieces = [bytes(self._ahead[self._start : self._end])]
        missing = length - len(pieces[0])
        self._start = self._end = 0
        while missing:
            data = self._sock.recv(missing, socket.MSG_WAITALL)
            if not data:
                return None
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)

    def _fill(self, length: int) -> bool:
        """Read until `length` bytes are ahead, no more than there is place for; False at the end of the stream."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + length > len(self._ahead):
            rest = bytes(self._ahead[self._start : self._end])
            self._ahead[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._end - self._start < length:
            count = self._sock.recv_into(self._ahead[self._end :])
            if not count:
                return False
            self._end += count
        return True


def answer_frame(answer: Answer, payload: bytes = b"") -> bytes:
    """Return a worker's frame."""
    return _ANSWER_HEAD.pack(answer, len(payload)) + payload


class AnswerReader:
    """Cuts the stream of a worker into its answers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Answer, bytes]]:
        """Yield every answer that `data` completes.

        Raises FrameError for an unknown answer or one above `MAX_ANSWER`.
        """
        held = self._buffer
        if held:
            held += data
        ahead = held or data  # as a rule nothing is held, and what came is cut as it is
        start = 0
        while len(ahead) - start >= _ANSWER_HEAD.size:
            code, length = _ANSWER_HEAD.unpack_from(ahead, start)
            if length > MAX_ANSWER or code not in _ANSWERS:
                raise FrameError(f"answer {code} of {length} bytes")
            end = start + _ANSWER_HEAD.size + length
            if end > len(ahead):
                break
            yield _ANSWERS[code], bytes(ahead[start + _ANSWER_HEAD.size : end])
            start = end
        if ahead is held:
            del held[:start]
        else:
            held += data[start:]


_ANSWERS: Final = {int(answer): answer for answer in Answer}
