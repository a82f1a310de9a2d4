"""Times and sizes as people write and read them: ``10m``, ``2h30m``, ``10M``."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", re.I)
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def parse_duration(text: str) -> float | None:
    """Return the seconds that `text` names (``90``, ``1.5h``, ``2h30m``), or None when it is no duration."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?|\.\d+", text):
        return float(text)
    if not text or _DURATION_PART.sub("", text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_size(text: str) -> int | None:
    """Return the bytes that `text` names (``4096``, ``500k``, ``10M``; powers of 1024), or None when it is no size."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


class Duration(click.ParamType[Any]):
    """An option's value in seconds; `positive` refuses zero."""

    name = "time"

    def __init__(self, *, positive: bool = False) -> None:
        self._positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration. Fails as click does."""
        seconds = parse_duration(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a time; write seconds, or like 500ms, 90s, 10m, 2h30m", param, ctx)
        if self._positive and seconds <= 0:
            self.fail("must be more than 0", param, ctx)
        return seconds


class Size(click.ParamType[Any]):
    """An option's value in bytes, at least one."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a size. Fails as click does."""
        size = parse_size(str(value))
        if size is None:
            self.fail(f"{value!r} is not a size; write bytes, or like 500k, 10M, 1G", param, ctx)
        if size < 1:
            self.fail("must be at least 1 byte", param, ctx)
        return size


def format_duration(seconds: float) -> str:
    """Return ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, lower, part in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < size * {"min": 60, "h": 24, "d": 1_000_000}[unit]:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {lower}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def format_bytes(count: float) -> str:
    """Return ``812 B``, ``14.2 kB``, ``3.1 GB`` (powers of 1000, as disks are sold)."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 99.95 else f"{count:.1f} {_UNITS[unit]}"


def format_count(count: float) -> str:
    """Return a whole number in groups of three: ``12,345``."""
    return f"{count:,.0f}"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return ``1 page``, ``2 pages``."""
    return f"{format_count(count)} {noun if count == 1 else nouns or noun + 's'}"
