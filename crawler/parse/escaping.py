"""What Markdown reads as markup and is to be read as text: CommonMark 0.31, with GitHub's tables and strikethrough."""

from __future__ import annotations

import re
from typing import Final

BREAK: Final = "\x00"
"""A hard line break until the paragraph is whole: no text of an HTML tree has this character."""

_INLINE: Final = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w{1,32};)")
_FIRST_OF_MARKUP: Final = frozenset("#>+-=0123456789")
_LINE_START: Final = re.compile(r"^(?:(?=#{1,6}(?:\s|$)|>|[-+](?:\s|$)|=+\s*$|--+\s*$)|(\d{1,9})(?=[.)](?:\s|$)))", re.M)
_HEADING_END: Final = re.compile(r"(?:(?<=\s)|^)#+$")
_AROUND_BREAK: Final = re.compile(rf" ?{BREAK} ?")
_BACKTICKS: Final = re.compile("`+")


def escaped(text: str) -> str:
    """Return a text as it stands within a line."""
    return _INLINE.sub(r"\\\g<0>", text)


def collapsed(text: str) -> str:
    """Return a text whose white space is single spaces, none at its ends."""
    return " ".join(text.split())


def paragraph(text: str) -> str:
    """Return inline Markdown as a paragraph: hard breaks made, what would begin a heading, list or quote escaped."""
    text = collapsed(text)
    if BREAK in text:
        text = _AROUND_BREAK.sub(BREAK, text).strip(BREAK).replace(BREAK, "\\\n")
    elif text[:1] not in _FIRST_OF_MARKUP:  # as nearly all are
        return text
    return _LINE_START.sub(lambda match: f"{match[1] or ''}\\", text)


def one_line(text: str) -> str:
    """Return inline Markdown without breaks, as headings and links need it."""
    return collapsed(text.replace(BREAK, " "))


def heading(text: str) -> str:
    """Return inline Markdown as a heading's text: signs at its end would be taken for the end of the heading."""
    return _HEADING_END.sub(r"\\\g<0>", one_line(text))


def code_span(text: str) -> str:
    """Return a text as code within a line; nothing for no text."""
    text = collapsed(text)
    if not text:
        return ""
    fence = "`" * (_longest(text) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def fenced(text: str, language: str) -> str:
    """Return lines of code as a fenced block."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def target(url: str) -> str:
    """Return a URL as it stands in a link's parentheses."""
    return f"<{url}>" if "(" in url or ")" in url else url


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
