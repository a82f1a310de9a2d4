"""Heads of answers that break the rules in ways browsers put up with, rewritten so that there is one way to read them.

Accepted: bare line feeds, folded fields, control characters in values, odd versions of HTTP, several equal Content-Length,
Content-Length beside Transfer-Encoding (which wins, RFC 9112 section 6.3), the transfer coding ``identity``. Whatever is
left is no HTTP. The caller never uses a connection again that needed this.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from crawler.fetch.failures import BadAnswer, bounded

Field = tuple[bytes, bytes]

_STATUS_LINE: Final = re.compile(rb"HTTP/(\d)\.(\d)[ \t]+(\d{3})(?:[ \t]+(.*))?", re.IGNORECASE | re.DOTALL)
_PROTOCOL: Final = b"HTTP/"
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Rewritten(Struct, frozen=True):
    """A head that says the same and breaks no rule."""

    head: bytes  # the status line and the fields that frame the body; ends with the blank line
    fields: list[Field]  # all fields as they came, names in lower case
    raw: bytes  # the head as it came, with the blank line
    rest: bytes  # what followed the head


def rewrite(received: bytes | bytearray) -> Rewritten | None:
    """Return the first head in `received` that is not informational (1xx), rewritten; None when it has not come to its end.

    Raises BadAnswer for what is no HTTP answer.
    """
    start = len(received) - len(received.lstrip(b"\r\n"))
    while True:
        line_end = received.find(b"\n", start)
        if line_end < 0:
            if received[start : start + 5].upper() != _PROTOCOL[: len(received) - start]:  # no line end will make it one
                raise BadAnswer(bounded(f"not a status line to be expected: {received[start : start + 80].decode('latin-1')}"))
            return None
        version, status, reason = _read_status_line(bytes(received[start:line_end].rstrip(b"\r")))
        end = _BLANK_LINE.search(received, line_end)
        if end is None:
            return None
        if not 100 <= int(status) < 200:
            break
        start = end.end()
    fields = _read_fields(bytes(received[line_end + 1 : end.start()])) if end.start() > line_end else []
    lines = [version + b" " + status + b" " + _CONTROLS.sub(b"", reason), *_framing(fields)]
    return Rewritten(b"\r\n".join(lines) + b"\r\n\r\n", fields, bytes(received[start : end.end()]), bytes(received[end.end() :]))


def _read_status_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the version to read the answer by, the three digits of the status, and the reason phrase."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None or match[3] == b"101":
        raise BadAnswer(bounded(f"not a status line to be expected: {line[:80].decode('latin-1')}"))
    version = b"HTTP/1.0" if (match[1], match[2]) == (b"1", b"0") else b"HTTP/1.1"
    return version, match[3], match[4] or b""


def _read_fields(text: bytes) -> list[Field]:
    fields: list[Field] = []
    folded: list[bytes] = []
    for line in [*_LINE_END.split(text), b"end:"]:
        if line[:1] in (b" ", b"\t"):
            if not folded:
                raise BadAnswer("the first field is indented")
            folded.append(line.strip())
            continue
        if folded:
            fields.append(_read_field(b" ".join(folded)))
        folded = [line]
    return fields


def _read_field(line: bytes) -> Field:
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadAnswer(bounded(f"a field without colon: {line[:80].decode('latin-1')}"))
    if not _NAME.fullmatch(name):
        raise BadAnswer(bounded(f"not a field name: {name[:80].decode('latin-1')}"))
    return name.lower(), _CONTROLS.sub(b"", value).strip()


def _framing(fields: list[Field]) -> list[bytes]:
    """Return the one field that says where the body ends, or none."""
    codings = [coding for coding in _members(fields, b"transfer-encoding") if coding not in (b"", b"identity")]
    if codings == [b"chunked"]:
        return [b"Transfer-Encoding: chunked"]
    if codings:
        raise BadAnswer(bounded(f"unknown transfer encoding: {b', '.join(codings)[:80].decode('latin-1')}"))
    lengths = set(_members(fields, b"content-length"))
    if len(lengths) > 1:
        raise BadAnswer("different values of Content-Length")
    return [b"Content-Length: " + length for length in lengths]


def _members(fields: list[Field], name: bytes) -> list[bytes]:
    return [member.strip().lower() for key, value in fields if key == name for member in value.split(b",")]
