"""The robots gate (RFC 9309): one robots.txt per origin, what its fetch came to, and what that means for each URL.

====================================================  =======================================================================
robots.txt answers                                    the origin's pages
====================================================  =======================================================================
2xx                                                   as its rules say (section 2.3.1.1)
3xx                                                   as the file at the end of up to five redirects, also on another host; beyond
                                                      that there is none: all allowed (2.3.1.2)
4xx but 429                                           all allowed (2.3.1.3)
5xx, 429, 1xx, framing errors, more than 5 MB         retried, then all denied: ``robots_unreachable`` (2.3.1.4)
no connection, no name, forbidden address, time-out   retried, then they share its fate and its reason: nothing is asked
====================================================  =======================================================================

The last two are asked again after `RETRY_UNREACHABLE`. A file that could be read before stays valid while the new one cannot be had (2.4).
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from crawler import url as urls
from crawler.config import DEFAULTS, FetchSettings
from crawler.model import TLS_REASONS, Fetched, FetchFailed, Reason
from crawler.policy import retry
from crawler.policy.robots_rules import MAX_ROBOTS_BYTES, MAX_ROBOTS_FETCH, Rules, product_token, read_rules, robots_text
from crawler.policy.status import REDIRECTS

__all__ = [
    "MAX_HOPS",
    "MAX_ROBOTS_BYTES",
    "MAX_ROBOTS_FETCH",
    "RETRY_UNREACHABLE",
    "FollowRobots",
    "RetryRobots",
    "RobotsCache",
    "RobotsEntry",
    "Verdict",
    "product_token",
    "robots_url",
]

MAX_HOPS: Final = 5
RETRY_UNREACHABLE: Final = 600.0
"""Seconds after which a robots.txt that could not be had is asked for again."""

_CLOCK_SLACK: Final = 3600.0  # seconds the wall clock may go back before entries count as of unknown age
_MAX_RULES_SIZE: Final = 32 * 1024 * 1024  # characters of rules in memory, all origins together
_CONNECTION_LEVEL: Final = frozenset({Reason.DNS, Reason.CONNECT, Reason.TIMEOUT, Reason.ADDRESS}) | TLS_REASONS


class Verdict(StrEnum):
    """What the fetch of a robots.txt came to."""

    RULES = "rules"
    ALLOW_ALL = "allow_all"
    DISALLOW_ALL = "disallow_all"
    FAILED = "failed"  # no connection: the pages of the origin would fail the same way


class RobotsEntry(Struct, frozen=True, gc=False):
    """All that is known of an origin's robots.txt; stored with the crawl and given back to `RobotsCache.restore`."""

    origin: str
    verdict: Verdict
    fetched_at: float  # wall clock, seconds since the epoch
    expires_at: float
    attempts: int = 1
    token: str = ""  # verdict RULES: whom the text speaks to
    text: str = ""  # verdict RULES: what concerns us of the file, as a short robots.txt, ASCII
    reason: Reason | None = None  # of DISALLOW_ALL and FAILED
    detail: str = ""


class FollowRobots(Struct, frozen=True):
    """Fetch `url` in place of the robots.txt and learn from that answer, with these `hops`."""

    url: str
    hops: int


class RetryRobots(Struct, frozen=True):
    """Fetch the robots.txt again after `after` seconds; `whole_host`: the host asked to be left alone till then."""

    after: float
    whole_host: bool = False


class _Known:
    """One origin in memory: its entry and the compiled rules."""

    __slots__ = ("entry", "rules")

    def __init__(self, entry: RobotsEntry, rules: Rules) -> None:
        self.entry = entry
        self.rules = rules


def robots_url(origin: str) -> str:
    """Return the URL of an origin's robots.txt."""
    return f"{origin}/robots.txt"


class RobotsCache:
    """What robots.txt says, by origin (``scheme://host[:port]``); bounded in origins and in bytes, the least used go first.

    `token` is our product token (`product_token` of the user agent), `ttl` and `max_delay` are seconds. With `obey` False every origin is
    known, nothing is refused, and nothing is ever asked of a robots.txt.
    """

    def __init__(
        self,
        token: str,
        *,
        ttl: float,
        obey: bool,
        max_delay: float,
        capacity: int = 10_000,
        fetch: FetchSettings = DEFAULTS.fetch,
    ) -> None:
        self._token = token
        self._ttl = ttl
        self._obey = obey
        self._max_delay = max_delay
        self._capacity = capacity
        self._fetch = fetch
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    def known(self, origin: str, wall_now: float) -> bool:
        """Say whether the origin's URLs can be judged now: learnt, and not expired."""
        if not self._obey:
            return True
        found = self._known.get(origin)
        if found is None:
            return False
        return found.entry.fetched_at - _CLOCK_SLACK <= wall_now < found.entry.expires_at

    def refusal(self, url: str) -> tuple[Reason, str] | None:
        """Return why canonical `url` may not be fetched, with a detail for people, or None: it may.

        An expired entry still answers, so that what was leased before its expiry is judged. Raises KeyError for an unknown origin.
        """
        if not self._obey:
            return None
        origin = urls.origin(url)
        found = self._known[origin]
        self._known.move_to_end(origin)
        verdict = found.entry.verdict
        if verdict is Verdict.RULES:
            return None if found.rules.allows(url) else (Reason.ROBOTS, "disallowed by robots.txt")
        if verdict is Verdict.ALLOW_ALL:
            return None
        return found.entry.reason or Reason.ROBOTS_UNREACHABLE, found.entry.detail

    def delay(self, origin: str) -> float | None:
        """Return the seconds between requests that robots.txt asks of us, within 0 and `max_delay`; None when it does not say."""
        found = self._known.get(origin)
        if found is None or found.rules.delay is None:
            return None
        return min(max(found.rules.delay, 0.0), self._max_delay)

    def sitemaps(self, origin: str) -> list[str]:
        """Return the sitemaps that robots.txt names: canonical, each once, in order."""
        found = self._known.get(origin)
        return list(found.rules.sitemaps) if found is not None else []

    def restore(self, entry: RobotsEntry) -> None:
        """Know an entry that was learnt by an earlier run, or dropped from memory since; one learnt under another token is ignored."""
        if entry.verdict is not Verdict.RULES:
            self._keep(entry, Rules())
        elif entry.token == self._token:
            self._keep(entry, read_rules(entry.text, self._token, entry.origin))

    def _keep(self, entry: RobotsEntry, rules: Rules) -> None:
        self._forget(entry.origin)
        self._known[entry.origin] = _Known(entry, rules)
        self._size += len(rules.text)
        while len(self._known) > self._capacity or (self._size > _MAX_RULES_SIZE and len(self._known) > 1):
            self._forget(next(iter(self._known)))

    def learn(
        self,
        origin: str,
        answer: Fetched | FetchFailed,
        decoded: bytes,
        wall_now: float,
        *,
        hops: int = 0,
        attempts: int = 1,
    ) -> RobotsEntry | FollowRobots | RetryRobots:
        """Take in the answer to a fetch of the origin's robots.txt; an entry is final and known from now on.

        `decoded`: the body after content decoding, in full or its first 500 KiB. `hops`: redirects followed so far. `attempts`: fetches
        made so far, this one included, redirects not counted.
        """
        if isinstance(answer, Fetched):
            if 200 <= answer.status <= 299:
                return self._read(origin, decoded, wall_now, attempts)
            if answer.status in REDIRECTS:
                return self._follow(origin, answer, wall_now, hops, attempts)
            if 400 <= answer.status <= 499 and answer.status != 429:
                return self._allow_all(origin, wall_now, attempts, f"robots.txt: status {answer.status}")
        again = retry.next_attempt(answer, attempts, self._fetch, wall_now)
        if again is not None:
            return RetryRobots(again.after, again.whole_host)
        return self._unreachable(origin, answer, wall_now, attempts)

    def _read(self, origin: str, body: bytes, wall_now: float, attempts: int) -> RobotsEntry:
        rules = read_rules(robots_text(body), self._token, origin)
        entry = RobotsEntry(origin, Verdict.RULES, wall_now, wall_now + self._ttl, attempts, self._token, rules.text)
        self._keep(entry, rules)
        return entry

    def _follow(self, origin: str, answer: Fetched, wall_now: float, hops: int, attempts: int) -> RobotsEntry | FollowRobots:
        location = (answer.header("location") or "").strip()
        target = urls.canonicalise(location, answer.url) if location else None
        if target is not None and hops < MAX_HOPS:
            return FollowRobots(target, hops + 1)
        detail = f"robots.txt: more than {MAX_HOPS} redirects" if target is not None else "robots.txt: redirect without usable Location"
        return self._allow_all(origin, wall_now, attempts, detail)

    def _unreachable(self, origin: str, answer: Fetched | FetchFailed, wall_now: float, attempts: int) -> RobotsEntry:
        before = self._known.get(origin)
        if before is not None and before.entry.verdict in (Verdict.RULES, Verdict.ALLOW_ALL):
            before.entry = replace(before.entry, fetched_at=wall_now, expires_at=wall_now + RETRY_UNREACHABLE, attempts=attempts)
            return before.entry
        if isinstance(answer, Fetched):
            reason, detail, verdict = Reason.ROBOTS_UNREACHABLE, f"robots.txt: status {answer.status}", Verdict.DISALLOW_ALL
        elif answer.reason in _CONNECTION_LEVEL and urls.origin(answer.url) == origin:
            reason, detail, verdict = answer.reason, f"robots.txt: {answer.detail}", Verdict.FAILED
        else:
            reason, detail, verdict = Reason.ROBOTS_UNREACHABLE, f"robots.txt: {answer.reason}: {answer.detail}", Verdict.DISALLOW_ALL
        expiry = wall_now + min(RETRY_UNREACHABLE, self._ttl)
        entry = RobotsEntry(origin, verdict, wall_now, expiry, attempts, reason=reason, detail=detail)
        self._keep(entry, Rules())
        return entry

    def _allow_all(self, origin: str, wall_now: float, attempts: int, detail: str) -> RobotsEntry:
        entry = RobotsEntry(origin, Verdict.ALLOW_ALL, wall_now, wall_now + self._ttl, attempts, detail=detail)
        self._keep(entry, Rules())
        return entry

    def _forget(self, origin: str) -> None:
        found = self._known.pop(origin, None)
        if found is not None:
            self._size -= len(found.rules.text)
