"""Traps: URLs whose very shape says that their site never ends. Thresholds no documentation site comes near.

Budgets per host end every trap in time; these rules end the common ones early and say why.
"""

from __future__ import annotations

from typing import Final

MAX_PATH_SEGMENTS: Final = 30
MAX_QUERY_PARAMETERS: Final = 50
MAX_SAME_IN_A_ROW: Final = 3
"""`/a/a/a` passes, `/a/a/a/a` is a trap."""
MAX_SAME_IN_ALL: Final = 5
MAX_CYCLES: Final = 2
"""`/a/b/a/b` passes, `/a/b/a/b/a/b` is a trap."""

_LONGEST_CYCLE: Final = 5  # segments


def refusal(url: str) -> str | None:
    """Return the name of the trap canonical `url` looks like, or None.

    ``trap:path_depth``: more than 30 path segments. ``trap:query_parameters``: more than 50 parameters.
    ``trap:repeated_segments``: one segment four times in a row or six times in all, or a cycle of segments three times in a row.
    Segments of digits alone are left out of the last: dates, tiles and sharded numbers repeat for good reason.
    """
    if url.count("&") >= MAX_QUERY_PARAMETERS and url.partition("?")[2].count("&") >= MAX_QUERY_PARAMETERS:
        return "trap:query_parameters"
    if url.count("/") <= 3 + MAX_SAME_IN_A_ROW - 1:  # too few segments for any of the rest
        return None
    segments = _segments(url)
    if len(segments) > MAX_PATH_SEGMENTS:
        return "trap:path_depth"
    names = [segment for segment in segments if not segment.isdigit()]
    if len(names) - len(set(names)) >= MAX_SAME_IN_A_ROW and _repeats(names):
        return "trap:repeated_segments"
    return None


def _segments(url: str) -> list[str]:
    path = url.partition("?")[0].rstrip("/")
    return path.split("/")[3:]


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
