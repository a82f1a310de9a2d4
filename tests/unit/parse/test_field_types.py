"""Text to values: what is accepted, and that the rest is refused with a line that says why."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.parse.field_types import convert

BASE = "https://example.org/shop/"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("£51.77", 51.77),
        ("1,234.50", 1234.5),
        ("1.234,50", 1234.5),
        ("1 234,5", 1234.5),
        ("1\N{NARROW NO-BREAK SPACE}234,5 €", 1234.5),
        ("1'234", 1234.0),
        ("1,234", 1234.0),
        ("1.234", 1.234),
        ("12,5", 12.5),
        ("1.234.567", 1234567.0),
        ("USD 12", 12.0),
        ("US$ 12.50", 12.5),
        ("−3", -3.0),
        ("-5%", -5.0),
        ("1e5", 100000.0),
        (".5", 0.5),
        (7, 7.0),
    ],
)
def test_floats(text: Any, number: float) -> None:
    assert convert(text, "float", BASE) == number


@pytest.mark.parametrize(
    ("text", "number"), [("42", 42), ("1,234", 1234), (" 3.0 ", 3), ("12345678901234567890", 12345678901234567890), (9, 9), (4.0, 4)]
)
def test_integers(text: Any, number: int) -> None:
    value = convert(text, "int", BASE)
    assert value == number
    assert isinstance(value, int)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-03-05", "2024-03-05"),
        ("2024-03-05T10:00:00Z", "2024-03-05T10:00:00Z"),
        ("2024-03-05 10:00+02:00", "2024-03-05T10:00:00+02:00"),
        ("Tue, 15 Nov 1994 08:12:31 GMT", "1994-11-15T08:12:31Z"),
        ("12 Nov 1994 08:12:31 +0100", "1994-11-12T08:12:31+01:00"),
        ("5 March 2024", "2024-03-05"),
        ("5th of Mar. 2024", "2024-03-05"),
        ("05-Mar-2024", "2024-03-05"),
        ("Monday, March 5, 2024 10:30 PM", "2024-03-05T22:30:00"),
        ("March 5, 2024 at 12:05 am", "2024-03-05T00:05:00"),
        ("2024/3/5", "2024-03-05"),
        ("05.03.2024", "2024-03-05"),
        ("25/12/2024", "2024-12-25"),
        ("12/25/2024", "2024-12-25"),
        ("4/4/2024", "2024-04-04"),
    ],
)
def test_dates(text: str, day: str) -> None:
    assert convert(text, "date", BASE) == day


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        ("Yes", "bool", True),
        ("0", "bool", False),
        (True, "bool", True),
        ("../a?utm_source=x#top", "url", "https://example.org/a"),
        ("//cdn.example.org/i.png", "url", "https://cdn.example.org/i.png"),
        ('{"a": [1, 2]}', "json", {"a": [1, 2]}),
        ({"a": 1}, "json", {"a": 1}),
        (12.5, "text", "12.5"),
        (True, "text", "true"),
    ],
)
def test_other_types(value: Any, kind: str, result: Any) -> None:
    assert convert(value, kind, BASE) == result


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("free", "float", "not a number: 'free'"),
        ("22 available", "int", "a regex can cut the number out"),
        ("1.2.3", "float", "not a number"),
        ("1,23,456", "float", "not a number"),
        ("nan", "float", "not a number"),
        ("1e999", "float", "not a number"),
        (True, "int", "not a number"),
        ("1.5", "int", "not a whole number"),
        ("3/4/2024", "date", "day or month first?"),
        ("31 February 2024", "date", "no such date"),
        ("March 5, 2024 25:00", "date", "no such date"),
        ("yesterday", "date", "not a date that is known"),
        ("perhaps", "bool", "neither true nor false"),
        ("mailto:a@example.org", "url", "not a web address"),
        ("{a: 1}", "json", "not JSON"),
        ({"a": 1}, "text", "an object, not a single value"),
        ([1], "float", "a list, not a single value"),
        ("x" * 500, "float", "…'"),
    ],
)
def test_what_cannot_be_converted_says_why(value: Any, kind: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert(value, kind, BASE)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200
