"""The path of one URL, from its lease to its one outcome: the file to read first.

`Visitor.visit` is a Deferred chain that reads top to bottom. What the web does wrong travels along it as a value; a fault of
ours is logged once with its URL, costs that one URL, and never stops the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.config import Settings
from crawler.errors import CrawlError
from crawler.extras import archiving, to_archive
from crawler.fetch.client import Fetch
from crawler.frontier.sqlite import Candidate
from crawler.model import (
    Extras,
    Fetched,
    FetchFailed,
    Kind,
    Link,
    Outcome,
    Parsed,
    Reason,
    Task,
)
from crawler.outlinks import Outlink, hop, outlinks
from crawler.parse.frames import ToParse
from crawler.parse.pool import Parse
from crawler.parse.refresh import refresh_target
from crawler.policy import directives, retry, status
from crawler.policy.admit import DEPTH_RULE, LINK_RULES, NOFOLLOW_RULE, SESSION_RULE, Door
from crawler.policy.endless import Endless
from crawler.policy.near import NearIndex
from crawler.policy.robots import RobotsCache
from crawler.policy.scope import SCOPE_RULES
from crawler.policy.sessions import without_session
from crawler.policy.status import Classified
from crawler.recent import RecentKeys
from crawler.record import has_extras, make_record, with_extras
from crawler.store.operations import Completion, Operation, Postponement
from crawler.store.refused import Refusal

_log: Final = Logger()
_NO_HEAD: Final = frozenset((400, 403, 404, 405, 406, 500, 501, 503))
"""What servers say to HEAD where they have an answer to GET."""
LINKS_AT_ONCE: Final = 300
"""Links that pass the door in one turn of the reactor: some 5 ms."""


class Parts(Struct, frozen=True):
    """What does the work of a visit: fetching, parsing, storing, the time (seconds since the epoch), and giving way."""

    fetch: Fetch
    parse: Parse
    store: Callable[[Operation], Deferred[Any]]  # fires with the operation
    wall: Callable[[], float]
    pause: Callable[[], Deferred[None]]  # fires when the reactor has seen to everything else


class Turn(Protocol):
    """What the engine wants to hear of a visit as it goes."""

    doubtful: bool
    """Whether the host is not known to be prompt (`policy.places`)."""

    def given_up(self) -> tuple[Reason, str] | None:
        """Return why no request is to be made any more (the host is down), or None."""

    def begin(self) -> None:
        """A request is about to be made."""

    def sent(self, now: float) -> None:
        """The request has left (monotonic seconds); may happen twice, see `Fetcher.fetch`."""

    def over(self, answer: Fetched | FetchFailed) -> None:
        """The exchange is over: the host and the place in flight are free again."""

    def pause(self, seconds: float, host: str | None = None) -> None:
        """`host`, by default the one that was asked, wants to be left alone."""

    def storing(self) -> None:
        """The visit is decided and on its way to the disk: it can't be called back."""


class Visit:
    """What is known of a URL so far, as it goes down the chain."""

    __slots__ = (
        *("answer", "candidates", "classified", "completion", "directives", "extras", "parsed", "refresh", "refused", "scope_grew"),
        *("suspected", "task", "turn"),
    )

    def __init__(self, task: Task, turn: Turn) -> None:
        self.task = task
        self.turn = turn
        self.answer: Fetched | FetchFailed | None = None
        self.classified = Classified(Outcome.FAILED, Reason.INTERNAL)
        self.parsed: Parsed | None = None
        self.extras: Extras | None = None
        self.directives: list[str] = []
        self.refresh: str | None = None  # the target of a Refresh header, canonical
        self.candidates: list[Candidate] = []
        self.refused: list[Refusal] = []
        self.scope_grew = False
        self.suspected = False  # its links may have to be withheld: see `policy.endless`
        self.completion: Operation | None = None  # set: the visit is decided, only the store is left

    def take_archived(self, parsed: Parsed) -> None:
        """Take the archive's records of an answer that is no page."""
        self.extras = parsed.extras


class Visitor:
    """Takes leased URLs down the chain."""

    def __init__(
        self,
        parts: Parts,
        *,
        door: Door,
        robots: RobotsCache,
        recent: RecentKeys | None,
        settings: Settings,
        robots_token: str,
    ) -> None:
        """`recent` is None under a depth limit: then each page's links matter, seen or not."""
        self._fetch_url = parts.fetch
        self._parse_body = archiving(parts.parse)
        self._store_operation = parts.store
        self._door = door
        self._robots = robots
        self._recent = recent
        self._settings = settings
        self._robots_token = robots_token
        self._has_extras = has_extras(settings.store)
        self._near = NearIndex() if settings.scope.near_duplicates == "skip" else None
        self._only_new_links = recent is not None and not settings.store.record_links and self._near is None
        self._endless = Endless(watching=recent is not None and settings.scope.traps)  # a limit of depth ends all
        self._wall = parts.wall
        self._pause = parts.pause

    def visit(self, task: Task, turn: Turn) -> Deferred[Operation]:
        """Take one leased URL to its outcome, or back to the queue for another attempt.

        Fires with what was stored when that is durable. Fails with StoreError, WorkersDied or CancelledError alone: then
        nothing was stored, and the lease is the caller's again.
        """
        visit = Visit(task, turn)
        chain = self._begin(visit)  # may we? robots.txt is known by now; if so, one bounded exchange
        chain.addCallback(self._judge, visit)  # an outcome, or another attempt later; a page goes to a worker process
        chain.addCallback(self._conclude, visit)  # the record, and the links through the door
        chain.addErrback(self._crashed, visit)  # a fault of ours costs this URL alone
        chain.addCallback(self._store, turn)  # one transaction
        return chain

    def _begin(self, visit: Visit) -> Deferred[Any]:
        try:
            return self._fetch(visit) if self._pass_gate(visit) else succeed(None)
        except Exception:
            return fail(Failure())  # type: ignore[no-untyped-call]

    def _pass_gate(self, visit: Visit) -> bool:
        refusal = self._robots.refusal(visit.task.url) or visit.turn.given_up()
        if refusal is not None:
            reason, detail = refusal
            visit.classified = Classified(status.outcome_of(reason), reason, detail)
            visit.completion = self._complete(visit)
        return refusal is None

    def _fetch(self, visit: Visit) -> Deferred[Fetched | FetchFailed]:
        visit.turn.begin()
        fetch, kind = self._settings.fetch, visit.task.kind
        if kind is Kind.PROBE:  # by GET where a server would not say by HEAD; then its head is enough
            method = "GET" if visit.task.attempts else "HEAD"
            return self._fetch_url(visit.task.url, max_body=0, accept=[], on_sent=visit.turn.sent, cut=True, method=method)
        return self._fetch_url(
            visit.task.url,
            max_body=self._settings.parse.max_decoded if kind is Kind.SITEMAP else fetch.max_body,
            accept=fetch.accept if kind is Kind.PAGE else [],
            on_sent=visit.turn.sent,
        )

    def _judge(self, answer: Fetched | FetchFailed | None, visit: Visit) -> Deferred[Any] | None:
        if answer is None:
            return None
        visit.answer = answer
        visit.turn.over(answer)
        wall = self._wall()
        again = retry.next_attempt(answer, visit.task.attempts + 1, self._settings.fetch, wall)
        if pause := retry.host_pause(answer, wall, self._settings.fetch):
            visit.turn.pause(pause)
        if again is not None:
            visit.completion = Postponement(visit.task, visit.task.attempts + 1, wall + again.after)
        elif visit.task.kind is Kind.PROBE and not visit.task.attempts and answer.status in _NO_HEAD:
            visit.completion = Postponement(visit.task, 1, wall)
        visit.classified = status.classify(answer)
        return None if visit.completion is not None or visit.task.kind is Kind.PROBE else self._parse(answer, visit)

    def _parse(self, answer: Fetched | FetchFailed, visit: Visit) -> Deferred[Any] | None:
        if not isinstance(answer, Fetched) or visit.classified.outcome is not Outcome.FETCHED:
            return self._archive(answer, visit)
        fields = dict(answer.headers)  # most answers have none of those that would have to be looked for
        if "x-robots-tag" in fields:
            visit.directives = directives.header_directives(answer.headers_named("x-robots-tag"), self._robots_token)
        if "refresh" in fields:
            visit.refresh = _header_refresh(answer)
        visit.suspected = self._endless.suspects(visit.task)
        page = ToParse(
            url=answer.url,
            kind=visit.task.kind,
            content_type=answer.header("content-type"),
            encodings=answer.headers_named("content-encoding") if "content-encoding" in fields else [],
            body=answer.body,
            only_new_links=self._only_new_links and not visit.suspected and directives.follows(visit.directives),
            exchange=to_archive(answer),
        )
        visit.answer = replace(answer, body=b"")  # the body is the worker's now; a queue of visits must not hold it
        return self._parse_body(page, doubtful=visit.turn.doubtful)

    def _archive(self, answer: Fetched | FetchFailed, visit: Visit) -> Deferred[Any] | None:
        """Have a worker make the archive's records of an answer that is no page, if there is an archive."""
        exchange = to_archive(answer)
        if exchange is None:
            return None
        page = ToParse(answer.url, visit.task.kind, None, [], answer.body, exchange=exchange, archive_only=True)
        visit.answer = replace(answer, body=b"")
        return self._parse_body(page, doubtful=visit.turn.doubtful).addCallback(visit.take_archived)

    def _conclude(self, parsed: Parsed | None, visit: Visit) -> Operation | Deferred[Completion]:
        if parsed is not None:
            self._take_in(parsed, visit)
        if visit.completion is not None:
            return visit.completion
        if parsed is not None and len(parsed.links) > LINKS_AT_ONCE:
            return Deferred.fromCoroutine(self._complete_in_slices(visit))
        return self._complete(visit)

    def _take_in(self, parsed: Parsed, visit: Visit) -> None:
        visit.parsed = parsed
        visit.extras = parsed.extras
        if parsed.robots:
            visit.directives = directives.combine(visit.directives, parsed.robots)
        if parsed.reason is Reason.INTERNAL:
            _log.error("fault while parsing {url}: {detail}", url=visit.task.url, detail=parsed.detail)
        if parsed.reason is not None:
            visit.classified = Classified(status.outcome_of(parsed.reason), parsed.reason, parsed.detail)
        elif self._is_near(parsed):
            note = f"{len(parsed.links)} links not followed: nearly the text of another page"
            visit.parsed = replace(parsed, links=[], notes=[*parsed.notes, note])

    def _is_near(self, parsed: Parsed) -> bool:
        """Say whether a page says nearly what an earlier one said, if that matters; else let later ones be compared with it."""
        simhash = parsed.extras.simhash if parsed.extras is not None else None
        if self._near is None or simhash is None:
            return False
        near = self._near.seen(simhash)
        if not near:
            self._near.note(simhash)
        return near

    def _crashed(self, failure: Failure, visit: Visit) -> Operation:
        if self._recent is not None:
            self._recent.clear()  # links of this page may have been noted and not handed over
        if isinstance(failure.value, (CancelledError, CrawlError)):
            return failure  # type: ignore[return-value]  # an errback may hand its Failure on
        _log.failure("fault while visiting {url}", failure=failure, url=visit.task.url)
        salvaged = self._salvaged_links(visit)
        visit.classified = Classified(Outcome.FAILED, Reason.INTERNAL, failure.getErrorMessage()[:200])
        record = make_record(visit.task, visit.classified, answer=None, parsed=None, robots=[], wall=self._wall())
        return Completion(visit.task, record, *salvaged)

    def _salvaged_links(self, visit: Visit) -> tuple[list[Candidate], list[Refusal]]:
        """Return what can be had of a crashed visit's links: its parse worker will not report them again."""
        candidates: list[Candidate] = []
        refused: list[Refusal] = []
        with suppress(Exception):  # told already
            for link, key, nofollow in self._links(visit):
                with suppress(Exception):
                    self._pass_door(link, key, nofollow, candidates, refused)
        return candidates, refused

    def _store(self, operation: Operation, turn: Turn) -> Deferred[Operation]:
        turn.storing()
        return self._store_operation(operation)

    # -- the end of a visit --------------------------------------------------------------------------------------

    def _complete(self, visit: Visit) -> Completion:
        self._pass_doors(visit, self._links(visit))
        return self._completion(visit)

    async def _complete_in_slices(self, visit: Visit) -> Completion:
        """Do the same without holding up the reactor: a sitemap has 50 000 links."""
        links, extensions = self._links(visit), self._door.extensions
        while self._pass_doors(visit, islice(links, LINKS_AT_ONCE)):
            await self._pause()
        visit.scope_grew |= self._door.extensions > extensions  # by somebody else in between: what was refused before is to be asked again
        return self._completion(visit)

    def _completion(self, visit: Visit) -> Completion:
        if visit.parsed is not None and visit.classified.outcome is Outcome.FETCHED:
            self._withhold(visit, visit.parsed)
        if self._recent is not None:  # note what is handed over now, and what the door would refuse again, whoever brings it
            for key in [link.key for link in visit.candidates] + [link.key for link in visit.refused if link.rule not in LINK_RULES]:
                self._recent.add(key)
        record = make_record(
            visit.task, visit.classified, answer=visit.answer, parsed=visit.parsed, robots=visit.directives, wall=self._wall()
        )
        if self._has_extras:
            record = with_extras(record, self._settings.store, visit.answer, visit.parsed, visit.extras)
        return Completion(visit.task, record, visit.candidates, visit.refused, visit.scope_grew, visit.extras, visit.answer)

    def _withhold(self, visit: Visit, parsed: Parsed) -> None:
        """Take back the links of one more page of an endless site."""
        links = visit.candidates
        rule = self._endless.refusal(visit.task, parsed, [link.url for link in links], suspected=visit.suspected)
        if rule is not None:
            visit.candidates = []
            visit.refused += [Refusal(link.key, link.url, rule, link.referrer, link.depth) for link in links]
            visit.parsed = replace(parsed, notes=[*parsed.notes, f"{len(links)} links withheld: an endless site"])

    def _links(self, visit: Visit) -> Iterator[Outlink]:
        target, parsed = visit.classified.redirect_to, visit.parsed
        if target is not None:
            yield hop(visit.task, target)
        elif parsed is not None and visit.classified.outcome is Outcome.FETCHED:
            obey = self._settings.politeness.nofollow
            follow = not obey or directives.follows(visit.directives)
            yield from outlinks(
                *(visit.task, parsed, visit.extras), refresh=visit.refresh, recent=self._recent, follow=follow, obey_nofollow=obey
            )

    def _pass_doors(self, visit: Visit, links: Iterator[Outlink]) -> int:
        """Bring links before the door; return how many there were."""
        extensions = self._door.extensions
        count = 0
        for count, (link, key, nofollow) in enumerate(links, 1):  # noqa: B007 (the last value is the result)
            self._pass_door(link, key, nofollow, visit.candidates, visit.refused)
        visit.scope_grew |= self._door.extensions > extensions
        return count

    def _pass_door(self, link: Link, key: int, nofollow: bool, candidates: list[Candidate], refused: list[Refusal]) -> None:
        rule = NOFOLLOW_RULE if nofollow else self._door.admit(link)
        if rule is None or rule == DEPTH_RULE:  # too deep by this path: the frontier knows whether by all
            candidates.append(candidate(link, key))
        elif rule in SCOPE_RULES and self._settings.scope.probe_external and link.kind is Kind.PAGE:
            self._pass_door(replace(link, kind=Kind.PROBE), key, False, candidates, refused)
        else:
            refused.append(Refusal(key, link.url, rule, link.referrer, link.depth))
        if rule == SESSION_RULE:
            plain = replace(link, url=without_session(link.url))
            key = urls.fingerprint(plain.url)
            if self._recent is None or key not in self._recent:
                self._pass_door(plain, key, False, candidates, refused)


def candidate(link: Link, key: int) -> Candidate:
    """Return what the frontier is asked about `link`."""
    return Candidate(key, link.url, urls.host(link.url), link.kind, link.via, link.depth, link.hops, link.referrer, link.priority)


def _header_refresh(answer: Fetched) -> str | None:
    """Return the canonical target of a ``Refresh`` header: no RFC knows it, every browser obeys it."""
    target = refresh_target(answer.header("refresh") or "")
    return None if target is None else urls.canonicalise(target, answer.url)
