from __future__ import annotations

import pytest

from crawler.cli.quantities import format_bytes, format_count, format_duration, parse_duration, parse_size, plural


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("500ms", 0.5),
        ("10m", 600.0),
        ("2h30m", 9000.0),
        ("1d", 86400.0),
        (" 3S ", 3.0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "10x", "m", "1h soon", "1,5", "1e3", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "size"), [("4096", 4096), ("500k", 512000), ("10M", 10485760), ("1.5 GiB", 1610612736), ("2MB", 2097152), ("0", 0)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-5", "10X", "1 2", "ten"])
def test_what_is_no_size(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (12.2, "12 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (812, "812 B"), (14_200, "14.2 kB"), (999_600, "1.0 MB"), (123_456_789, "123 MB"), (5e15, "5000 TB")]
)
def test_sizes_are_written(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_counts() -> None:
    assert format_count(1234567) == "1,234,567"
    assert (plural(1, "page"), plural(0, "page"), plural(2, "entry", "entries")) == ("1 page", "0 pages", "2 entries")
