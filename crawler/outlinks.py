"""What a visit leads to: where it is redirected, the URLs that its page names, what the page needs to be shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crawler import url as urls
from crawler.model import Extras, Kind, Link, PageLink, Parsed, Task, Via
from crawler.recent import RecentKeys

Outlink = tuple[Link, int, bool]
"""A link before it has passed the door, its key, and whether its page asks that it be not followed."""

_NO_EXTRAS: Final = Extras()


def outlinks(
    task: Task,
    parsed: Parsed,
    extras: Extras | None,
    *,
    refresh: str | None,
    recent: RecentKeys | None,
    follow: bool,
    obey_nofollow: bool,
) -> Iterator[Outlink]:
    """Yield what a page that was fetched leads to, but for links whose keys are in `recent`.

    `refresh` is the target of a Refresh header, canonical; `follow`: the page as a whole lets its links be followed; `obey_nofollow`:
    single links, too, may ask not to be.
    """
    extras = extras or _NO_EXTRAS
    refresh = refresh or parsed.refresh  # as in browsers, the header comes first
    if refresh is not None and refresh != task.url:
        yield hop(task, refresh)
    if parsed.canonical is not None and parsed.canonical != task.url:
        yield Link(parsed.canonical, Via.CANONICAL, task.depth, task.url), urls.fingerprint(parsed.canonical), False
    via, depth = (Via.SITEMAP, 1) if task.kind is Kind.SITEMAP else (Via.LINK, task.depth + 1)
    first = dict(extras.priorities)
    for link in _new(parsed.links, recent):
        found = Link(link.url, via, depth, task.url, priority=first.get(link.key, 0) if first else 0)
        yield found, link.key, not follow or (obey_nofollow and link.nofollow)
    hops = task.hops + 1 if task.kind is Kind.REQUISITE else 0  # of sheets that import sheets
    for needed in _new(extras.requisites, recent):
        yield Link(needed.url, Via.REQUISITE, task.depth, task.url, hops, Kind.REQUISITE), needed.key, False
    for sitemap in parsed.sitemaps:
        yield Link(sitemap.url, Via.SITEMAP, task.depth + 1, task.url, kind=Kind.SITEMAP), sitemap.key, False


def hop(task: Task, target: str) -> Outlink:
    """Return the link of a redirect: as deep as its source, one hop further; that of a probe may lead back into the scope."""
    kind = Kind.PAGE if task.kind is Kind.PROBE else task.kind
    return Link(target, Via.REDIRECT, task.depth, task.url, task.hops + 1, kind), urls.fingerprint(target), False


def _new(links: list[PageLink], recent: RecentKeys | None) -> Iterator[PageLink]:
    return iter(links) if recent is None else (link for link in links if link.key not in recent)
