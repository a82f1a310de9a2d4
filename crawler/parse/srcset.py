"""The candidates of a ``srcset`` attribute, split as the HTML standard does ("parse a srcset attribute")."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_CANDIDATES: Final = 1000
"""Candidates read of one attribute."""

_URL: Final = re.compile(r"[\s,]*+(\S++)")
_DESCRIPTORS: Final = re.compile(r"((?:[^(,]|\([^)]*+(?:\)|\Z))*+),?")


def candidates(value: str) -> list[tuple[str, str]]:
    """Return (URL, descriptors) pairs: ``a.png 1x, b.png 2x`` gives ``("a.png", "1x")`` and ``("b.png", "2x")``."""
    found: list[tuple[str, str]] = []
    position = 0
    while len(found) < MAX_CANDIDATES and (match := _URL.match(value, position)) is not None:
        url = match[1]
        position = match.end()
        descriptors = ""
        if not url.endswith(","):
            rest = _DESCRIPTORS.match(value, position)
            if rest is not None:
                descriptors = rest[1].strip()
                position = rest.end()
        if url := url.rstrip(","):
            found.append((url, descriptors))
    return found


def rewritten(value: str, replacement: Callable[[str], str | None]) -> str:
    """Return a ``srcset`` with each URL replaced by what `replacement` returns for it; None leaves it as it is."""
    return ", ".join(f"{replacement(url) or url} {descriptors}".rstrip() for url, descriptors in candidates(value))
