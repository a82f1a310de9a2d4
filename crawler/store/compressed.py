"""JSON lines, compressed in steps: each batch is one gzip member (RFC 1952) or one Zstandard frame (RFC 8878) of its own.

Readers take members and frames one after the other for one text, so a file can be cut back to the end of any batch, and appended to
there. Levels are low: the writer thread has other work, and what is at rest can be packed tighter later.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from msgspec import Struct

from crawler.model import Record

_GZIP: Final = 31  # wbits of zlib: a gzip member of the largest window
_GZIP_LEVEL: Final = 3
_ZSTD_LEVEL: Final = 3
_CHUNK: Final = 65_536
_TAIL: Final = 65_536  # bytes read first in search of the last member


class Codec(Struct, frozen=True):
    """One form of compression. Decompressors take ``decompress(data, max_length)`` and know `eof`."""

    compress: Callable[[bytes], bytes]
    decompressor: Callable[[], Any]
    magic: bytes  # every member begins with it
    error: type[Exception]


def _gzipped(data: bytes) -> bytes:
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(data) + compressor.flush()


GZIP: Final = Codec(_gzipped, lambda: zlib.decompressobj(_GZIP), b"\x1f\x8b\x08\x00\x00\x00\x00\x00", zlib.error)
ZSTD: Final = Codec(lambda data: zstd.compress(data, _ZSTD_LEVEL), zstd.ZstdDecompressor, b"\x28\xb5\x2f\xfd", zstd.ZstdError)


class Compressed:
    """An encoder of JSON lines that compresses them, a member a batch. An empty member comes first, so that no file is empty."""

    def __init__(self, codec: Codec, lines: Callable[[Iterable[Record]], list[bytes]]) -> None:
        """`lines` turns records into lines."""
        self._codec = codec
        self._lines = lines
        self.header = codec.compress(b"")

    def encode(self, records: Iterable[Record]) -> bytes:
        """Return one member; nothing for no record."""
        return self.packed(self._lines(records))

    def packed(self, lines: list[bytes]) -> bytes:
        """Return lines as one member; nothing for no line."""
        return self._codec.compress(b"".join(lines)) if lines else b""

    def begins(self, file: BinaryIO, have: int, first: Record) -> bool:
        """Say whether a file of `have` bytes begins as if this encoder had written `first` first."""
        if file.read(len(self.header)) != self.header[:have]:
            return False
        [line] = self._lines([first])
        text = self._start(file, len(line))
        return text is not None and line.startswith(text)

    def _start(self, file: BinaryIO, size: int) -> bytes | None:
        """Return the first bytes of text, at most `size`, as far as they are there; None when it is no text of ours."""
        decoder, text = self._codec.decompressor(), b""
        try:
            while len(text) < size and not decoder.eof and (chunk := file.read(_CHUNK)):
                text += decoder.decompress(chunk, size - len(text))
        except self._codec.error:
            return None
        return text

    def ends(self, file: BinaryIO, length: int, last: Record) -> bool:
        """Say whether a file's first `length` bytes end with a member that ends with `last`."""
        [line] = self._lines([last])
        size = _TAIL
        while True:
            start = max(0, length - size)
            file.seek(start)
            tail = file.read(length - start)
            text = self._last_member(tail)
            if text is not None or not start:
                return text is not None and text.endswith(line)
            size *= 4

    def _last_member(self, tail: bytes) -> bytes | None:
        """Return the text of the member that ends where `tail` ends, when it begins in it."""
        place = len(tail)
        while (place := tail.rfind(self._codec.magic, 0, place)) >= 0:
            decoder = self._codec.decompressor()
            try:
                text: bytes = decoder.decompress(tail[place:])
            except self._codec.error:
                continue  # these bytes came about within a member
            if decoder.eof and not decoder.unused_data:
                return text
        return None
