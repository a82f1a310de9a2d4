"""The links of one document: deduplicated before and after they are resolved, and limited.

This is the hottest code of a crawl: a usual page repeats each link three times, and resolving one costs more than finding it.
So spellings are deduplicated first, and plain relative paths are joined here; all else goes to `crawler.url.canonicalise`.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from crawler.model import PageLink, Parsed
from crawler.policy.directives import follows
from crawler.recent import RecentKeys
from crawler.url import MAX_RAW_LENGTH, MAX_URL_LENGTH, canonicalise, fingerprint

MAX_REPORTED: Final = 32 * 1024 * 1024
"""Characters of URLs that one document may report; the rest counts as dropped."""

SPELLINGS_PER_LINK: Final = 4
"""Different references kept for each link that may come of them; what comes after so many is counted as dropped."""

_PLAIN: Final = re.compile(r"((?:\.\./)*+)(?:[A-Za-z0-9_-][A-Za-z0-9._-]*+/?)++")
"""A relative path that the URL standard leaves as it is: no scheme, query, escape, backslash or dot segment but leading ``../``."""

_SPACE: Final = "\t\n\f\r "


class Resolver:
    """Resolves references against one base (a canonical URL), always to what `canonicalise(reference, base)` returns."""

    def __init__(self, base: str) -> None:
        self._base = base
        path = base.partition("?")[0]
        root = path.find("/", 8)
        self._folders = [path[: index + 1] for index in range(root, len(path)) if path[index] == "/"] if root > 0 else []

    def resolve(self, reference: str) -> str | None:
        """Return the canonical URL of `reference`, None when it is not one of ours; no fragment may be in it."""
        match = _PLAIN.fullmatch(reference) if len(reference) <= MAX_RAW_LENGTH else None
        if match is None or not self._folders:
            return canonicalise(reference, self._base)
        climb = match.end(1)
        folders = self._folders
        url = folders[max(0, len(folders) - 1 - climb // 3)] + reference[climb:]
        return url if len(url) <= MAX_URL_LENGTH else None


class References:
    """References as a document spells them, each once; a reference is nofollow when each of its occurrences is."""

    def __init__(self, limit: int) -> None:
        """Resolve at most `limit` to links; memory is bounded by a small multiple of that."""
        self._limit = limit
        self._room = SPELLINGS_PER_LINK * limit
        self._nofollow: dict[str, bool] = {}
        self._beyond = 0

    def add(self, reference: str, nofollow: bool) -> None:
        """Take one reference, as found in an attribute."""
        cut = reference.find("#")
        if cut >= 0:
            reference = reference[:cut]
        reference = reference.strip(_SPACE)
        before = self._nofollow.get(reference)
        if before is None:
            if len(self._nofollow) >= self._room:
                self._beyond += 1
                return
            before = True
        self._nofollow[reference] = nofollow and before

    def resolve(self, resolver: Resolver) -> tuple[list[PageLink], int]:
        """Return the links, each once, and how many more references there were: those are not even resolved."""
        urls: dict[str, bool] = {}
        taken = 0
        for reference, nofollow in self._nofollow.items():
            if len(urls) == self._limit:
                break
            taken += 1
            url = resolver.resolve(reference)
            if url is not None:
                urls[url] = nofollow and urls.get(url, True)
        links, dropped = make_links(urls)
        return links, dropped + len(self._nofollow) - taken + self._beyond


def make_links(urls: dict[str, bool]) -> tuple[list[PageLink], int]:
    """Return canonical URLs (and whether they are nofollow) as links, within `MAX_REPORTED`, and how many did not fit."""
    links: list[PageLink] = []
    room = MAX_REPORTED
    for url, nofollow in urls.items():
        room -= len(url)
        if room < 0:
            break
        links.append(PageLink(fingerprint(url), url, nofollow))
    return links, len(urls) - len(links)


class Reported:
    """The links that this worker has reported lately: a site's pages repeat them by the hundred, and each costs the reactor time.

    A link is left out only where the page that reported it is sure to be followed: never one that was reported as nofollow or on a page
    that says nofollow. The parent asks for it where no depth matters (`frames.ToParse.only_new_links`).
    """

    def __init__(self) -> None:
        self._keys = RecentKeys()

    def only_new(self, parsed: Parsed) -> Parsed:
        """Return `parsed` without the links that were reported before, and note its own."""
        if not parsed.links or not follows(parsed.robots):
            return parsed
        known = self._keys
        links = [link for link in parsed.links if link.key not in known]
        for link in links:
            if not link.nofollow:
                known.add(link.key)
        return replace(parsed, links=links)
