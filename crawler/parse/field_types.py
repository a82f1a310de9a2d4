"""What a field's text is made: numbers, dates, URLs … Each conversion raises ValueError with a line for people when it cannot be.

Nothing is guessed where two readings are common: ``03/04/2024`` is no date, since half the world reads a March and half an April.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from crawler.url import canonicalise

MAX_SHOWN: Final = 60
"""Characters of a value that a message shows."""

_MINUS: Final = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{THIN SPACE}": " "})
_CURRENCY: Final = "$\u00a2-\u00a5\u20a0-\u20c0\u0e3f"
_NUMBER: Final = re.compile(
    rf"(?:[A-Z]{{3}}|[A-Z]{{0,2}}[{_CURRENCY}])?\s*([-+]?)\s*[{_CURRENCY}]?\s*(\d[\d.,' \u2019]*|\.\d+)\s*(?:%|[{_CURRENCY}]|[A-Z]{{3}})?"
)
_PLAIN: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?", re.A)
_TRUE: Final = frozenset(("true", "yes", "y", "on", "1"))
_FALSE: Final = frozenset(("false", "no", "n", "off", "0"))


def convert(value: Any, kind: str, base: str) -> Any:
    """Return `value` (text, or what JSON-LD holds) as type `kind` of `extract.rules.TYPES`; URLs are resolved against `base`.

    Raises ValueError when it cannot be, with a line for people.
    """
    if kind == "json":
        return _json(value)
    if isinstance(value, dict | list):
        what = "an object" if isinstance(value, dict) else "a list"
        raise ValueError(f"{what}, not a single value; name one of its keys, or use type 'json'")  # noqa: TRY004
    if kind == "url":
        return _url(as_text(value), base)
    return _CONVERSIONS[kind](value if isinstance(value, bool | int | float) else str(value).strip())


def as_text(value: Any) -> str:
    """Return a scalar as text: as JSON spells it, but strings as they are."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def shown(value: Any) -> str:
    """Return a value for a message: quoted, on one line, cut."""
    text = " ".join(as_text(value).split())
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def _text(value: Any) -> str:
    return as_text(value)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d{1,1000}", value, re.A):
        return int(value)  # as long as it is: a float has no room for it
    number = _float(value)
    if not number.is_integer():
        raise ValueError(f"not a whole number: {shown(value)}")
    return int(number)


def _float(value: Any) -> float:
    """Accept ``1234.5``, ``1,234.50``, ``1.234,50``, ``1 234,5``, ``1'234``, with a currency or ``%`` on either side.

    A lone comma before exactly three digits separates thousands; a lone dot is always decimal.
    """
    if isinstance(value, bool):
        raise ValueError(f"not a number: {shown(value)}")  # noqa: TRY004
    if isinstance(value, int | float):
        return _finite(float(value), value)
    text = value.translate(_MINUS)
    if _PLAIN.fullmatch(text):
        return _finite(float(text), value)
    match = _NUMBER.fullmatch(text)
    number = _ungrouped(match[2].strip()) if match else None
    if match is None or number is None:
        hint = "; a regex can cut the number out" if any(char.isdigit() for char in text) else ""
        raise ValueError(f"not a number: {shown(value)}{hint}")
    return _finite(float(match[1] + number), value)


def _finite(number: float, value: Any) -> float:
    if not math.isfinite(number):
        raise ValueError(f"not a number: {shown(value)}")
    return number


_GROUPS: Final = re.compile(r"\d{1,3}(?:([,.' \u2019])\d{3})(?:\1\d{3})*(?:([.,])\d+)?", re.A)


def _ungrouped(text: str) -> str | None:
    """Return digits with a decimal point, without the marks between thousands; None when the marks make no sense."""
    if re.fullmatch(r"\d+(?:[.,]\d*)?|\.\d+", text, re.A) and not re.fullmatch(r"\d{1,3},\d{3}", text, re.A):
        return text.replace(",", ".")
    match = _GROUPS.fullmatch(text)
    if match is None or match[1] == match[2]:
        return None
    whole, point, fraction = text.rpartition(match[2]) if match[2] else (text, "", "")
    digits = re.sub(r"\D", "", whole)
    return f"{digits}.{fraction}" if point else digits


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = as_text(value).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"neither true nor false: {shown(value)}")


def _url(text: str, base: str) -> str:
    url = canonicalise(text.strip(), base) if text.strip() else None
    if url is None:
        raise ValueError(f"not a web address: {shown(text)}")
    return url


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {shown(value)}: {error}") from error


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_TIME: Final = (
    r"(?:(?:,|\s|T|\bat\b)+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:\s*(?P<half>[ap])\.?m\.?)?"
    r"\s*(?P<zone>utc|gmt|z)?)?"
)
_WEEKDAY: Final = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_DATES: Final = [
    re.compile(_WEEKDAY + form + _TIME, re.I | re.A)
    for form in (
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?\s*(?:of\s+)?[\s-]?{_MONTH},?[\s-]+(?P<year>\d{{4}})",
        rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
        r"(?P<year>\d{4})[/.](?P<month>\d{1,2})[/.](?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})\.\s*(?P<month>\d{1,2})\.\s*(?P<year>\d{4})",
        r"(?P<first>\d{1,2})/(?P<second_number>\d{1,2})/(?P<year>\d{4})",
    )
]


def _date(value: Any) -> str:
    """Return a date or a date with time, ISO 8601. Accepted, with or without a time of day:

    ISO 8601 and RFC 3339; RFC 5322 as in mail and HTTP; ``5 March 2024``, ``5th of Mar. 2024``, ``March 5, 2024``; ``2024/03/05``;
    ``05.03.2024`` (day first); ``25/12/2024`` or ``12/25/2024``, where only one reading is possible.
    """
    text = " ".join(as_text(value).translate(_MINUS).split())
    if re.match(r"\d{4}-?\d\d-?\d\d", text):
        try:
            return _iso(datetime.fromisoformat(text), len(text) <= 10)
        except ValueError:
            pass
    for form in _DATES:
        if match := form.fullmatch(text):
            return _from_parts(match.groupdict(), value)
    if "," in text[:5] or re.match(r"\d{1,2} [A-Za-z]{3} \d", text):
        try:
            return _iso(parsedate_to_datetime(text), day_only=False)
        except ValueError:
            pass
    raise ValueError(f"not a date that is known: {shown(value)}")


def _from_parts(parts: dict[str, str | None], value: Any) -> str:
    if parts.get("first") is not None:
        day, month = _day_and_month(int(parts["first"] or 0), int(parts["second_number"] or 0), value)
    else:
        name = (parts["month"] or "").lower()
        month = int(name) if name.isdigit() else _MONTHS.index(name[:3]) + 1
        day = int(parts["day"] or 0)
    hour = int(parts["hour"] or 0)
    if parts["half"] and 1 <= hour <= 12:
        hour = hour % 12 + (12 if parts["half"].lower() == "p" else 0)
    try:
        moment = datetime(int(parts["year"] or 0), month, day, hour, int(parts["minute"] or 0), int(parts["second"] or 0))
    except ValueError as error:
        raise ValueError(f"no such date: {shown(value)}") from error
    return _iso(moment, day_only=parts["hour"] is None) + ("Z" if parts["zone"] else "")


def _day_and_month(first: int, second: int, value: Any) -> tuple[int, int]:
    if first <= 12 and second <= 12 and first != second:
        raise ValueError(f"day or month first? {shown(value)}; a regex or another attribute may tell it clearly")
    return (second, first) if second > 12 else (first, second)


def _iso(moment: datetime, day_only: bool) -> str:
    return moment.date().isoformat() if day_only else moment.isoformat().replace("+00:00", "Z")


_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "text": _text,
    "html": _text,
    "int": _integer,
    "float": _float,
    "bool": _boolean,
    "date": _date,
}
