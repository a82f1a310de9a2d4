"""Header fields as text: bounded, lower-case names, no control characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MAX_HEADERS: Final = 200
"""Fields kept of one answer; the rest is dropped."""

MAX_HEADER_CHARACTERS: Final = 65536
"""Characters kept of all names and values of one answer."""

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_SECRETS: Final = re.compile(rb"^(?:proxy-)?(?:authorization|cookie)[ \t]*:[^\n]*\n", re.I | re.M)


def without_secrets(head: bytes) -> bytes:
    """Return the head of a request without the fields that let somebody in: Authorization, Proxy-Authorization, Cookie."""
    return _SECRETS.sub(b"", head)


def decode_headers(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return the fields as text, names in lower case, at most `MAX_HEADERS` of them; no value may have a line feed."""
    names = b"\n".join([name for name, _ in fields])
    values = b"\n".join([value for _, value in fields])
    if values.isascii() and len(fields) <= MAX_HEADERS and len(names) + len(values) <= MAX_HEADER_CHARACTERS:
        text = values.decode("ascii")  # in one go: nearly all heads are plain
        if text.replace("\n", "").isprintable():
            return list(zip(names.decode("latin-1").lower().split("\n"), map(str.strip, text.split("\n")), strict=True)) if fields else []
    return _decode_one_by_one(fields)


def _decode_one_by_one(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    room = MAX_HEADER_CHARACTERS
    for name, value in fields[:MAX_HEADERS]:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept.append((name.decode("latin-1").lower(), decode_value(value)))
    return kept


def decode_value(value: bytes) -> str:
    """Return a field's value as text: UTF-8 where it is valid UTF-8, else Latin-1 (RFC 9110 section 5.5), controls removed."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    text = text.strip()
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
