"""A crawl summed up: the records are read twice, and up to twice more where fragments are checked."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from crawler import url as urls
from crawler.model import Outcome, Record
from crawler.report.copies import CopyFinder, content_key
from crawler.report.links import LinkFinder, Records, read_fragments
from crawler.report.model import About, Denied, Host, Links, Redirect, ReportModel
from crawler.report.near import NearGroups
from crawler.report.tally import OTHERS, Names, Powers, Steps, Top

MAX_HOSTS: Final = 10_000
"""Hosts counted apart."""
MAX_NAMES: Final = 1000
"""Content types and languages counted apart."""
MAX_CHAIN: Final = 20
"""URLs of a chain of redirects that are told."""


class Lengths(Struct, frozen=True):
    """How much of each list a report tells."""

    pages: int = 20  # the slowest, the largest
    broken: int = 1000  # links
    pages_each: int = 10  # pages that hold a broken link, copies of a page
    redirects: int = 500
    copies: int = 500  # groups
    hosts: int = 500
    denied: int = 500


class _HostTally(Struct):
    urls: int = 0
    fetched: int = 0
    failed: int = 0
    bytes: int = 0
    asked: int = 0
    milliseconds: int = 0

    def add(self, record: Record) -> None:
        self.urls += 1
        self.fetched += record.outcome is Outcome.FETCHED
        self.failed += record.outcome is Outcome.FAILED
        self.bytes += record.bytes or 0
        if record.elapsed_ms is not None:
            self.asked += 1
            self.milliseconds += record.elapsed_ms

    def told(self, name: str) -> Host:
        mean = round(self.milliseconds / self.asked) if self.asked else None
        return Host(name, self.urls, self.fetched, self.failed, self.bytes, mean)


class _Tally:
    """What one reading of the records counts."""

    def __init__(self, lengths: Lengths) -> None:
        self.urls = self.bytes = self.denied_count = 0
        self.first_fetch: str | None = None
        self.last_fetch: str | None = None
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.redirect_statuses: Counter[str] = Counter()
        self.content_types, self.languages = Names(MAX_NAMES), Names(MAX_NAMES)
        self.depths, self.sizes, self.times = Steps(100), Powers(), Powers()
        self.slowest, self.largest = Top(lengths.pages), Top(lengths.pages)
        self.hosts: dict[str, _HostTally] = {}
        self.denied: list[Denied] = []
        self.has_simhash = False
        self._max_denied = lengths.denied

    def add(self, record: Record) -> None:
        """Take a record."""
        self.urls += 1
        self.outcomes[record.outcome] += 1
        self.depths.add(record.depth)
        self._add_host(record)
        if record.reason is not None:
            self.reasons[record.reason] += 1
        if record.status is not None:
            self.statuses[str(record.status)] += 1
        if record.elapsed_ms is not None:
            self._add_request(record, record.elapsed_ms)
        if record.outcome is Outcome.FETCHED:
            self._add_page(record)
        elif record.outcome is Outcome.REDIRECTED:
            self.redirect_statuses[str(record.status)] += 1
        elif record.outcome in (Outcome.DENIED, Outcome.SKIPPED):
            self._add_denied(record)

    def _add_host(self, record: Record) -> None:
        name = urls.netloc(record.url)
        if name not in self.hosts and len(self.hosts) >= MAX_HOSTS:
            name = OTHERS
        self.hosts.setdefault(name, _HostTally()).add(record)

    def _add_request(self, record: Record, milliseconds: int) -> None:
        self.times.add(milliseconds)
        self.slowest.add(milliseconds, record)
        if record.fetched_at is not None:
            self.first_fetch = min(self.first_fetch or record.fetched_at, record.fetched_at)
            self.last_fetch = max(self.last_fetch or record.fetched_at, record.fetched_at)

    def _add_page(self, record: Record) -> None:
        self.content_types.add(record.content_type or "(none)")
        if record.charset is not None or record.language is not None:
            self.languages.add((record.language or "(not said)").lower())
        self.has_simhash = self.has_simhash or record.simhash is not None
        if record.bytes is not None:
            self.bytes += record.bytes
            self.sizes.add(record.bytes)
            self.largest.add(record.bytes, record)

    def _add_denied(self, record: Record) -> None:
        self.denied_count += 1
        if len(self.denied) < self._max_denied:
            self.denied.append(Denied(record.url, record.reason or "", record.detail, record.referrer))


def summarise(records: Records, about: About, *, lengths: Lengths | None = None, max_redirects: int = 10) -> ReportModel:
    """Return the report on a crawl that follows `max_redirects` in a row; `records` is called for each reading."""
    parts = _Parts(lengths or Lengths(), max_redirects)
    for record in records():
        parts.first(record)
    parts.end_first()
    for record in records():
        parts.second(record)
    read_fragments(parts.finder, records)
    return parts.report(about)


class _Chains:
    """Follows redirects from those that nothing redirects to."""

    def __init__(self, redirects: dict[str, str]) -> None:
        self._redirects = redirects
        self._targets = set(redirects.values())
        self._ends: dict[str, tuple[str, int | None]] = {}

    def add(self, record: Record) -> None:
        """Learn what a chain comes to."""
        if record.url in self._targets:
            self._ends[record.url] = (record.outcome, record.status)

    def all(self) -> list[Redirect]:
        """Return the chains, the longest first; a circle that nothing leads into is told from one of its URLs."""
        found: list[Redirect] = []
        told: set[str] = set()
        for url in sorted(self._redirects, key=self._targets.__contains__):  # first those that nothing redirects to
            if url not in told:
                found.append(self._redirect(url))
                told.update(found[-1].chain)
        return sorted(found, key=lambda redirect: (-len(redirect.chain), redirect.chain[0]))

    def _redirect(self, start: str) -> Redirect:
        chain, is_loop = self._chain(start)
        end, status = ("loop", None) if is_loop else self._ends.get(chain[-1], ("not crawled", None))
        return Redirect(chain, str(end), status)

    def _chain(self, url: str) -> tuple[list[str], bool]:
        chain = [url]
        while (target := self._redirects.get(chain[-1])) is not None and len(chain) < MAX_CHAIN:
            is_loop = target in chain
            chain.append(target)
            if is_loop:
                return chain, True
        return chain, False


class _Parts:
    """What the readings feed."""

    def __init__(self, lengths: Lengths, max_redirects: int) -> None:
        self.finder = LinkFinder(max_redirects=max_redirects)
        self._lengths = lengths
        self._tally = _Tally(lengths)
        self._copies = CopyFinder(pages=lengths.pages_each)
        self._near = NearGroups()
        self._chains = _Chains({})

    def first(self, record: Record) -> None:
        """Take a record for the first time."""
        self._tally.add(record)
        self.finder.first(record)
        self._copies.first(record)

    def end_first(self) -> None:
        """Prepare for the second reading."""
        self.finder.end_first()
        self._chains = _Chains(self.finder.redirects())

    def second(self, record: Record) -> None:
        """Take a record for the second time."""
        self.finder.second(record)
        self._copies.second(record)
        self._chains.add(record)
        if record.simhash is not None and (key := content_key(record)) is not None:
            self._near.add(record.url, int(record.simhash, 16), key)

    def report(self, about: About) -> ReportModel:
        """Return what was found."""
        links = self.finder.links()
        redirects = self._chains.all()
        hosts = sorted((host.told(name) for name, host in self._tally.hosts.items()), key=lambda host: (-host.urls, host.name))
        groups = self._near.groups(pages=self._lengths.pages_each) if self._tally.has_simhash else None
        return ReportModel(
            about=about,
            urls=self._tally.urls,
            bytes=self._tally.bytes,
            first_fetch=self._tally.first_fetch,
            last_fetch=self._tally.last_fetch,
            outcomes=_ranked(self._tally.outcomes),
            reasons=_ranked(self._tally.reasons),
            statuses=_ranked(self._tally.statuses),
            links=_shortened(links, self._lengths),
            redirect_statuses=_ranked(self._tally.redirect_statuses),
            redirects=redirects[: self._lengths.redirects],
            redirect_count=len(redirects),
            slowest=self._tally.slowest.ranked(),
            largest=self._tally.largest.ranked(),
            copies=self._copies.groups(self._lengths.copies),
            copy_groups=self._copies.group_count,
            copy_pages=self._copies.page_count,
            near=None if groups is None else groups[: self._lengths.copies],
            near_groups=len(groups or ()),
            depths=self._tally.depths.bins(),
            sizes=self._tally.sizes.bins(),
            times=self._tally.times.bins(),
            content_types=self._tally.content_types.ranked(),
            languages=self._tally.languages.ranked(),
            hosts=hosts[: self._lengths.hosts],
            host_count=len(hosts),
            denied=self._tally.denied,
            denied_count=self._tally.denied_count,
            limits=_limits(self._copies, self._near, links),
        )


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _shortened(links: Links, lengths: Lengths) -> Links:
    """Return `links` with no more of them, and no more pages of each, than a report tells."""
    broken = [replace(link, pages=link.pages[: lengths.pages_each]) for link in links.broken[: lengths.broken]]
    return replace(links, broken=broken)


def _limits(copies: CopyFinder, near: NearGroups, links: Links) -> list[str]:
    said = []
    if copies.passed_over:
        said.append(f"copies were not looked for among the last {copies.passed_over} pages with contents of their own")
    if near.passed_over:
        said.append(f"{near.passed_over} pages were not compared with others for being nearly the same")
    if links.fragments_unchecked:
        said.append(f"{links.fragments_unchecked} links with a fragment were not checked")
    return said
