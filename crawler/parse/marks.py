"""Which texts of a page an extractor kept: each text gets a character of its own before it is handed over.

Extractors return text without its markup. Code, tables, links and images stand in the page alone; so the page is marked, the extractor
decides, and what the page's own tree has is written, of the texts whose marks came back.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

MAX_MARKS: Final = 2 * 65_534
"""Texts of a page that can be told apart: private characters that fonts of icons hardly use. What follows them is left out."""

_FIRST, _SECOND = 0x100000, 0xF0000
_PLANE: Final = 65_534
MARKS: Final = "\U00100000-\U0010fffd\U000f0000-\U000ffffd"
"""The characters, as they stand between the brackets of a regular expression."""

_BEFORE_TEXT: Final = re.compile(r"(>[ \t\n\r\f]*)([A-Za-z0-9]{4}|(?=[^ \t\n\r\f<]))")
_IMAGE: Final = re.compile(r"<img(?: [^>]*)?>")
_MARK: Final = re.compile(f"[{MARKS}]")


class Marked(Struct, frozen=True):
    """A page with a mark in each text. Marks take the place of four letters where they can: extractors weigh texts by their bytes."""

    html: str
    replaced: dict[str, str]  # by mark: the letters whose place it took

    def restored(self, text: str) -> str:
        """Return a marked text as it was."""
        return _MARK.sub(lambda match: self.replaced.get(match[0], ""), text)


def mark(html: str) -> Marked:
    """Return a page with a mark at the start of each text and each image's alternative text.

    `html` is what a parser has written, without scripts: tags have ``<`` and ``>`` at their ends alone. Marks in comments do no harm.
    """
    letters = map(_nth, range(MAX_MARKS))
    replaced: dict[str, str] = {}

    def marked(match: re.Match[str]) -> str:
        letter = next(letters, None)
        if letter is None:
            return match[0]
        before, replaced[letter] = match.groups()
        return before + letter

    html = _IMAGE.sub(lambda match: _marked_image(match[0], next(letters, "")), _MARK.sub("", html))
    return Marked(_BEFORE_TEXT.sub(marked, html), replaced)


def marks_in(text: str) -> frozenset[str]:
    """Return the marks that a text has."""
    return frozenset(_MARK.findall(text))


def _nth(number: int) -> str:
    return chr(_FIRST + number if number < _PLANE else _SECOND + number - _PLANE)


def _marked_image(tag: str, letter: str) -> str:
    if ' alt="' in tag:
        return tag.replace(' alt="', f' alt="{letter}', 1)
    return f'{tag[:-1]} alt="{letter}">'
