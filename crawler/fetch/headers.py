"""Header fields as text: bounded, lower-case names, no control characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from twisted.web.http_headers import Headers

MAX_HEADERS: Final = 200
"""Fields kept of one answer; the rest is dropped."""

MAX_HEADER_CHARACTERS: Final = 65536
"""Characters kept of all names and values of one answer."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode_headers(*groups: Headers) -> list[tuple[str, str]]:
    """Return the fields of one or several groups as text, names in lower case, at most `MAX_HEADERS` of them."""
    kept: list[tuple[str, str]] = []
    room = MAX_HEADER_CHARACTERS
    for group in groups:
        for raw_name, values in group.getAllRawHeaders():
            name = raw_name.decode("latin-1").lower()
            for value in values:
                room -= len(name) + len(value)
                if room < 0 or len(kept) == MAX_HEADERS:
                    return kept
                kept.append((name, decode_value(value)))
    return kept


def decode_value(value: bytes) -> str:
    """Return a field's value as text: UTF-8 where it is valid UTF-8, else Latin-1 (RFC 9110 section 5.5), controls removed."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text if text.isprintable() else _CONTROLS.sub("", text)


def media_type_accepted(content_type: str | None, patterns: Sequence[str]) -> bool:
    """Tell whether a Content-Type is among `patterns` (``text/html``, ``image/*``); no patterns or no type: it is."""
    if not patterns or not content_type:
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    return any(_matches(media_type, pattern.strip().lower()) for pattern in patterns)


def _matches(media_type: str, pattern: str) -> bool:
    if pattern in ("*", "*/*", media_type):
        return True
    return pattern.endswith("/*") and media_type.startswith(pattern[:-1])
