"""Links that did not pass the door: kept for `crawl why`, and for the day the scope grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from crawler import url as urls
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
        for refusal in refused:
            if self._kept < KEPT and not self._keep(refusal, counts):
                continue
            counts[refusal.rule] = counts.get(refusal.rule, 0) + 1

    def _keep(self, refusal: Refusal, counts: dict[str, int]) -> bool:
        row = (refusal.key, refusal.url, refusal.rule, refusal.referrer, refusal.depth)
        if self._db.execute("INSERT OR IGNORE INTO refused (key, url, rule, referrer, depth) VALUES (?, ?, ?, ?, ?)", row).rowcount:
            self._kept += 1
            return True
        if refusal.rule == NOFOLLOW_RULE:
            return False
        self._db.execute("UPDATE refused SET depth = ? WHERE key = ? AND depth > ?", (refusal.depth, refusal.key, refusal.depth))
        changed = self._db.execute(
            "UPDATE refused SET rule = ?, referrer = ?, depth = ? WHERE key = ? AND rule = ?", (*row[2:], refusal.key, NOFOLLOW_RULE)
        ).rowcount
        if changed:
            counts[NOFOLLOW_RULE] = counts.get(NOFOLLOW_RULE, 1) - 1
        return bool(changed)

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
