"""Which links lead nowhere, and which pages hold them: found in up to four readings of the records.

A link is broken when its URL failed, when it redirects to one that did, when its redirects go in a circle, or when the fragment it names
is not in the page. Where the records have no links (``store.record_links``), only the page that named a URL first is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from crawler.model import Outcome, Reason, Record, Via
from crawler.report.model import BrokenLink, Links

MAX_FAILED: Final = 100_000
"""URLs that failed, and redirects, that are kept in mind; those beyond are counted only."""
MAX_WANTED: Final = 1_000_000
"""Links with a fragment that are kept in mind, over all pages; those beyond are not checked."""
MAX_PLACES: Final = 500_000
"""Pairs of a broken link and a page that holds it that are told, over all."""
FRAGMENT: Final = "fragment"
LOOP: Final = "redirect_loop"

_THERE: Final = frozenset((Reason.TOO_LARGE, Reason.PARSE, Reason.INTERNAL))
"""Failures of ours: the URL leads somewhere."""
_ROUTES: Final = ("/", "!")
"""Fragments that begin so are read by scripts of their page; no element has such an id."""

Records = Callable[[], Iterable[Record]]


class _Failure(Struct):
    reason: str
    status: int | None
    detail: str
    referrer: str | None
    via: str
    pages: list[str]
    page_count: int = 0
    redirects_to: str | None = None


class LinkFinder:
    """Finds broken links: each method `first` … `fourth` is to be given every record, in this order of the readings."""

    def __init__(self, *, fragments: bool = True, max_redirects: int = 10, pages_per_link: int = 10_000) -> None:
        self._fragments = fragments
        self._max_redirects = max_redirects
        self._pages_per_link = pages_per_link
        self._failed: dict[str, _Failure] = {}
        self._redirects: dict[str, tuple[str, str | None, str]] = {}  # target, referrer, via
        self._beyond: set[int] = set()  # hashes of broken links that are counted only
        self._not_checked: Counter[str] = Counter()
        self._has_links = self._has_anchors = False
        self._wanted: dict[str, set[str]] = {}  # fragments by the page that should have them
        self._wanted_count = self._unwanted = 0
        self._missing: dict[str, set[str]] = {}
        self._places = 0

    # -- readings ------------------------------------------------------------------------------------------------

    def first(self, record: Record) -> None:
        """Learn what failed and what redirects."""
        self._has_links = self._has_links or record.links is not None
        self._has_anchors = self._has_anchors or record.anchors is not None
        if record.outcome is Outcome.REDIRECTED and record.redirect_to is not None:
            if len(self._redirects) < MAX_FAILED:
                self._redirects[record.url] = (record.redirect_to, record.referrer, record.via)
        elif record.outcome is Outcome.FAILED and record.reason is not None and record.reason not in _THERE:
            self._add_failure(record.url, _failure(record))
        elif record.outcome in (Outcome.DENIED, Outcome.FAILED) and record.reason is not None:
            self._not_checked[record.reason] += 1

    def end_first(self) -> None:
        """Follow the redirects to what failed."""
        for url, (_, referrer, via) in self._redirects.items():
            end = self._follow(url)
            if end is None:
                self._add_failure(url, _Failure(LOOP, None, "redirects in a circle, or too often", referrer, via, []))
            elif (failure := self._failed.get(end)) is not None and failure.redirects_to is None:
                copy = _Failure(failure.reason, failure.status, failure.detail, referrer, via, [], redirects_to=end)
                self._add_failure(url, copy)

    def second(self, record: Record) -> None:
        """Learn which pages have links to what failed, and which fragments are wanted."""
        for link in record.links or ():
            failure = self._failed.get(link)
            if failure is not None:
                self._place(failure, record.url)
        if self._fragments and self._has_anchors:
            for link in record.fragments or ():
                self._want(link)

    def third(self, record: Record) -> None:
        """Learn which of the wanted fragments are not there."""
        wanted = self._wanted.pop(record.url, None)
        if wanted is None or record.anchors is None:
            return
        anchors = set(record.anchors)
        missing = {fragment for fragment in wanted if fragment not in anchors and unquote(fragment, errors="replace") not in anchors}
        if missing:
            self._missing[record.url] = missing

    def fourth(self, record: Record) -> None:
        """Learn which pages have links to missing fragments; needed only if `has_missing`."""
        for link in record.fragments or ():
            url, _, fragment = link.partition("#")
            end = self._follow(url)
            if end is None or fragment not in self._missing.get(end, ()):
                continue
            failure = self._failed.get(link)
            if failure is None:
                there = "" if end == url else f" in {end}, where it redirects to"
                failure = _Failure(FRAGMENT, None, f"no element has the id or name {_shown(fragment)}{there}", None, Via.LINK, [])
                if not self._add_failure(link, failure):
                    continue
            self._place(failure, record.url)

    @property
    def wants_fragments(self) -> bool:
        """Whether the third reading is needed."""
        return bool(self._wanted)

    @property
    def has_missing(self) -> bool:
        """Whether the fourth reading is needed."""
        return bool(self._missing)

    # -- results -------------------------------------------------------------------------------------------------

    def links(self) -> Links:
        """Return what was found."""
        broken = [found for url, failure in self._failed.items() if (found := self._broken(url, failure)) is not None]
        broken.sort(key=lambda link: (-link.page_count, link.url))
        return Links(
            broken,
            len(broken) + len(self._beyond),
            self._has_links,
            self._fragments and self._has_anchors,
            self._unwanted,
            dict(self._not_checked.most_common()),
        )

    def redirects(self) -> dict[str, str]:
        """Return the redirects kept in mind: what each URL redirects to."""
        return {url: target for url, (target, _, _) in self._redirects.items()}

    def _broken(self, url: str, failure: _Failure) -> BrokenLink | None:
        pages, count = failure.pages, failure.page_count
        if not count:
            if failure.via == Via.REDIRECT and failure.referrer in self._redirects:
                return None  # told of the URL that redirects here
            if failure.referrer is not None:
                pages, count = [failure.referrer], 1
        return BrokenLink(url, failure.reason, failure.status, failure.detail, failure.redirects_to, failure.via, pages, count)

    def _add_failure(self, url: str, failure: _Failure) -> bool:
        if len(self._failed) >= MAX_FAILED and url not in self._failed:
            self._beyond.add(hash(url))
            return False
        self._failed[url] = failure
        return True

    def _place(self, failure: _Failure, page: str) -> None:
        failure.page_count += 1
        if self._places < MAX_PLACES and len(failure.pages) < self._pages_per_link:
            failure.pages.append(page)
            self._places += 1

    def _want(self, link: str) -> None:
        url, _, fragment = link.partition("#")
        end = self._follow(url)
        if end is None or fragment.startswith(_ROUTES):
            return
        wanted = self._wanted.get(end)
        if wanted is not None and fragment in wanted:
            return
        if self._wanted_count >= MAX_WANTED:
            self._unwanted += 1
            return
        self._wanted_count += 1
        if wanted is None:
            self._wanted[end] = {fragment}
        else:
            wanted.add(fragment)

    def _follow(self, url: str) -> str | None:
        """Return the end of a chain of redirects, None when there is none."""
        for _ in range(self._max_redirects + 1):
            redirect = self._redirects.get(url)
            if redirect is None:
                return url
            url = redirect[0]
        return None


def find_broken(records: Records, *, fragments: bool = True, max_redirects: int = 10) -> Links:
    """Return the broken links of a crawl that follows `max_redirects` in a row; `records` is called for each reading."""
    finder = LinkFinder(fragments=fragments, max_redirects=max_redirects)
    for record in records():
        finder.first(record)
    finder.end_first()
    for record in records():
        finder.second(record)
    read_fragments(finder, records)
    return finder.links()


def read_fragments(finder: LinkFinder, records: Records) -> None:
    """Make the third and the fourth reading, as far as they are needed."""
    if finder.wants_fragments:
        for record in records():
            finder.third(record)
    if finder.has_missing:
        for record in records():
            finder.fourth(record)


def by_page(links: Links) -> dict[str, list[BrokenLink]]:
    """Return the broken links of each page, both in the order of their URLs; ``""`` stands for the seeds, which no page holds."""
    pages: dict[str, list[BrokenLink]] = {}
    for link in sorted(links.broken, key=lambda link: link.url):
        for page in link.pages or [""]:
            pages.setdefault(page, []).append(link)
    return dict(sorted(pages.items()))


def _failure(record: Record) -> _Failure:
    return _Failure(str(record.reason), record.status, record.detail or "", record.referrer, record.via, [])


def _shown(fragment: str) -> str:
    plain = unquote(fragment, errors="replace")
    return fragment if plain == fragment else f"{plain} ({fragment})"
