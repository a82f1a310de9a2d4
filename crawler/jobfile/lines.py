"""The line on which each key of a TOML or JSON text stands: their parsers keep none.

The scanner is for texts that such a parser has taken already: it knows strings, brackets and keys, and nothing of values.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from typing import Final, NamedTuple

Path = tuple[str | int, ...]
"""Keys, and numbers of list items, from the outside in."""

_BLANK: Final = re.compile(r"(?:[\s]|#[^\n]*)*")
_STRING: Final = re.compile(r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}\n#]+")


class Lines(NamedTuple):
    """`of` has the line of each key and list item; `twice` the keys that stand again, with the line where they do."""

    of: dict[Path, int]
    twice: list[tuple[Path, int]]

    def find(self, path: Path) -> int | None:
        """Return the line of a key, or that of the innermost table around it that has one."""
        while path:
            if path in self.of:
                return self.of[path]
            path = path[:-1]
        return None


def toml_lines(text: str) -> Lines:
    """Return the lines of a TOML document that a parser has read without complaint."""
    scanner = _Scanner(text)
    scanner.toml()
    return scanner.lines


def json_lines(text: str) -> Lines:
    """Return the lines of a JSON document that a parser has read without complaint."""
    scanner = _Scanner(text)
    scanner.value(())
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._counts: dict[Path, int] = {}  # tables of each array of tables so far
        self.lines = Lines({}, [])

    def toml(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._take("[["):
                table = self._next_of_array(self._keys())
                self._take("]]")
            elif self._take("["):
                table = self._within_arrays(self._keys())
                self._take("]")
            else:
                self._pair(table)
            self._skip()

    def value(self, path: Path) -> None:
        self._skip()
        self._mark(path)
        if self._take("["):
            self._list(path)
        elif self._take("{"):
            while not self._closed("}"):
                self._pair(path)
        else:
            found = _STRING.match(self._text, self._at) or _BARE_VALUE.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _list(self, path: Path) -> None:
        number = 0
        while not self._closed("]"):
            self.value((*path, number))
            number += 1

    def _closed(self, bracket: str) -> bool:
        self._skip()
        self._take(",")
        self._skip()
        return self._take(bracket) or self._at >= len(self._text)

    def _pair(self, table: Path) -> None:
        path = table
        start = self._at
        keys = self._keys()
        for key in keys:
            path = (*path, key)
            if path not in self.lines.of:
                self._mark(path, start)
            elif len(keys) == 1:  # dotted keys share their beginnings: ``a.b = 1`` and ``a.c = 2``
                self.lines.twice.append((path, self._line(start)))
        self._skip()
        _ = self._take("=") or self._take(":")
        self.value(path)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._dot():
            keys.append(self._key())
        return keys

    def _dot(self) -> bool:
        self._skip()
        return self._take(".")

    def _key(self) -> str:
        self._skip()
        start = self._at
        found = _STRING.match(self._text, start) or _BARE_KEY.match(self._text, start)
        self._at = found.end() if found else start + 1  # never stands still
        raw = self._text[start : self._at]
        if raw[:1] != '"':
            return raw.strip("'")
        try:
            return str(json.loads(raw))
        except ValueError:  # an escape that JSON lacks
            return raw[1:-1]

    def _within_arrays(self, keys: list[str]) -> Path:
        """Return the path of a table: in an array of tables, the last one so far is meant."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            self._mark(path)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _next_of_array(self, keys: list[str]) -> Path:
        array = (*self._within_arrays(keys[:-1]), keys[-1])
        number = self._counts.get(array, 0)
        self._counts[array] = number + 1
        self._mark(array)
        self._mark((*array, number))
        return (*array, number)

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _line(self, at: int) -> int:
        return bisect_left(self._ends, at) + 1

    def _mark(self, path: Path, at: int | None = None) -> None:
        if path:
            self.lines.of.setdefault(path, self._line(self._at if at is None else at))
