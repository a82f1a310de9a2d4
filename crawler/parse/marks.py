"""Which texts of a page an extractor kept: each text gets a character of its own before it is handed over.

Extractors return text without its markup. Code, tables, links and images stand in the page alone; so the page is marked, the extractor
decides, and what the page's own tree has is written, of the texts whose marks came back.
"""

from __future__ import annotations

import re
from typing import Final

MAX_MARKS: Final = 2 * 65_534
"""Texts of a page that can be told apart: private characters that fonts of icons hardly use. What follows them is left out."""

_FIRST, _SECOND = 0x100000, 0xF0000
_PLANE: Final = 65_534
MARKS: Final = "\U00100000-\U0010fffd\U000f0000-\U000ffffd"
"""The characters, as they stand between the brackets of a regular expression."""

_BEFORE_TEXT: Final = re.compile(r">[ \t\n\r\f]*(?=[^ \t\n\r\f<])")
_IMAGE: Final = re.compile(r"<img(?: [^>]*)?>")
_MARK: Final = re.compile(f"[{MARKS}]")


def mark(html: str) -> str:
    """Return a page with a mark before each text and in each image's alternative text.

    `html` is what a parser has written, without scripts: tags have ``<`` and ``>`` at their ends alone. Marks in comments do no harm.
    """
    letters = map(_nth, range(MAX_MARKS))
    html = _IMAGE.sub(lambda match: _marked_image(match[0], next(letters, "")), html)
    return _BEFORE_TEXT.sub(lambda match: match[0] + next(letters, ""), html)


def marks_in(text: str) -> frozenset[str]:
    """Return the marks that a text has."""
    return frozenset(_MARK.findall(text))


def unmarked(text: str) -> str:
    """Return a text without marks."""
    return _MARK.sub("", text)


def _nth(number: int) -> str:
    return chr(_FIRST + number if number < _PLANE else _SECOND + number - _PLANE)


def _marked_image(tag: str, letter: str) -> str:
    if ' alt="' in tag:
        return tag.replace(' alt="', f' alt="{letter}', 1)
    return f'{tag[:-1]} alt="{letter}">'
