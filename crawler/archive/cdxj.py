"""CDXJ: the index of an archive, a line for each record that can be shown: key, time, and where to find it, as JSON.

The key is the URL in Sort-friendly URI Reordering Transform (SURT), so that a host's pages, and the spellings of a page, stand
together. Readers look up keys as the `surt` package makes them (pywb, cdxj-indexer); these are the same for the
canonical URLs of a crawl, but for a few whose escaped slashes hide dot segments (``/%2F..``).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Struct

from crawler import url as urls

REVISIT: Final = "warc/revisit"
"""The media type by which readers know a revisit."""

_ENCODE: Final = msgspec.json.Encoder().encode
_WWW: Final = re.compile(r"www\d*\.")
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_SLASHES: Final = re.compile(r"//+")
_ESCAPED: Final = frozenset(b"#%") | frozenset(range(0x21)) | frozenset(range(0x7F, 0x100))
_SESSIONS_IN_PATH: Final = re.compile(r"(?:\((?:[a-z]\([0-9a-z]{24}\))+\)/|\([0-9a-z]{24}\)/)(?=[^?]+\.aspx)")
_SESSIONS_IN_QUERY: Final = re.compile(
    r"(?:jsessionid=[0-9a-z]{32}|phpsessid=[0-9a-z]{32}|sid=[0-9a-z]{32}|aspsessionid[a-z]{8}=[a-z]{24}|cfid=[^&]+&cftoken=[^&]+)(?:&|$)"
)


class Entry(Struct, frozen=True):
    """What a line of the index says beside key and time; the names are CDXJ's, numbers are text as other tools write them."""

    url: str
    mime: str
    status: str
    digest: str
    length: str  # bytes of the gzip member
    offset: str  # of the member in the file
    filename: str


def cdxj_line(*, url: str, date: str, mime: str, status: int, digest: str, length: int, offset: int, filename: str) -> bytes:
    """Return the line of a record, with its line end. `date` is its WARC-Date, `length` and `offset` are bytes in `filename`."""
    time = re.sub(r"\D", "", date)[:14]
    entry = Entry(url, mime, str(status), digest, str(length), str(offset), filename)
    return b"%b %b %b\n" % (surt(url).encode(), time.encode(), _ENCODE(entry))


def moved(line: bytes, *, by: int, filename: str) -> bytes:
    """Return a line of the index for its record in another file, `by` bytes further on."""
    key, time, text = line.split(b" ", 2)
    entry = msgspec.json.decode(text, type=Entry)
    there = msgspec.structs.replace(entry, offset=str(int(entry.offset) + by), filename=filename)
    return b"%b %b %b\n" % (key, time, _ENCODE(there))


def filename_of(line: bytes) -> str:
    """Return the name of the file that a line of the index points into."""
    return msgspec.json.decode(line.split(b" ", 2)[2], type=Entry).filename


def surt(url: str) -> str:
    """Return the key of a canonical URL: ``http://www.example.com/A?b&a`` is ``com,example)/a?a&b``.

    Without scheme, ``www.``, default port, slash at the end, session ids and the order of parameters; in lower case.
    """
    host, port = _split_port(urls.netloc(url).lower())
    path, _, query = urls.path(url).partition("?")
    path = _resolved(_SLASHES.sub("/", _plain(path).lower()))
    path = _SESSIONS_IN_PATH.sub("", path, count=1)
    path = path.rstrip("/") or "/"
    parameters = _SESSIONS_IN_QUERY.sub("", _plain(query).lower()).split("&")
    query = "&".join(sorted(parameters, key=lambda parameter: parameter.split("=", 1)))
    return f"{_reversed(host)}{port}){path}" + (f"?{query}" if query else "")


def _split_port(netloc: str) -> tuple[str, str]:
    cut = netloc.find(":", netloc.find("]") + 1)
    return (netloc, "") if cut < 0 else (netloc[:cut], netloc[cut:])


def _reversed(host: str) -> str:
    if host.startswith("["):
        return host[1:-1]
    if not _ADDRESS.fullmatch(host):
        host = _WWW.sub("", host, count=1) if _WWW.match(host) else host
    return ",".join(reversed(host.split(".")))


def _resolved(path: str) -> str:
    """Resolve dot segments: undoing escapes may have brought some to light."""
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in path[1:].split("/"):
        if segment == ".." and kept:
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def _plain(text: str) -> str:
    """Undo escapes, also those of escapes, and escape what has to be."""
    if "%" not in text:
        return text
    data = text.encode()
    while (plain := unquote_to_bytes(data)) != data:
        data = plain
    return "".join(f"%{byte:02X}" if byte in _ESCAPED else chr(byte) for byte in data)
