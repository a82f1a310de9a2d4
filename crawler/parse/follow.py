"""Follow rules at work: which links of a page are followed, and with what priority."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from crawler.extract.rules import Field, FollowRule, completed, patterns
from crawler.model import PageLink
from crawler.parse.document import Node, Query, ask, xpath_query
from crawler.parse.fields import Work, compiled_query
from crawler.url import fingerprint

MAX_ADDED: Final = 10_000
"""Links that rules and hooks may add to those of a page."""

_WITHIN: Final = ".//a[@href] | .//area[@href]"


class Followed(Struct):
    """Links that rules or a hook took, each once: by URL, with the highest priority that one of them gave it."""

    links: dict[str, tuple[PageLink, int]] = {}

    def add(self, link: PageLink, priority: int) -> None:
        """Take a link."""
        known = self.links.get(link.url)
        if known is None or known[1] < priority:
            self.links[link.url] = (link, priority)


class CompiledFollow:
    """One follow rule, compiled."""

    def __init__(self, number: int, rule: FollowRule) -> None:
        """Raises ValueError for a selector that is none."""
        self.name = f"follow[{number}]"
        rule = completed(rule)
        self.priority = rule.priority
        self.only = rule.only
        self._when = [re.compile(pattern) for pattern in patterns(rule.when)]
        self._url = [re.compile(pattern) for pattern in patterns(rule.url)]
        self._query = compiled_query(Field(css=rule.css, xpath=rule.xpath))

    def applies(self, url: str) -> bool:
        """Whether the rule is for the page at `url`."""
        return not self._when or any(pattern.search(url) for pattern in self._when)

    def links(self, work: Work, links: list[PageLink]) -> list[PageLink]:
        """Return the links of the page that the rule takes, each once; `links` are all that the page is known to have."""
        known = {link.url: link for link in links}
        taken = known if self._query is None else self._selected(self._query, work, known)
        kept = [link for url, link in taken.items() if not self._url or any(pattern.search(url) for pattern in self._url)]
        work.matched(self.name, len(kept))
        return kept

    def _selected(self, query: Query, work: Work, known: dict[str, PageLink]) -> dict[str, PageLink]:
        taken: dict[str, PageLink] = {}
        try:
            matches = ask(query, work.document.root)
        except ValueError as error:
            work.fault(self.name, str(error))
            return taken
        for match in matches:
            for reference, nofollow in _references(match):
                url = work.document.resolve(reference)
                if url is not None and url not in taken:
                    taken[url] = known.get(url) or PageLink(fingerprint(url), url, nofollow)
                    if len(taken) >= MAX_ADDED:
                        work.fault(self.name, f"more than {MAX_ADDED} links; the rest is left out")
                        return taken
        return taken


def _references(match: Any) -> list[tuple[str, bool]]:
    """Return the references of what a selector matched, and whether each is nofollow: its own, or those of the links in it."""
    if not hasattr(match, "tag"):
        return [(match, False)] if isinstance(match, str) else []
    own = match.get("href")
    if own is None and match.tag in ("iframe", "frame"):
        own = match.get("src")
    if own is not None:
        return [(own, _is_nofollow(match))]
    return [(element.get("href"), _is_nofollow(element)) for element in xpath_query(_WITHIN)(match)]


def _is_nofollow(element: Node) -> bool:
    return "nofollow" in (element.get("rel") or "").lower().split()
