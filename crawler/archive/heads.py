"""The head of an HTTP answer as an archive keeps it: as it was received, save what would misguide its readers."""

from __future__ import annotations

import re
from typing import Final

RENAMED: Final = b"X-Crawl-Orig-"
"""What begins the new name of a field that is not true of the bytes that are kept."""

_FRAMING: Final = re.compile(rb"^(?=(?:transfer-encoding|content-length)[ \t]*:)", re.I | re.M)
_BARE: Final = re.compile(rb"(?<!\r)\n")
_BLANK_FOLD: Final = re.compile(rb"\r\n[ \t]+(?=\r\n)")
_STATUS_LINE: Final = re.compile(rb"HTTP/\d\.\d \d{3}(?=[ \r])")
_ODD_STATUS_LINE: Final = re.compile(rb"HTTP/(\d\.\d)[ \t]+(\d{3})[ \t]*", re.I)
_TRANSFER: Final = re.compile(rb"^(?=transfer-encoding[ \t]*:)", re.I | re.M)
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:([^\r\n]*)", re.I | re.M)


def archived_head(head: bytes, length: int | None) -> bytes:
    """Return the head of an answer whose `length` bytes of payload are kept without transfer coding (None: as many as it says).

    Readers take Transfer-Encoding and Content-Length at their word and would look for chunks, or for more than there is: where they
    are not true of what is kept, their names begin with `RENAMED`. Content-Encoding stays, since the payload is kept encoded.
    """
    head = _plain(head)
    if _TRANSFER.search(head):  # it overrides a Content-Length (RFC 9112 section 6.3)
        return _FRAMING.sub(RENAMED, head)
    if length is not None and any(value.strip() != str(length).encode() for value in _LENGTH.findall(head)):
        return _FRAMING.sub(RENAMED, head)
    return head


def _plain(head: bytes) -> bytes:
    """Return a head of which all readers find beginning and end.

    Some servers write bare line feeds, folded lines that are blank, a status line in small letters or with tabs; browsers put up with
    that, and so did the fetch.
    """
    if head.count(b"\n") != head.count(b"\r\n"):
        head = _BARE.sub(b"\r\n", head)
    if b"\n " in head or b"\n\t" in head:
        head = _BLANK_FOLD.sub(b"", head)
    return head if _STATUS_LINE.match(head) else _ODD_STATUS_LINE.sub(rb"HTTP/\1 \2 ", head, count=1)
