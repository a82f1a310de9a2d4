"""Canonical URLs: the WHATWG URL standard (by ada-url), then a small policy of our own.

Two spellings of one page become one string; nothing that may name another page is changed:

1. WHATWG parsing: host lower-cased, IDNA, numeric IPv4 forms unified, default port dropped, dot segments
   resolved, tabs and newlines removed, backslashes read as slashes.
2. Only ``http`` and ``https`` are URLs to us; anything else is None.
3. The fragment is dropped. Credentials (``user:password@``) are dropped: they are never fetched with, stored or logged.
4. Percent-encoded unreserved characters (RFC 3986 section 2.3) are decoded (``%7E`` becomes ``~``), other triplets get upper-case
   digits (``%2f`` becomes ``%2F``). ``a%2Fb`` and ``a/b`` stay two URLs. A lone ``%`` stays as it is, and beside one nothing is
   decoded: ``%%34%31`` must not become ``%41``.
5. An empty query (``/page?``) is dropped; known click trackers (``utm_…``, ``gclid``, …) are dropped from the query; the order and
   the spelling of the other parameters stay.
6. A host's trailing dot is dropped; a host with two has an empty label and is none.
7. Longer than `MAX_URL_LENGTH` after all that: None.
"""

from __future__ import annotations

import re
from typing import Final

import ada_url
import xxhash

MAX_URL_LENGTH: Final = 2083
"""Characters; Scrapy's limit, and that of the oldest browsers still counted."""

MAX_RAW_LENGTH: Final = 8192
"""Characters of a reference; a longer one is not even parsed."""

_TRIPLET: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_CHANGES: Final = re.compile(  # a triplet of an unreserved character, or one in lower case: most URLs with triplets have neither
    r"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AFaf]|6[1-9A-Fa-f]|7[0-9AEae]|[0-9A-Fa-f][a-f]|[a-f][0-9A-F])"
)
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TRACKERS: Final = re.compile(r"(?:utm_[a-z_]+|gclid|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|igshid|mc_eid|_ga|_gl)(?:=|$)", re.I)


def canonicalise(url: str, base: str | None = None, *, exact: bool = False) -> str | None:
    """Return the canonical form of `url`, resolved against `base` (canonical itself), or None when it is not one of ours.

    None means: not parseable, not http or https, without host, or too long. `exact`: path and query stay as they are written.
    """
    cut = url.find("#")
    if cut >= 0:
        url = url[:cut]
    if len(url) > MAX_RAW_LENGTH:
        return None
    try:
        text: str = ada_url.join_url(base, url) if base is not None else ada_url.normalize_url(url)
    except (ValueError, UnicodeError):  # UnicodeError: lone surrogates
        return None
    if not text.startswith(("http://", "https://")):
        return None
    if not exact and ("%" in text or "?" in text):
        text = _normalise_escapes(text)
    slash = text.find("/", 8)
    authority_end = slash if slash >= 0 else len(text)
    if "@" in text[:authority_end] or ".:" in text[:authority_end] or text[:authority_end].endswith("."):
        repaired = _plain_authority(text, authority_end)
        if repaired is None:
            return None
        text = repaired
    if len(text) > MAX_URL_LENGTH:
        return None
    return text


def _normalise_escapes(text: str) -> str:
    """Apply rules 4 and 5 to a URL that WHATWG parsing has already serialised."""
    if "%" in text and _CHANGES.search(text):
        decoded, triplets = _TRIPLET.subn(_triplet, text)
        text = decoded if triplets == text.count("%") else _TRIPLET.sub(_upper, text)
    head, mark, query = text.partition("?")
    if not mark:
        return text
    if query:
        kept = [part for part in query.split("&") if not _TRACKERS.match(part)]
        query = "&".join(kept)
    return f"{head}?{query}" if query else head


def _triplet(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _upper(match: re.Match[str]) -> str:
    return match[0].upper()


def _plain_authority(text: str, end: int) -> str | None:
    """Drop credentials and the host's trailing dot."""
    scheme, _, authority = text[:end].partition("://")
    host = authority.rpartition("@")[2]
    name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    name = name.removesuffix(".")
    if not name or name.endswith("."):
        return None
    return f"{scheme}://{name}{colon}{port}{text[end:]}"


def fingerprint(url: str) -> int:
    """Return the 64-bit key of a canonical URL, signed as SQLite's integers are (xxh3)."""
    value: int = xxhash.xxh3_64_intdigest(url.encode())
    return value - (1 << 64) if value >= 1 << 63 else value


def origin(url: str) -> str:
    """Return scheme, host and port of a canonical URL, without a slash at the end (RFC 6454)."""
    slash = url.find("/", 8)
    return url if slash < 0 else url[:slash]


def netloc(url: str) -> str:
    """Return ``host`` or ``host:port`` of a canonical URL."""
    start = 8 if url.startswith("https:") else 7
    slash = url.find("/", start)
    return url[start:] if slash < 0 else url[start:slash]


def host(url: str) -> str:
    """Return the host name of a canonical URL, without port; an IPv6 address keeps its brackets."""
    name = netloc(url)
    if name.startswith("["):
        return name[: name.find("]") + 1]
    colon = name.find(":")
    return name if colon < 0 else name[:colon]


def port(url: str) -> int:
    """Return the port of a canonical URL, the scheme's own when none is written."""
    rest = netloc(url)[len(host(url)) :]
    if rest:
        return int(rest[1:])
    return 443 if url.startswith("https:") else 80


def path(url: str) -> str:
    """Return path and query of a canonical URL, beginning with a slash."""
    slash = url.find("/", 8)
    return "/" if slash < 0 else url[slash:]
