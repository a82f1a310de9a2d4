"""WARC records: an exchange as a ``response`` and a ``request``, a ``revisit``, the ``warcinfo`` of a file.

Each record is one gzip member (WARC 1.1, annex D), so that it can be read by its offset. The format is a dozen header lines and a
block; what costs is compressing. Measured for a page of 58 kB (this machine, CPU): records made here and compressed by zlib-ng at
level 6 0.52 ms, by the standard library's zlib 0.91 ms at the same size; zlib-ng takes 4 ms to import and 0.7 MB of a worker. A
library for WARC (FastWARC: 11 MB installed) would bring its own, slower compressor; its reader and warcio's check these records in
the tests.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import b32encode
from datetime import UTC, datetime
from typing import Final

from zlib_ng import zlib_ng

from crawler.archive.heads import archived_head
from crawler.model import Archived, Exchanged, Reason

VERSION: Final = "WARC/1.1"
IDENTICAL_PAYLOAD: Final = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
"""The profile of `revisit` (WARC 1.1 section 6.7.2)."""

_LEVEL: Final = 6
_GZIP: Final = 31  # wbits: zlib's greatest window, in a gzip member
_HTTP: Final = "application/http;msgtype="
_TRUNCATED_BY: Final = {
    Reason.TOO_LARGE: "length",
    Reason.TIMEOUT: "time",
    Reason.CONNECT: "disconnect",
    Reason.TRUNCATED: "disconnect",
}

Fields = list[tuple[str, str]]


def truncation(reason: Reason) -> str:
    """Return what WARC-Truncated says of an answer that ended by `reason`: ``length``, ``time``, ``disconnect`` or ``unspecified``."""
    return _TRUNCATED_BY.get(reason, "unspecified")


def archived_exchange(
    *, url: str, ip: str | None, started_at: float, exchanged: Exchanged, payload: bytes, truncated: str | None = None
) -> Archived:
    """Return the records of an exchange, of which `payload` was received: without transfer coding, still content-encoded.

    `ip` is the server's address, None where a proxy knew it alone; `started_at` is in seconds since the epoch; `truncated` says why
    the payload is not whole (see `truncation`).
    """
    date, response_id = warc_date(started_at), _new_id()
    block = archived_head(exchanged.response, len(payload)) + payload
    about: Fields = [("WARC-Target-URI", url), ("WARC-Date", date)]
    about += [("WARC-IP-Address", ip)] if ip is not None else []
    digest = payload_digest(payload)
    fields: Fields = [("WARC-Record-ID", response_id), *about, ("WARC-Payload-Digest", digest)]
    fields += [("WARC-Truncated", truncated)] if truncated is not None else []
    request: Fields = [("WARC-Record-ID", _new_id()), *about, ("WARC-Concurrent-To", response_id)]
    return Archived(
        _record("response", fields, block, f"{_HTTP}response"),
        _record("request", request, exchanged.request, f"{_HTTP}request"),
        digest,
        date,
        response_id,
    )


def revisit(*, url: str, ip: str | None, head: bytes, archived: Archived, refers_to_uri: str, refers_to_date: str) -> bytes:
    """Return the record that stands for the response of `archived`, whose whole payload an earlier record holds: its head alone.

    `head` is that of the answer as it was received. The record has the id of the one it stands for, to which its request refers.
    """
    fields: Fields = [("WARC-Record-ID", archived.id), ("WARC-Target-URI", url), ("WARC-Date", archived.date)]
    fields += [("WARC-IP-Address", ip)] if ip is not None else []
    fields += [
        ("WARC-Profile", IDENTICAL_PAYLOAD),
        ("WARC-Refers-To-Target-URI", refers_to_uri),
        ("WARC-Refers-To-Date", refers_to_date),
        ("WARC-Payload-Digest", archived.payload),
        ("WARC-Truncated", "length"),
    ]
    return _record("revisit", fields, archived_head(head, None), f"{_HTTP}response")


def warcinfo(*, filename: str, software: str, about: Fields, created_at: float) -> bytes:
    """Return the record that a file begins with: who wrote it, with what settings (`about`: names and values without line ends)."""
    lines = [("software", software), ("format", "WARC File Format 1.1"), ("conformsTo", _CONFORMS_TO), *about]
    block = "".join(f"{name}: {value}\r\n" for name, value in lines).encode()
    fields: Fields = [("WARC-Record-ID", _new_id()), ("WARC-Date", warc_date(created_at)), ("WARC-Filename", filename)]
    return _record("warcinfo", fields, block, "application/warc-fields")


_CONFORMS_TO: Final = "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"


def payload_digest(payload: bytes) -> str:
    """Return a digest as WARC names it: SHA-1 in base 32, labelled."""
    return f"sha1:{b32encode(hashlib.sha1(payload, usedforsecurity=False).digest()).decode()}"


EMPTY: Final = payload_digest(b"")
"""The digest of no payload: nothing that could be referred to."""


def warc_date(seconds: float) -> str:
    """Return seconds since the epoch as a WARC-Date: UTC, microseconds (WARC 1.1 section 5.4)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _new_id() -> str:
    return f"<urn:uuid:{uuid.uuid4()}>"


def _record(kind: str, fields: Fields, block: bytes, content_type: str) -> bytes:
    """Return a record as a gzip member: version, named fields, an empty line, the block, two line ends."""
    lines = [
        VERSION,
        f"WARC-Type: {kind}",
        *(f"{name}: {value}" for name, value in fields),
        f"WARC-Block-Digest: {payload_digest(block)}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    member: bytes = zlib_ng.compress(b"\r\n".join(["\r\n".join(lines).encode(), b"", block, b"", b""]), _LEVEL, _GZIP)
    return member
