"""The 64-bit keys that URLs are known by."""

from __future__ import annotations

from typing import Final

import xxhash

from crawler.url import fingerprint

REHASHES: Final = 64
"""Keys that a URL may have: its fingerprint, and others for when that is another URL's."""


def keys_of(url: str) -> list[int]:
    """Return every key that a URL may be stored under, its fingerprint first."""
    return [fingerprint(url), *(rehash(url, attempt) for attempt in range(1, REHASHES))]


def rehash(url: str, attempt: int) -> int:
    """Return the `attempt`-th other key of a URL, for when its fingerprint is another URL's."""
    value: int = xxhash.xxh3_64_intdigest(url.encode(), seed=attempt)
    return value - (1 << 64) if value >= 1 << 63 else value
