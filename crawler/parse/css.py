"""The URLs in a style sheet, found by a tokenizer of our own after CSS Syntax Level 3.

Only what decides where a URL stands is told apart: comments, strings, names with their escapes, functions and ``url(`` tokens. Nothing
is parsed into rules, so a mistake in a sheet costs no more than the token that holds it, as in a browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from crawler.parse import charset as charsets

_ESCAPE: Final = r"\\(?:[0-9A-Fa-f]{1,6}(?:\r\n|[ \t\n\r\f])?|[^\n\r\f0-9A-Fa-f])"
_TOKEN: Final = re.compile(
    rf"""/\*.*?(?:\*/|\Z)
    |"(?P<double>(?:[^"\\\n\r\f]|\\(?:\r\n|.))*+)"?
    |'(?P<single>(?:[^'\\\n\r\f]|\\(?:\r\n|.))*+)'?
    |(?P<at>@?)(?P<name>(?:[\w-]|{_ESCAPE})++)(?P<call>\(?)
    |[(){{}};]""",
    re.S | re.X,
)
_BARE_URL: Final = re.compile(rf"[ \t\n\r\f]*+(?P<url>(?:[^\"'()\\\s\x00-\x08\x0b\x0e-\x1f\x7f]|{_ESCAPE})*+)[ \t\n\r\f]*+(?:\)|\Z)")
_QUOTE_NEXT: Final = re.compile(r"[ \t\n\r\f]*+[\"']")
_BAD_URL: Final = re.compile(r"(?:[^)\\]|\\.)*+\)?", re.S)
_ESCAPED: Final = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})(?:\r\n|[ \t\n\r\f])?|(\r\n|.))", re.S)
_URL_FUNCTIONS: Final = frozenset(("url", "src", "image-set", "-webkit-image-set"))
_CHARSET_RULE: Final = re.compile(rb'@charset "([^"\x80-\xff]{1,64})";')


class Reference(Struct, frozen=True):
    """A URL as a sheet holds it, escapes undone; `start` and `end` enclose what `quoted` of another URL may replace."""

    start: int
    end: int
    url: str


def references(text: str) -> Iterator[Reference]:
    """Yield the URLs of a sheet or a ``style`` attribute in order: of ``url()``, ``image-set()`` and ``@import``, not of ``@namespace``."""
    functions: list[str] = []  # those that are open
    rule = ""  # the at-rule whose prelude this is
    position = 0
    while (match := _TOKEN.search(text, position)) is not None:
        position = match.end()
        if match["name"] is not None:
            name = _unescaped(match["name"]).lower()
            if match["at"]:
                rule = name
            if not match["call"]:
                continue
            if name == "url" and not _QUOTE_NEXT.match(text, position):
                position, found = _bare_url(text, position)
            else:
                functions.append(name)
                continue
        elif (string := match["double"] if match["double"] is not None else match["single"]) is not None:
            wanted = functions[-1] in _URL_FUNCTIONS if functions else rule == "import"
            found = Reference(match.start(), match.end(), _unescaped(string)) if wanted else None
        else:
            rule = _punctuation(match[0], functions, rule)
            continue
        if found is not None and rule != "namespace":
            yield found
            rule = "" if rule == "import" else rule  # what follows its URL are conditions


def _bare_url(text: str, position: int) -> tuple[int, Reference | None]:
    """Read what follows ``url(`` where no quote does."""
    match = _BARE_URL.match(text, position)
    if match is None:
        bad = _BAD_URL.match(text, position)
        return (bad.end() if bad else position), None
    return match.end(), Reference(match.start("url"), match.end("url"), _unescaped(match["url"]))


def _punctuation(mark: str, functions: list[str], rule: str) -> str:
    """Keep account of what is open; return the at-rule whose prelude goes on."""
    if mark == "(":
        functions.append("")
    elif mark == ")" and functions:
        functions.pop()
    elif mark in ("{", "}"):
        functions.clear()
    return "" if mark in ("{", "}", ";") and not functions else rule


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    if match[1] is None:
        return "" if match[2] in "\r\n\f" else match[2]
    code = int(match[1], 16)
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\N{REPLACEMENT CHARACTER}"


def quoted(url: str) -> str:
    """Return `url` as a CSS string, fit for a ``style`` element too: nothing in it ends the element."""
    plain = url.replace("\\", "\\\\").replace('"', '\\"').replace("<", "\\3c ")
    return '"' + re.sub(r"[\n\r\f\x00]", lambda match: f"\\{ord(match[0]):x} ", plain) + '"'


def rewritten(text: str, replacement: Callable[[str], str | None]) -> str:
    """Return a sheet with each URL replaced by what `replacement` returns for it; None leaves it as it is."""
    pieces: list[str] = []
    position = 0
    for reference in references(text):
        new = replacement(reference.url)
        if new is not None:
            pieces += (text[position : reference.start], quoted(new))
            position = reference.end
    return "".join([*pieces, text[position:]])


def decoded(data: bytes, charset: str | None) -> str:
    """Return a sheet's text (CSS Syntax section 3.2): a byte order mark counts, then `charset` of the header, ``@charset``, UTF-8."""
    rule = _CHARSET_RULE.match(data)
    label = charset or (rule[1].decode("ascii", "replace") if rule else None)
    name = (charsets.from_label(label) if label else None) or "UTF-8"
    if rule and not charset and name.startswith("UTF-16"):  # the rule could be read as ASCII
        name = "UTF-8"
    marked, source = charsets.determine(data[:4], None)
    name = marked if source == "bom" else name
    return charsets.to_utf8(data, name)[0].decode()
