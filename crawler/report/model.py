"""What a report holds. Its JSON form is this, field by field; URLs are canonical, times in seconds unless a name says otherwise."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class About(Struct, frozen=True):
    """Which crawl it is and how it stands."""

    home: str
    state: str  # "running", "stopped", "finished"
    seeds: list[str]
    settings: dict[str, Any]  # by "section.key", those that differ from the defaults
    queued: int = 0
    retries: int = 0
    elapsed: float = 0.0  # of all runs together
    refused: dict[str, int] = {}  # links that never entered, by the rule that decided
    items: dict[str, int] = {}  # taken from pages, by type
    faults: dict[str, int] = {}  # of extraction, by rule


class BrokenLink(Struct, frozen=True):
    """A link that leads nowhere, and the pages that hold it."""

    url: str  # with its fragment where that is what is missing
    reason: str  # as `model.Reason`, or "fragment", "redirect_loop"
    status: int | None
    detail: str
    redirects_to: str | None  # the URL that failed, where the link itself redirects
    via: str  # how it was first reached
    pages: list[str]  # not all, where `page_count` is greater
    page_count: int


class Links(Struct, frozen=True):
    """Every link that leads nowhere."""

    broken: list[BrokenLink]  # by the number of pages that hold it
    broken_count: int  # greater than the list is long where that was cut
    all_pages: bool  # whether all pages with a broken link are told, or only that which named it first
    fragments_checked: bool
    fragments_unchecked: int  # beyond the limit of those that are kept in mind
    not_checked: dict[str, int]  # URLs that may or may not be broken, by reason: robots.txt forbids them, …


class Redirect(Struct, frozen=True):
    """A redirect that nothing redirects to, and what it comes to."""

    chain: list[str]  # from the first URL to the last
    end: str  # outcome of the last, "loop", or "not crawled"
    status: int | None  # of the last


class Page(Struct, frozen=True):
    """A page in a list of the slowest, or the largest."""

    url: str
    title: str | None
    elapsed_ms: int | None
    bytes: int | None


class Copies(Struct, frozen=True):
    """Pages that say the same."""

    urls: list[str]  # not all, where `count` is greater
    count: int
    bytes: int | None = None  # of each


class Host(Struct, frozen=True):
    """What came from one host."""

    name: str
    urls: int
    fetched: int
    failed: int
    bytes: int
    mean_ms: int | None


class Bin(Struct, frozen=True):
    """One bar of a distribution: values from `start` up to `end`, without it."""

    start: int
    end: int
    count: int


class Denied(Struct, frozen=True):
    """A URL that was not asked for, or whose answer was not wanted."""

    url: str
    reason: str
    detail: str | None
    referrer: str | None


class ReportModel(Struct, frozen=True):
    """The whole report."""

    about: About
    urls: int
    bytes: int  # decoded
    first_fetch: str | None  # UTC, ISO 8601
    last_fetch: str | None
    outcomes: dict[str, int]
    reasons: dict[str, int]
    statuses: dict[str, int]
    links: Links
    redirect_statuses: dict[str, int]
    redirects: list[Redirect]  # the longest first
    redirect_count: int
    slowest: list[Page]
    largest: list[Page]
    copies: list[Copies]
    copy_groups: int
    copy_pages: int  # pages that are a copy of another: they could be left out
    near: list[Copies] | None  # None: SimHashes were not recorded
    near_groups: int
    depths: list[Bin]
    sizes: list[Bin]  # bytes, decoded
    times: list[Bin]  # milliseconds
    content_types: dict[str, int]
    languages: dict[str, int]
    hosts: list[Host]
    host_count: int
    denied: list[Denied]
    denied_count: int
    limits: list[str]  # what was cut, in words
