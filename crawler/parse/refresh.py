"""The value of a meta refresh or of a ``Refresh`` header: one grammar for both (HTML standard, "shared declarative refresh steps")."""

from __future__ import annotations

import re
from typing import Final

# Possessive throughout: what does not match is known after one look at each character, however long the value.
_TIME: Final = re.compile(r"[\t\n\f\r ]*+(?:[0-9]++|(?=\.))[0-9.]*+(?=[;,\t\n\f\r ])[\t\n\f\r ]*+[;,]?+[\t\n\f\r ]*+(.*)", re.S)
_URL: Final = re.compile(r"url[\t\n\f\r ]*+=[\t\n\f\r ]*+(.*)", re.I | re.S)


def refresh_target(value: str) -> str | None:
    """Return where `value` leads, as it spells it; None when it only reloads or is none."""
    timed = _TIME.match(value)
    if timed is None:
        return None
    rest = timed[1]
    named = _URL.match(rest)
    if named:
        rest = named[1]
    if rest[:1] in ("'", '"'):
        rest = rest[1:].partition(rest[0])[0]
    return rest.strip() or None
