"""Links that did not pass the door: kept for `crawl why`, and for the day the scope grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from crawler import url as urls
from crawler.frontier.rows import read_rows, write_rows
from crawler.frontier.sqlite import Candidate
from crawler.model import Kind, Link, Via
from crawler.policy.admit import NOFOLLOW_RULE
from crawler.policy.scope import SCOPE_RULES

KEPT: Final = 1_000_000
"""Rows; refusals beyond are counted, each time they occur, and not kept."""


class Refusal(Struct, frozen=True):
    """A link that did not pass the door, and the rule that decided."""

    key: int
    url: str
    rule: str
    referrer: str | None
    depth: int = 0  # it would have had


class RefusedLinks:
    """The table ``refused``; used by the writer thread alone, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection`."""
        self._db = connection
        self._kept: int = connection.execute("SELECT count(*) FROM refused").fetchone()[0]

    def add(self, refused: Iterable[Refusal], counts: dict[str, int]) -> None:
        """Keep refusals that are new and count them by rule. A rule about the URL replaces nofollow, which is about one link."""
        refused = list(refused)
        known = self._known({refusal.key for refusal in refused}) if self._kept < KEPT else {}
        new, again = [], []
        for refusal in refused:
            if self._kept < KEPT and refusal.key in known:
                again.append(refusal)
                continue
            if self._kept < KEPT:
                known[refusal.key] = refusal.rule, refusal.depth
                new.append((refusal.key, refusal.url, refusal.rule, refusal.referrer, refusal.depth))
                self._kept += 1
            counts[refusal.rule] = counts.get(refusal.rule, 0) + 1
        write_rows(self._db, "INSERT INTO refused (key, url, rule, referrer, depth) VALUES {rows}", new)
        for refusal in again:
            self._change(refusal, known, counts)

    def _known(self, keys: set[int]) -> dict[int, tuple[str, int]]:
        """Return (rule, depth) of those that are kept."""
        sql = "WITH j (key) AS (VALUES {rows}) SELECT r.key, r.rule, r.depth FROM j JOIN refused r ON r.key = j.key"
        return {key: (rule, depth) for key, rule, depth in read_rows(self._db, sql, [(key,) for key in keys])}

    def _change(self, refusal: Refusal, known: dict[int, tuple[str, int]], counts: dict[str, int]) -> None:
        rule, depth = known[refusal.key]
        if refusal.rule == NOFOLLOW_RULE:
            return
        if rule == NOFOLLOW_RULE:
            row = (refusal.rule, refusal.referrer, refusal.depth, refusal.key)
            self._db.execute("UPDATE refused SET rule = ?, referrer = ?, depth = ? WHERE key = ?", row)
            counts[NOFOLLOW_RULE] = counts.get(NOFOLLOW_RULE, 1) - 1
            counts[refusal.rule] = counts.get(refusal.rule, 0) + 1
            known[refusal.key] = refusal.rule, refusal.depth
        elif refusal.depth < depth:
            self._db.execute("UPDATE refused SET depth = ? WHERE key = ?", (refusal.depth, refusal.key))
            known[refusal.key] = rule, refusal.depth

    def reconsider(self, admits: Callable[[Link], bool], counts: dict[str, int]) -> list[Candidate]:
        """Take back refusals of the scope that it would not refuse now, and return them as candidates.

        A seed that redirects to another site extends the scope. Whether other seeds' links to that site were seen before or after that
        is a matter of timing; the set crawled must not be.
        """
        marks = ", ".join("?" * len(SCOPE_RULES))
        rows = self._db.execute(f"SELECT key, url, rule, referrer, depth FROM refused WHERE rule IN ({marks})", SCOPE_RULES)
        found = []
        for key, url, rule, referrer, depth in rows.fetchall():
            if admits(Link(url, Via.LINK, depth, referrer)):
                self._db.execute("DELETE FROM refused WHERE key = ?", (key,))
                self._kept -= 1
                counts[rule] -= 1
                found.append(Candidate(key, url, urls.host(url), Kind.PAGE, Via.LINK, depth, 0, referrer))
        return found
