"""What a crawl has come to: counted inside the transactions, so the figures are as exact as the records."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from crawler.model import Extras, Kind, Outcome, Record
from crawler.store.schema import read_meta, write_meta


class Counters(Struct):
    """Totals over all runs of a crawl."""

    outcomes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    statuses: dict[str, int] = {}
    refused: dict[str, int] = {}  # by the rule that decided
    admitted: int = 0
    retries: int = 0
    bytes: int = 0  # decoded
    elapsed: float = 0.0  # seconds, of all runs together

    pages: int = 0  # fetched and not a sitemap: what `max_pages` counts
    items: dict[str, int] = {}  # by type
    faults: dict[str, int] = {}  # of extraction, by rule

    def count_extras(self, found: Iterable[Extras]) -> None:
        """Add what was taken from the pages of a batch."""
        for extras in found:
            _add(self.items, [item.type for item in extras.items])
            _add(self.faults, [rule for rule, _ in extras.faults])

    def count(self, found: Sequence[tuple[Record, Kind]]) -> None:
        """Add the records of a batch, each with what its URL was fetched as."""
        _add(self.outcomes, [record.outcome for record, _ in found])
        _add(self.reasons, [record.reason for record, _ in found if record.reason is not None])
        _add(self.statuses, [record.status for record, _ in found if record.status is not None])
        self.bytes += sum([record.bytes or 0 for record, _ in found])
        self.pages += sum([record.outcome is Outcome.FETCHED and kind is Kind.PAGE for record, kind in found])

    @property
    def done(self) -> int:
        """URLs that have an outcome."""
        return sum(self.outcomes.values())

    @property
    def queued(self) -> int:
        """URLs that have none yet."""
        return self.admitted - self.done

    def copy(self) -> Counters:
        """Return a copy that can be changed apart."""
        return Counters(
            dict(self.outcomes),
            dict(self.reasons),
            dict(self.statuses),
            dict(self.refused),
            self.admitted,
            self.retries,
            self.bytes,
            self.elapsed,
            self.pages,
            dict(self.items),
            dict(self.faults),
        )

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Counters:
        """Read the counters of a home."""
        stored = read_meta(connection, "counters")
        return msgspec.convert(stored, cls) if stored else cls()

    def store(self, connection: sqlite3.Connection) -> None:
        """Write the counters in the open transaction."""
        write_meta(connection, "counters", self)


def _add(counts: dict[str, int], names: list[Any]) -> None:
    for name, count in Counter(names).items():
        counts[str(name)] = counts.get(str(name), 0) + count
