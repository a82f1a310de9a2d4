"""What a crawl has come to: counted inside the transactions, so the figures are as exact as the records."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec import Struct

from crawler.model import Kind, Outcome, Record
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

    def count(self, record: Record, kind: Kind) -> None:
        """Add one record."""
        _add(self.outcomes, record.outcome)
        if record.reason is not None:
            _add(self.reasons, record.reason)
        if record.status is not None:
            _add(self.statuses, str(record.status))
        self.bytes += record.bytes or 0
        if record.outcome is Outcome.FETCHED and kind is Kind.PAGE:
            self.pages += 1

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
        )

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Counters:
        """Read the counters of a home."""
        stored = read_meta(connection, "counters")
        return msgspec.convert(stored, cls) if stored else cls()

    def store(self, connection: sqlite3.Connection) -> None:
        """Write the counters in the open transaction."""
        write_meta(connection, "counters", self)


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
