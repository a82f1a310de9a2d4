"""Pages that are exact copies of each other, by their digests, found in two readings."""

from __future__ import annotations

from typing import Final

from crawler.model import Outcome, Record
from crawler.report.model import Copies

MAX_PAGES: Final = 1_000_000
"""Pages with different contents that are kept in mind (100 bytes each); copies of later ones are not found."""
MAX_GROUPS: Final = 50_000
"""Groups of which pages are told."""


class CopyFinder:
    """Finds copies: `first` and `second` are to be given every record, one after the other."""

    def __init__(self, *, pages: int) -> None:
        """`pages`: URLs told of each group."""
        self._pages = pages
        self._seen: set[int] = set()
        self._groups: dict[int, Copies] = {}
        self._counts: dict[int, int] = {}
        self.passed_over = 0

    def first(self, record: Record) -> None:
        """Learn which contents come more than once."""
        key = content_key(record)
        if key is None:
            return
        if key in self._seen:
            self._counts[key] = self._counts.get(key, 1) + 1
        elif len(self._seen) < MAX_PAGES:
            self._seen.add(key)
        else:
            self.passed_over += 1

    def second(self, record: Record) -> None:
        """Learn the URLs of these."""
        if not self._counts or (key := content_key(record)) is None or key not in self._counts:
            return
        self._seen.clear()
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) < MAX_GROUPS:
                self._groups[key] = Copies([record.url], self._counts[key], record.bytes)
        elif len(group.urls) < self._pages:
            group.urls.append(record.url)

    @property
    def group_count(self) -> int:
        """Groups of copies."""
        return len(self._counts)

    @property
    def page_count(self) -> int:
        """Pages that could be left out: all of a group but one."""
        return sum(self._counts.values()) - len(self._counts)

    def groups(self, limit: int) -> list[Copies]:
        """Return the `limit` groups with most pages."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.urls[0]))[:limit]


def content_key(record: Record) -> int | None:
    """Return 64 bits of a fetched page's digest, None when there is no page, or nothing in it."""
    if record.outcome is not Outcome.FETCHED or not record.digest or not record.bytes:
        return None
    return int(record.digest[:16], 16)
