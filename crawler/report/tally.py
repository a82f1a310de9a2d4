"""Counting with limits: the most common of many names, the greatest of many pages, how values are distributed."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Final

from crawler.model import Record
from crawler.report.model import Bin, Page

OTHERS: Final = "(others)"


class Names:
    """Counts names, at most `limit` different ones; all further names are one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one."""
        if name not in self._counts and len(self._counts) >= self._limit:
            name = OTHERS
        self._counts[name] += 1

    def ranked(self) -> dict[str, int]:
        """Return the counts, the greatest first."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))


class Top:
    """Keeps the pages with the greatest values."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, int, Page]] = []
        self._count = 0

    def add(self, value: int, record: Record) -> None:
        """Consider a page."""
        self._count += 1
        if len(self._heap) == self._size and value <= self._heap[0][0]:
            return
        page = Page(record.url, record.title, record.elapsed_ms, record.bytes)
        entry = (value, -self._count, page)  # the earlier one of two equal ones stays
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[Page]:
        """Return the pages, the greatest first."""
        return [page for _, _, page in sorted(self._heap, reverse=True, key=lambda entry: entry[:2])]


class Powers:
    """How values are distributed over bins whose width doubles: 0, 1, 2-3, 4-7, …"""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Count one."""
        self._counts[value.bit_length()] += 1

    def bins(self) -> list[Bin]:
        """Return all bins from the first that has a value to the last."""
        if not self._counts:
            return []
        return [
            Bin(1 << bits - 1 if bits else 0, 1 << bits, self._counts[bits]) for bits in range(min(self._counts), max(self._counts) + 1)
        ]


class Steps:
    """How values are distributed over bins of width one; those from `limit` on are in the last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[int] = Counter()
        self._greatest = 0

    def add(self, value: int) -> None:
        """Count one."""
        self._counts[min(value, self._limit)] += 1
        self._greatest = max(self._greatest, value)

    def bins(self) -> list[Bin]:
        """Return all bins from 0 to the last that has a value."""
        if not self._counts:
            return []
        last = max(self._counts)
        return [Bin(step, self._greatest + 1 if step == self._limit else step + 1, self._counts[step]) for step in range(last + 1)]
