"""Traps: URLs whose very shape says that their site never ends. Thresholds no documentation site comes near.

Budgets per host end every trap in time; these rules end the common ones early and say why. Those that need a memory of the pages
before are in `endless`, session ids in `sessions`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

MAX_PATH_SEGMENTS: Final = 30
MAX_QUERY_PARAMETERS: Final = 50
MAX_SAME_IN_A_ROW: Final = 3
"""`/a/a/a` passes, `/a/a/a/a` is a trap."""
MAX_SAME_IN_ALL: Final = 5
MAX_CYCLES: Final = 2
"""`/a/b/a/b` passes, `/a/b/a/b/a/b` is a trap."""
MAX_SAME_PARAMETERS: Final = 3
"""`?a=1&a=1&a=1` passes, once more is a trap; `?a=1&a=2&…` is none."""
MAX_NESTED_QUERIES: Final = 2
"""`?next=/a?next=/b?next=/c` passes, one more inside is a trap."""
YEARS_AHEAD: Final = 5

_LONGEST_CYCLE: Final = 5  # segments
_ESCAPE_ROUNDS: Final = 4  # a query in a query in a query is escaped so often
_NESTED_QUERY: Final = re.compile(r"\?[\w.\[\]-]{1,64}=")
_PARAMETER: Final = re.compile(r"(?:(?<=[?&])|^)[^?&=]{1,64}=[^?&]+")
_DATE: Final = re.compile(r"[/=](2\d{3})(?:-(?:0[1-9]|1[0-2])|/0[1-9]|/1[0-2]/(?:0[1-9]|[12]\d|3[01]))(?!\d)")
_YEAR: Final = re.compile(r"[?&](?:\w*[_\[])?year\]?=(\d{4,9})(?!\d)", re.I)
_MONTH: Final = re.compile(r"[?&](?:\w*[_\[])?(?:month|week|day)\]?=\d", re.I)
_CALENDAR_WORDS: Final = ("calend", "kalend", "agenda", "event", "schedule", "date=", "month", "week=", "day=", "/week/", "/day/")


def refusal(url: str, latest_year: int | None = None) -> str | None:
    """Return the name of the trap canonical `url` looks like, or None.

    ``trap:path_depth``: more than 30 path segments. ``trap:query_parameters``: more than 50 parameters.
    ``trap:repeated_segments``: one segment four times in a row or six times in all, or a cycle of segments three times in a row.
    Segments of digits alone are left out of the last: dates, tiles and sharded numbers repeat for good reason.
    ``trap:growing_query``: one parameter with one value four times, or a query inside the query, three deep (`?next=/a?next=…`).
    ``trap:calendar``: a month or day after `latest_year` (None: not asked) in a URL that speaks of a calendar.
    """
    if "?" in url:
        head, _, query = url.partition("?")
        trap = _query_refusal(query)
        if trap is not None:
            return trap
    else:
        head = url
    if latest_year is not None and ("/2" in url or "=" in url) and _is_far_off(url, latest_year):
        return "trap:calendar"
    if head.count("/") <= 3 + MAX_SAME_IN_A_ROW - 1:  # too few segments for any of the rest
        return None
    return _path_refusal(head)


def speaks_of_a_calendar(url: str) -> bool:
    """Return whether there is a word of calendars in `url`."""
    url = url.lower()
    for word in _CALENDAR_WORDS:  # noqa: SIM110 (a third of what a regular expression costs, half of what `any` does)
        if word in url:
            return True
    return False


def _query_refusal(query: str) -> str | None:
    parameters = query.count("&") + 1
    if parameters > MAX_QUERY_PARAMETERS:
        return "trap:query_parameters"
    if parameters <= MAX_SAME_PARAMETERS and "?" not in query and "%3F" not in query and "%25" not in query:
        return None
    for _ in range(_ESCAPE_ROUNDS):
        if "%" not in query:
            break
        query = unquote(query, errors="replace")
    if len(_NESTED_QUERY.findall(query)) > MAX_NESTED_QUERIES:
        return "trap:growing_query"
    pairs = _PARAMETER.findall(query)
    if len(pairs) - len(set(pairs)) >= MAX_SAME_PARAMETERS and any(pairs.count(pair) > MAX_SAME_PARAMETERS for pair in set(pairs)):
        return "trap:growing_query"
    return None


def _is_far_off(url: str, latest_year: int) -> bool:
    date = _DATE.search(url)
    if date is not None:
        return int(date[1]) > latest_year and speaks_of_a_calendar(url)
    year = _YEAR.search(url) if "year" in url else None
    return year is not None and int(year[1]) > latest_year and _MONTH.search(url) is not None


def _path_refusal(head: str) -> str | None:
    segments = head.rstrip("/").split("/")[3:]
    if len(segments) > MAX_PATH_SEGMENTS:
        return "trap:path_depth"
    names = [segment for segment in segments if not segment.isdigit()]
    if len(names) - len(set(names)) >= MAX_SAME_IN_A_ROW and _repeats(names):
        return "trap:repeated_segments"
    return None


def _repeats(names: list[str]) -> bool:
    if any(names.count(name) > MAX_SAME_IN_ALL for name in set(names)):
        return True
    return any(_longest_run(names, period) >= _allowed_run(period) for period in range(1, _LONGEST_CYCLE + 1))


def _allowed_run(period: int) -> int:
    """Return how many segments in a row may not equal the one `period` before them."""
    return MAX_SAME_IN_A_ROW if period == 1 else MAX_CYCLES * period


def _longest_run(names: list[str], period: int) -> int:
    longest = run = 0
    for index in range(period, len(names)):
        run = run + 1 if names[index] == names[index - period] else 0
        longest = max(longest, run)
    return longest
