"""What a page says to robots: X-Robots-Tag headers and meta robots, as Google documents them (no RFC exists).

``X-Robots-Tag: noindex, nofollow`` is for everybody, ``X-Robots-Tag: somebot: noindex`` for one robot until the next name or the
end of that header. Directives for everybody and for us add up; no directive takes another one back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MAX_DIRECTIVES: Final = 50
"""Per page; more is noise."""

_VALUED: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_NO_FOLLOW: Final = frozenset({"nofollow", "none"})
_WEEKDAY: Final = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*", re.ASCII)
_MAX_VALUE: Final = 4096  # characters of one header that are read


def header_directives(values: list[str], token: str) -> list[str]:
    """Return the directives, lower-cased, that X-Robots-Tag headers address to everybody or to product token `token`."""
    ours = token.lower()
    found: list[str] = []
    for value in values:
        agent = ""
        for piece in _pieces(value):
            name, directive = _split_agent(piece)
            agent = name if name is not None else agent
            if directive and agent in ("", "*", ours):
                found.append(directive)
    return _distinct(found)


def meta_directives(content: str) -> list[str]:
    """Return the directives, lower-cased, of the content of one meta robots element."""
    return _distinct(list(_pieces(content)))


def combine(header: list[str], meta: list[str]) -> list[str]:
    """Return the directives of headers and page together, each once, in order."""
    return _distinct([*header, *meta])


def follows(directives: list[str]) -> bool:
    """Say whether the links of a page with these directives may be followed."""
    return _NO_FOLLOW.isdisjoint(directives)


def _pieces(value: str) -> Iterator[str]:
    """Split at commas, but not at the one after a date's weekday (``unavailable_after: Friday, 25-Jun-10 15:00:00 PST``)."""
    pending = ""
    for part in value[:_MAX_VALUE].lower().split(","):
        piece = " ".join(f"{pending}, {part}".split()) if pending else " ".join(part.split())
        if not pending and "unavailable_after:" in piece.replace(" ", "") and _WEEKDAY.fullmatch(piece.rpartition(":")[2].strip()):
            pending = piece
            continue
        pending = ""
        if piece:
            yield piece
    if pending:
        yield pending


def _split_agent(piece: str) -> tuple[str | None, str]:
    """Split ``robot: directive``; the name is None when there is none."""
    name, colon, rest = piece.partition(":")
    name = name.strip()
    if not colon or name in _VALUED:
        return None, piece
    return name, rest.strip()


def _distinct(directives: list[str]) -> list[str]:
    return list(dict.fromkeys(directives))[:MAX_DIRECTIVES]
