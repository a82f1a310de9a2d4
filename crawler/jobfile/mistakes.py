"""A mistake in a job file: where, what, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from crawler.jobfile.lines import Path
from crawler.secret import without_password

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Mistake(NamedTuple):
    """What is wrong with the value at `path`, and the remedy, in one line. `line` is given where the path's own is not meant."""

    path: Path
    message: str
    line: int | None = None


def dotted(path: Path) -> str:
    """Return a path as a job file would write it: ``fetch.sites."https://example.org".user``, ``seeds[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE.fullmatch(part) else f'"{without_password(part)}"'
            text += f".{key}" if text else key
    return text


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that was probably meant, or None."""
    folded = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def meant(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of a complaint about an unknown word: the nearest known one, or what to do `otherwise`."""
    close = nearest(word, known)
    return f"did you mean {close}?" if close else otherwise


def there_are(words: Iterable[str]) -> str:
    """Return the end of such a complaint that lists what is known."""
    return f"there are {', '.join(words)}"
