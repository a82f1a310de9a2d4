"""The links of one document: deduplicated before and after they are resolved, and limited.

This is the hottest code of a crawl: a usual page repeats each link three times, shares most of them with the pages beside it, and
resolving one costs more than finding it. So spellings are deduplicated first, what they led to is remembered from page to page
(`Lately`), and plain relative paths are joined here; all else goes to `crawler.url.canonicalise`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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

_OF_FOLDER: Final = re.compile(r"/|https?://|javascript:|mailto:|data:|tel:|(?:\.\./)*+(?:[A-Za-z0-9_-][A-Za-z0-9._-]*+/?)++(?:\?|\Z)")
"""References that lead to the same URL from whatever page of a folder, as these begin: others may be a query or nothing, somehow spelt."""

_LONGEST_KEPT: Final = 256
"""Characters of a reference that `Lately` keeps."""

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
        if not reference:
            return self._base
        match = _PLAIN.fullmatch(reference) if len(reference) <= MAX_RAW_LENGTH else None
        if match is None or not self._folders:
            return canonicalise(reference, self._base)
        climb = match.end(1)
        folders = self._folders
        url = folders[max(0, len(folders) - 1 - climb // 3)] + reference[climb:]
        return url if len(url) <= MAX_URL_LENGTH else None


class Lately:
    """What references led to lately, by the folder of the page that had them: the pages of a folder have most of their links in common.

    Only those are kept that lead to the same URL from any page of a folder. It saves work and decides nothing: all is forgotten
    at once when there is too much of it.
    """

    def __init__(self, size: int = 8192) -> None:
        """Keep about `size` references (some 400 bytes each), and those of one page."""
        self._size = size
        self._kept = 0
        self._folders: dict[str, dict[str, PageLink | None]] = {}

    def of_folder(self, base: str) -> dict[str, PageLink | None]:
        """Return what is known in the folder of canonical URL `base`; None stands for what is no URL of ours."""
        if self._kept > self._size:
            self._folders.clear()
            self._kept = 0
        folder = base.partition("?")[0].rpartition("/")[0]
        return self._folders.setdefault(folder, {})

    def learn(self, known: dict[str, PageLink | None], reference: str, link: PageLink | None) -> None:
        """Add to what `of_folder` returned, if it is worth it."""
        if len(reference) <= _LONGEST_KEPT and len(known) < self._size and _OF_FOLDER.match(reference):
            known[reference] = link
            self._kept += 1


class References:
    """References as a document spells them, each once; a reference is nofollow when each of its occurrences is."""

    def __init__(self, limit: int) -> None:
        """Resolve at most `limit` to links; memory is bounded by a small multiple of that."""
        self._limit = limit
        self._room = SPELLINGS_PER_LINK * limit
        self._nofollow: dict[str, bool] = {}
        self._beyond = 0
        self.followed: set[str] = set()
        """References as given to `add`, of which another occurrence has nothing to say."""

    def add(self, reference: str, nofollow: bool) -> None:
        """Take one reference, as found in an attribute."""
        spelled = reference
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
        if not nofollow and len(self.followed) < self._room:
            self.followed.add(spelled)

    def resolve(self, base: str, lately: Lately) -> tuple[list[PageLink], int]:
        """Return the links, each once, and how many more references there were: those are not even resolved."""
        links: dict[str, PageLink] = {}
        resolver: Resolver | None = None
        known = lately.of_folder(base)
        taken = 0
        for reference, nofollow in self._nofollow.items():
            if len(links) == self._limit:
                break
            taken += 1
            link = known.get(reference)
            if link is None:
                if reference in known:
                    continue
                resolver = resolver or Resolver(base)
                link = _link(resolver.resolve(reference))
                lately.learn(known, reference, link)
                if link is None:
                    continue
            if not nofollow:
                links[link.url] = link
            elif link.url not in links:
                links[link.url] = PageLink(link.key, link.url, nofollow=True)
        kept = _within_reported(links)
        return kept, len(links) - len(kept) + len(self._nofollow) - taken + self._beyond


def _link(url: str | None) -> PageLink | None:
    return None if url is None else PageLink(fingerprint(url), url)


def _within_reported(links: dict[str, PageLink]) -> list[PageLink]:
    if len(links) * MAX_URL_LENGTH <= MAX_REPORTED:
        return list(links.values())
    room = MAX_REPORTED
    kept: list[PageLink] = []
    for url, link in links.items():
        room -= len(url)
        if room < 0:
            break
        kept.append(link)
    return kept


def make_links(urls: Iterable[str]) -> tuple[list[PageLink], int]:
    """Return canonical URLs, each once, as links within `MAX_REPORTED`, and how many did not fit."""
    links = {url: PageLink(fingerprint(url), url) for url in urls}
    kept = _within_reported(links)
    return kept, len(links) - len(kept)


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
        young, old = self._keys.generations()
        links = [link for link in parsed.links if link.key not in young and link.key not in old]
        for link in links:
            if not link.nofollow:
                self._keys.add(link.key)
        return replace(parsed, links=links)
