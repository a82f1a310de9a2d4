"""The one door: seeds, links, redirects, refreshes and sitemap entries enter the crawl here or not at all.

What the door cannot know, *seen before?* and *budget left?*, the frontier answers inside its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crawler import url as urls
from crawler.config import Settings
from crawler.model import Kind, Link, Via
from crawler.policy import traps
from crawler.policy.endless import ENDLESS_RULE, SAME_CONTENT_RULE
from crawler.policy.scope import Rule, Scope
from crawler.policy.sessions import without_session

DEPTH_RULE: Final = "depth"
"""The last rule asked: a link it refuses has passed all others, and may come in when a shorter path is found."""
REDIRECTS_RULE: Final = "redirects"
NOFOLLOW_RULE: Final = "nofollow"
"""Not asked here: about a link that its page does not vouch for, `visit` asks no other rule."""
SESSION_RULE: Final = "trap:session_id"
"""Who brings the link then brings `sessions.without_session` of it, in its place."""
REQUISITES_RULE: Final = "requisites"
"""What a page needs to be shown is not wanted: the setting ``scope.requisites`` is off."""
SITEMAP_NESTING_RULE: Final = "trap:sitemap_nesting"
IMPORTS_RULE: Final = "trap:imports"
"""Style sheets import style sheets, each another one: like redirects in a row, and as many are let in."""
LINK_RULES: Final = frozenset((NOFOLLOW_RULE, REDIRECTS_RULE, IMPORTS_RULE, ENDLESS_RULE, SAME_CONTENT_RULE))
"""They decide about one link: another page's link to the same URL may pass."""
TRAPS_RULE: Final = "trap"
"""What `Door.explain` calls the question that all ``trap:…`` rules answer, when none of them refuses."""

_WITHOUT_SESSION: Final = frozenset((Via.LINK, Via.SITEMAP, Via.CANONICAL))

MAX_SITEMAP_DEPTH: Final = 5
"""Sitemap indexes may not nest at all (sitemaps.org); some do, once. Endless ones are a trap."""


class Door:
    """Decides about each link found, in the order: session ids, scope, traps, redirects, depth.

    `depth` is the greatest depth let in (None: any), `max_redirects` the greatest number of redirects in a row. Special cases:

    - A seed passes the scope's site and ``include``, not ``exclude``, and is no trap: somebody asked for it.
    - Where a seed redirects to passes like a seed and *extends the scope* by its site: somebody who names ``example.com``
      expects ``www.example.com``. A resumed crawl must extend its scope again by every stored URL that is a redirect of depth 0.
    - A redirect's target may have a session id, see `sessions`.
    - A sitemap may lie elsewhere if robots.txt names it, or beside the index that lists it. The pages it lists are judged as
      any link. Sitemaps have no page depth; they may be nested five deep.
    - What a page needs to be shown comes in from any site and at any depth if `requisites` is set, else not at all; of the scope,
      ``exclude`` alone is asked, and it is no trap: no links of it are followed, but what style sheets import, some sheets deep.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        depth: int | None,
        max_redirects: int,
        traps: bool = True,
        latest_year: int | None = None,
        requisites: bool = False,
    ) -> None:
        self._scope = scope
        self._depth = depth
        self._max_redirects = max_redirects
        self._traps = traps
        self._latest_year = latest_year
        self._requisites = requisites
        self.extensions = 0
        """How often the scope has grown."""

    def admit(self, link: Link) -> str | None:
        """Return the name of the rule that refuses `link`, or None: it may enter."""
        for rule, passed in self._ask(link):
            if not passed:
                return rule
        if link.depth == 0 and self._is_seed_redirect(link):
            self.extensions += self._scope.extend(link.url)
        return None

    def is_seed(self, url: str) -> bool:
        """Say whether `url` is a seed, or extended the scope as if it were one."""
        return self._scope.is_seed(url)

    def extend(self, url: str) -> bool:
        """Extend the scope by `url`, to which a seed redirects, as another process has found; return whether more is in scope now."""
        grew = self._scope.extend(url)
        self.extensions += grew
        return grew

    def explain(self, link: Link) -> list[tuple[str, bool]]:
        """Return every rule asked about `link`, in order, with its answer; the last one is False if the link is refused."""
        trail = []
        for rule, passed in self._ask(link):
            trail.append((rule, passed))
            if not passed:
                break
        return trail

    def _ask(self, link: Link) -> Iterator[tuple[str, bool]]:
        if link.kind in (Kind.REQUISITE, Kind.PROBE):
            yield from self._ask_outside(link)
            return
        if self._traps and link.via in _WITHOUT_SESSION and without_session(link.url) != link.url:
            yield SESSION_RULE, False
        for rule, passes in self._scope_rules(link):
            yield rule, bool(passes(link.url))
        if self._traps and link.via is not Via.SEED:
            trap = traps.refusal(link.url, self._latest_year)
            yield trap or TRAPS_RULE, trap is None
        if link.hops:
            yield REDIRECTS_RULE, link.hops <= self._max_redirects
        if link.kind is Kind.SITEMAP:
            yield SITEMAP_NESTING_RULE, link.depth <= MAX_SITEMAP_DEPTH
        elif self._depth is not None:
            yield DEPTH_RULE, link.depth <= self._depth

    def _ask_outside(self, link: Link) -> Iterator[tuple[str, bool]]:
        """Ask of what is fetched from any site: what pages need to be shown, and links that the scope refused and that are only probed."""
        if link.kind is Kind.REQUISITE:
            yield REQUISITES_RULE, self._requisites
        for rule, passes in self._scope.exclusions:
            yield rule, bool(passes(link.url))
        if link.hops:
            yield IMPORTS_RULE if link.via is Via.REQUISITE else REDIRECTS_RULE, link.hops <= self._max_redirects

    def _scope_rules(self, link: Link) -> list[Rule]:
        if link.via is Via.SEED or (link.depth == 0 and self._is_seed_redirect(link)) or _is_declared_sitemap(link):
            return self._scope.exclusions
        return self._scope.rules

    def _is_seed_redirect(self, link: Link) -> bool:
        if link.kind in (Kind.REQUISITE, Kind.PROBE):
            return False
        return link.via is Via.REDIRECT and link.depth == 0 and link.referrer is not None and self._scope.is_seed(link.referrer)


def make_door(seeds: list[str], settings: Settings, extensions: Iterable[str] = (), *, year: int | None = None) -> Door:
    """Return the door of a crawl; `extensions` are the URLs that its seeds redirected to in earlier runs, `year` is the present one."""
    scope = Scope(seeds, settings.scope)
    for url in extensions:
        scope.extend(url)
    latest_year = None if year is None else year + traps.YEARS_AHEAD
    limits = settings.scope
    return Door(
        scope,
        depth=limits.depth,
        max_redirects=settings.fetch.max_redirects,
        traps=limits.traps,
        latest_year=latest_year,
        requisites=limits.requisites,
    )


def _is_declared_sitemap(link: Link) -> bool:
    if link.kind is not Kind.SITEMAP:
        return False
    if link.via is Via.ROBOTS:
        return True
    return link.referrer is not None and urls.origin(link.referrer) == urls.origin(link.url)
