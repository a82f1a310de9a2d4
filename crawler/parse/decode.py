"""Content-Encoding (RFC 9110 section 8.4): gzip, deflate, br and zstd, stacked, bounded on what comes out.

Browsers show what can be decoded, and so do we: a stream that ends early or goes wrong in its middle keeps its decoded part,
a body that was declared compressed but is plain markup is taken as it is; each with a note. What is refused:
an encoding that we do not know, a stream that is corrupt from the start, and one that expands beyond the limit.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol

import brotli
from msgspec import Struct

from crawler.model import Fetched, FetchFailed, Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_LAYERS: Final = 5
"""Codings on top of each other, as many as curl takes."""
MAX_MEMBERS: Final = 10_000
"""Members of a gzip stream or frames of a zstd stream; each costs a new decoder."""

_CHUNK: Final = 64 * 1024
_SALVAGE_CHUNK: Final = 256
_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB, the most that RFC 9659 allows for HTTP
_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,512}<[!?A-Za-z]")


class Decoded(Struct, frozen=True):
    """The decoded body and the notes, or why there is none."""

    body: bytes = b""
    notes: list[str] = []
    reason: Reason | None = None
    detail: str = ""


class _CorruptError(Exception):
    """The stream is not what its coding says."""


class _Stream(Protocol):
    """One member of a compressed stream."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """Return at most about `limit` decoded bytes; raises _CorruptError."""

    def hungry(self) -> bool:
        """Say whether more input is needed before more can come out."""

    def rest(self) -> bytes | None:
        """Return what follows the end of this member, None before the end."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    def feed(self, data: bytes, limit: int) -> bytes:
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + data, limit)
        except zlib.error as error:
            raise _CorruptError(str(error)) from error

    def hungry(self) -> bool:
        return not self._stream.unconsumed_tail

    def rest(self) -> bytes | None:
        return self._stream.unused_data if self._stream.eof else None


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes, limit: int) -> bytes:
        try:
            out: bytes = self._stream.process(data, output_buffer_limit=limit)
        except brotli.error as error:
            raise _CorruptError(str(error)) from error
        return out

    def hungry(self) -> bool:
        return bool(self._stream.can_accept_more_data())

    def rest(self) -> bytes | None:
        return b"" if self._stream.is_finished() else None


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def feed(self, data: bytes, limit: int) -> bytes:
        try:
            return self._stream.decompress(data, limit)
        except zstd.ZstdError as error:
            raise _CorruptError(str(error)) from error

    def hungry(self) -> bool:
        return self._stream.needs_input

    def rest(self) -> bytes | None:
        return self._stream.unused_data if self._stream.eof else None


class _Coding(Struct, frozen=True):
    name: str
    open: Callable[[bytes], _Stream]  # given the first bytes of the stream
    magic: bytes = b""  # how each further member begins; empty: there is only one


def _open_deflate(start: bytes) -> _Stream:
    """RFC 9110 means the zlib format; many servers send raw deflate."""
    wrapped = len(start) >= 2 and start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return _Zlib(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


_GZIP: Final = _Coding("gzip", lambda _: _Zlib(16 + zlib.MAX_WBITS), _GZIP_MAGIC[:2])
_CODINGS: Final = {
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    "deflate": _Coding("deflate", _open_deflate),
    "br": _Coding("br", lambda _: _Brotli()),
    "zstd": _Coding("zstd", lambda _: _Zstd(), b"\x28\xb5\x2f\xfd"),
}
_PLAIN: Final = ("", "identity", "none")


def decode(body: bytes, encodings: list[str], limit: int, *, expect_text: bool = False, cut: bool = False) -> Decoded:
    """Undo every Content-Encoding of `body`, the last one applied first; at most `limit` bytes may come out of each.

    More is TOO_LARGE, or with `cut` is left out.

    `expect_text` says that the resource is a text of some kind: then a gzip stream that nobody declared is undone as well.
    """
    layers = [name for value in encodings for part in value.split(",") if (name := part.strip().lower()) not in _PLAIN]
    if len(layers) > MAX_LAYERS:
        return Decoded(reason=Reason.BAD_ENCODING, detail=f"{len(layers)} content encodings, at most {MAX_LAYERS} are decoded")
    notes: list[str] = []
    for name in reversed(layers):
        if not body:
            break
        coding = _CODINGS.get(name)
        if coding is None and _MARKUP.match(body):
            notes.append(f"unknown encoding {name[:40]!r} on plain text")
            continue
        if coding is None:
            return Decoded(reason=Reason.BAD_ENCODING, detail=f"unknown content encoding {name[:40]!r}")
        layer = _decode_layer(body, coding, limit, cut=cut)
        if layer.reason is not None:
            return layer
        body = layer.body
        notes += layer.notes
    if expect_text and body.startswith(_GZIP_MAGIC):
        layer = _decode_layer(body, _GZIP, limit, cut=cut)
        if layer.reason is Reason.TOO_LARGE:
            return layer
        if layer.reason is None:
            body = layer.body
            notes += ["gzip undeclared", *layer.notes]
    if len(body) > limit and not cut:
        return _too_large(limit)
    return Decoded(body[:limit], notes)


def decode_start(answer: Fetched | FetchFailed, limit: int) -> tuple[Fetched | FetchFailed, bytes]:
    """Return an answer and the first `limit` bytes of its decoded body; one that cannot be decoded is a failure, not an empty body."""
    if isinstance(answer, FetchFailed):
        return answer, b""
    decoded = decode(answer.body, answer.headers_named("content-encoding"), limit, cut=True)
    if decoded.reason is None:
        return answer, decoded.body
    failed = FetchFailed(
        answer.url, decoded.reason, decoded.detail, answer.ip, answer.started_at, answer.elapsed, answer.status, answer.headers
    )
    return failed, b""


def _too_large(limit: int) -> Decoded:
    return Decoded(reason=Reason.TOO_LARGE, detail=f"decoded body exceeds {limit} bytes")


def _decode_layer(body: bytes, coding: _Coding, limit: int, *, cut: bool) -> Decoded:
    pieces: list[bytes] = []
    try:
        note = _run(body, coding, limit, pieces)
    except _CorruptError as error:
        note = f"{coding.name} corrupt: {str(error)[:100]}"
        pieces = _salvage(body, coding, limit)
    decoded = b"".join(pieces)
    if len(decoded) > limit:
        return Decoded(decoded[:limit]) if cut else _too_large(limit)
    if note and _MARKUP.match(body):  # no compressed stream begins like this and then goes wrong
        return Decoded(body, [f"declared {coding.name}, sent plain"])
    if note and not decoded:
        return Decoded(reason=Reason.BAD_ENCODING, detail=note)
    return Decoded(decoded, [note] if note else [])


def _run(body: bytes, coding: _Coding, limit: int, pieces: list[bytes], chunk: int = _CHUNK) -> str:
    """Decode all members into `pieces` until the end or until more than `limit` bytes are there.

    Returns a note, empty when all is well; raises _CorruptError. Input goes in by chunks, because the decoders copy what is left
    over at the end of each member.
    """
    room = limit + 1
    members = 1
    stream = coding.open(body[:2])
    source = memoryview(body)
    position = 0
    pending = b""
    while room > 0:
        if not pending and position < len(body) and stream.hungry():
            pending = bytes(source[position : position + chunk])
            position += len(pending)
        elif not pending and stream.hungry():
            return f"{coding.name} truncated"
        piece = stream.feed(pending, room)
        pending = b""
        pieces.append(piece)
        room -= len(piece)
        rest = stream.rest()
        if rest is None:
            continue
        pending = rest or bytes(source[position : position + chunk])
        position += 0 if rest else len(pending)
        if not pending or not coding.magic:
            return ""
        if not pending.startswith(coding.magic[: len(pending)]) or members == MAX_MEMBERS:
            return "" if not pending.strip(b"\0") else f"{coding.name} followed by other bytes"
        members += 1
        stream = coding.open(pending[:2])
    return ""


def _salvage(body: bytes, coding: _Coding, limit: int) -> list[bytes]:
    """Return what can be decoded before the fault: by small chunks, then byte by byte in the one that fails.

    A decoder that fails loses what it had decoded in that call.
    """
    pieces: list[bytes] = []
    stream = coding.open(body[:2])
    position = 0
    room = limit + 1
    try:
        while position < len(body) and room > 0:
            room -= _drain(stream, body[position : position + _SALVAGE_CHUNK], room, pieces)
            position += _SALVAGE_CHUNK
    except _CorruptError:
        pass
    else:
        return pieces
    pieces = []
    stream = coding.open(body[:2])
    room = limit + 1
    try:
        room -= _drain(stream, body[:position], room, pieces)
        for index in range(position, min(position + _SALVAGE_CHUNK, len(body))):
            room -= _drain(stream, body[index : index + 1], room, pieces)
    except _CorruptError:
        pass
    return pieces


def _drain(stream: _Stream, data: bytes, room: int, pieces: list[bytes]) -> int:
    """Feed `data` and take all that comes out, within `room`; return how much that was."""
    taken = 0
    while taken < room and stream.rest() is None:
        piece = stream.feed(data, room - taken)
        data = b""
        pieces.append(piece)
        taken += len(piece)
        if stream.hungry():
            break
    return taken
