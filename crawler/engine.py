"""The scheduler: leases URLs, keeps a bounded number of requests in flight, feels back-pressure, drains and stops.

All of it runs in the reactor's thread and none of it waits. `_pump` is called whenever something became free or ready: it leases
as long as there is room and a host whose time has come, and sets one timer for the next host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.config import Settings
from crawler.errands import Errand, RobotsErrands
from crawler.errors import CrawlError
from crawler.frontier.window import Window
from crawler.lag import Clock, LagMeter
from crawler.lease import Lease
from crawler.model import Kind, Outcome, Result, Snapshot, Task
from crawler.parse.pool import ParsePool
from crawler.policy.politeness import Politeness
from crawler.policy.robots import RobotsCache
from crawler.rate import Rate
from crawler.store.commit import Committed, Writer
from crawler.store.operations import Admission, Completion, HostPause, Operation, Postponement, Refill, StateChange
from crawler.traffic import Traffic
from crawler.visit import Visitor

_STORE_AHEAD: Final = 4  # batches waiting for the disk: beyond, nothing is leased
_LONGEST_TURN: Final = 0.02  # seconds of leasing in one turn of the reactor
_DRAIN_SHARE: Final = 0.7  # of the stop time that requests in flight get; the rest is for the disk and the workers


class Engine:
    """One crawl in work. `run` it once; `drain` or `abort` stop it before its end."""

    def __init__(
        self,
        *,
        clock: Clock,
        wall: Callable[[], float],
        settings: Settings,
        seeds: Admission,
        writer: Writer,
        window: Window,
        politeness: Politeness,
        robots: RobotsCache,
        errands: RobotsErrands,
        visitor: Visitor,
        pool: ParsePool,
        lag: LagMeter,
        closers: Iterable[Callable[[], Deferred[None]]],
    ) -> None:
        """Take the parts (`build` puts them together). `closers` are closed in order before the writer."""
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self._seeds = seeds
        self._writer = writer
        writer.on_committed = self.on_committed
        self._window = window
        self._politeness = politeness
        self._robots = robots
        self._errands = errands
        self._visitor = visitor
        self._pool = pool
        self._lag = lag
        self._closers = list(closers)
        self.page_limit = settings.scope.max_pages
        """Pages after which nothing is leased; None: no limit. May be raised while the crawl runs, see `go_on`."""
        self.on_idle: Callable[[], bool] = lambda: False
        """Asked when there is nothing left to do here; true: more may come from other processes of this crawl."""
        self._state = "new"
        self._why = "done"
        self._error: CrawlError | None = None
        self._result: Deferred[Result] = Deferred()
        self._leases: dict[Lease, None] = {}
        self._leased_pages = 0
        self._traffic = Traffic(clock, settings.fetch, politeness, on_change=self._changed, on_pause=self._keep_pause)
        self._pumping = False
        self._soon = False
        self._to_offer: dict[str, None] = {}  # hosts of which something ended since the last pump: a batch's pages are of a few
        self._timer: Any = None
        self._timers: list[Any] = []
        self._started_at = clock.seconds()
        self._rate = Rate()

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> Deferred[Result]:
        """Crawl until nothing is left, a budget is used up, or somebody stops it; fire when all is durable and closed.

        Fails with the CrawlError that ended it: nothing that was acknowledged is lost then.
        """
        self._state = "running"
        self._started_at = self._clock.seconds()
        self._lag.start()
        self._pool.start()
        self._writer.start()
        self._submit(StateChange("running"))
        self._submit(self._seeds)
        self._writer.hurry()
        if (limit := self._settings.scope.max_time) is not None:
            self._timers.append(self._clock.callLater(limit, self._stop_leasing, "max_time", self._settings.service.stop_timeout))
        for host in self._window.hosts():
            self._offer(host)
        self._pump()
        return self._result

    def drain(self, timeout: float) -> None:
        """Stop leasing, let what is in flight come to its end for most of `timeout` seconds, then call it off; resumable."""
        self._stop_leasing("signal", timeout)

    def abort(self) -> None:
        """Call off what is in flight now; what is on its way to the disk is still stored."""
        if self._state == "running":
            self._state, self._why = "draining", "signal"
        for lease in list(self._leases):
            lease.call_off()
        self._writer.hurry()
        self._check_end()

    def _stop_leasing(self, why: str, timeout: float) -> None:
        if self._state != "running":
            return
        self._state, self._why = "draining", why
        self._timers.append(self._clock.callLater(timeout * _DRAIN_SHARE, self.abort))
        self._writer.hurry()
        self._check_end()

    def take_in(self, operation: Operation, then: Callable[[Any], object]) -> None:
        """Have an operation from outside done, and call `then` with its result once it is durable, unless the crawl ends before."""
        if self._state in ("running", "draining"):
            self._writer.submit(operation).addCallback(then).addCallbacks(lambda _: self._check_end(), self._fail)
            if not self._leases:
                self._writer.hurry()

    def go_on(self) -> None:
        """Look again whether something can be done, or all is over: what was asked of `on_idle`, or `page_limit`, is another now."""
        self._pump_soon()
        self._check_end()

    def _submit(self, operation: Admission | StateChange | HostPause) -> None:
        self._writer.submit(operation).addCallbacks(lambda _: self._check_end(), self._fail)

    def _fail(self, failure: Failure) -> None:
        """Our own fault, or the disk's: stop at once; what was not acknowledged is fetched again by the next run."""
        error = failure.value
        if self._error is None:
            self._error = error if isinstance(error, CrawlError) else CrawlError(f"internal error: {failure.getErrorMessage()}")
            self._why = "error"
        if self._state == "running":
            self._state = "draining"
        self.abort()

    def _check_end(self) -> None:
        if self._state not in ("running", "draining") or self._leases:
            return
        if self._state == "running":
            if self._writer.backlog or (self._window.queued and self.pages_left > 0) or self.on_idle():
                return
            self._why = "max_pages" if self._window.queued else "done"
        self._end("finished" if self._state == "running" else "stopped")

    def _end(self, state: str) -> None:
        self._state = "closing"
        for timer in (self._timer, *self._timers):
            if timer is not None and timer.active():
                timer.cancel()
        if self._error is None:
            elapsed = self._clock.seconds() - self._started_at
            self._writer.submit(StateChange(state, self._why, elapsed)).addErrback(self._fail)
            self._writer.hurry()
        closed = gatherResults([close() for close in self._closers])
        closed.addBoth(lambda _: self._writer.close())
        closed.addBoth(lambda _: self._report(state))

    def _report(self, state: str) -> None:
        self._lag.stop()
        self._state = state
        if self._error is not None:
            self._result.errback(self._error)
            return
        outcomes = self._writer.counters.outcomes
        fetched, failed = (outcomes.get(outcome, 0) for outcome in (Outcome.FETCHED, Outcome.FAILED))
        self._result.callback(Result(state, self._why, self.snapshot(), fetched, failed))

    # -- leasing -------------------------------------------------------------------------------------------------

    @property
    def pages_left(self) -> int:
        """Pages that may still be leased."""
        return 1 << 62 if self.page_limit is None else self.page_limit - self._writer.counters.pages - self._leased_pages

    def _has_room(self) -> bool:
        return self._traffic.free and self._may_lease()

    def _may_lease(self) -> bool:
        return self._pool.has_room and self._writer.backlog < _STORE_AHEAD * self._settings.store.commit_pages and self.pages_left > 0

    def _pump(self) -> None:
        """Lease while there is room and a host whose time has come; then set the timer for the next one."""
        self._soon = False
        if self._state != "running" or self._pumping:
            return
        self._pumping = True
        now = self._clock.seconds()
        alone, doubtful = self._alone, self._pool.has_room_for_doubtful  # no visit ends within this turn
        if not alone:
            self._traffic.set_aside(now)
        self._offer_noted(now)
        try:
            while self._has_room() and (host := self._traffic.acquire(now, alone=alone, doubtful=doubtful)) is not None:
                self._serve(host, now)
                if self._to_offer:
                    self._offer_noted(now)
                if self._clock.seconds() - now > _LONGEST_TURN:  # requests may fail at once, by the thousand
                    break
        finally:
            self._pumping = False
        self._set_timer(now)
        if not self._traffic.in_flight and not self._pool.backlog and self._writer.backlog:
            self._writer.hurry()  # all that could still bring work is waiting for the disk

    @property
    def _alone(self) -> bool:
        """Whether there is one host only."""
        return len(self._window) <= 1

    def _set_timer(self, now: float) -> None:
        at = self._traffic.next_time(alone=self._alone, doubtful=self._pool.has_room_for_doubtful) if self._may_lease() else None
        if self._timer is not None and self._timer.active():
            if at is not None and self._timer.getTime() <= at:
                return
            self._timer.cancel()
        self._timer = None if at is None else self._clock.callLater(max(0.0, at - now), self._pump)

    def _serve(self, host: str, now: float) -> None:
        """Give `host` its turn: an errand, or its next URL."""
        errand = self._errands.take(host)
        if errand is not None:
            self._run_errand(errand)
        elif not self._errands.blocks(host):
            task = self._window.take(host, now)
            if task is not None:
                self._lease_or_ask(task)
        self._offer(host, now)

    def _lease_or_ask(self, task: Task) -> None:
        origin = urls.origin(task.url)
        if self._robots.known(origin, self._errands.as_of(task.host, origin)):
            self._lease(task)
        else:
            self._window.give_back(task)
            self._errands.need(origin, task.host)

    def _offer(self, host: str, now: float | None = None) -> None:
        """Put `host` on the schedule if it has something to fetch, and have its window refilled if that runs low."""
        now = self._clock.seconds() if now is None else now  # a pump's own: what it offers it may take
        if self._errands.waiting(host):
            self._politeness.offer(host, now)
            return
        if self._errands.blocks(host):
            return
        if self._window.has_ready(host, now):
            self._politeness.offer(host, now)
        elif (later := self._window.next_delayed(host)) is not None:
            self._politeness.offer(host, later)
        after = self._window.wants_refill(host)
        if after is not None:
            read = self._writer.submit(Refill(host, after, self._window.share))
            read.addCallbacks(self._refilled, self._fail, callbackArgs=(host, after))

    def _offer_noted(self, now: float) -> None:
        while self._to_offer:
            self._offer(self._to_offer.popitem()[0], now)

    def _refilled(self, found: tuple[list[tuple[Task, float]], bool], host: str, after: tuple[int, int]) -> None:
        rows, complete = found
        ahead = self._clock.seconds() - self._wall()
        longest = self._clock.seconds() + self._settings.fetch.max_retry_after
        tasks = [(task, min(not_before + ahead, longest) if not_before else 0.0) for task, not_before in rows]
        self._window.refilled(host, after, tasks, complete=complete)
        self._offer(host)
        self._pump_soon()
        self._check_end()

    def _lease(self, task: Task) -> None:
        lease = self._new_lease(task.host, page=task.kind is Kind.PAGE)
        visit = lease.deferred = self._visitor.visit(task, lease)
        visit.addCallbacks(self._visited, self._not_done, callbackArgs=(task, lease), errbackArgs=(lease, task))
        visit.addErrback(self._fail)

    def _new_lease(self, host: str, *, page: bool = False, errand: bool = False) -> Lease:
        lease = self._traffic.lease(host, page=page, errand=errand)
        self._leases[lease] = None
        self._leased_pages += page
        return lease

    def _visited(self, operation: object, task: Task, lease: Lease) -> None:
        self._drop(lease)
        if isinstance(operation, Postponement):
            now, longest = self._clock.seconds(), self._settings.fetch.max_retry_after
            self._window.delay(task.postponed(operation.attempts), now + min(operation.not_before - self._wall(), longest))
        else:
            self._window.done(task)
        self._traffic.visited(task.host, operation.record if isinstance(operation, Completion) else None)
        self._changed(task.host)
        self._check_end()

    def _not_done(self, failure: Failure, lease: Lease, task: Task | None = None) -> None:
        """A visit or an errand was called off, or met a fault of ours."""
        self._drop(lease)
        if task is not None:
            self._window.give_back(task)
        if not isinstance(failure.value, CancelledError):
            self._fail(failure)
        self._check_end()

    def _drop(self, lease: Lease) -> None:
        lease.over(None)
        if not lease.stored:  # else it is released
            lease.release()
        del self._leases[lease]
        self._leased_pages -= lease.page

    def _run_errand(self, errand: Errand) -> None:
        lease = self._new_lease(errand.host, errand=True)
        run = lease.deferred = self._errands.run(errand, lease)
        run.addCallbacks(self._ran_errand, self._not_done, callbackArgs=(errand, lease), errbackArgs=(lease,))
        run.addErrback(self._fail)

    def _ran_errand(self, next_host: str | None, errand: Errand, lease: Lease) -> None:
        self._drop(lease)
        if next_host is None:
            if (delay := self._robots.delay(errand.origin)) is not None:
                self._politeness.set_delay(errand.blocked, delay, self._clock.seconds())
            next_host = errand.blocked
        self._offer(next_host)
        self._pump_soon()
        self._check_end()

    # -- what happens meanwhile ----------------------------------------------------------------------------------

    def _changed(self, host: str | None) -> None:
        """A host, or a place, may be free again."""
        if host is not None:
            self._to_offer[host] = None
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Pump in the next turn of the reactor: one pump for all that ends in this one."""
        if not self._pumping and self._state == "running" and not self._soon:
            self._soon = True
            self._clock.callLater(0, self._pump)

    def _keep_pause(self, host: str, seconds: float) -> None:
        """Let the rest of `host` last over a restart, too."""
        self._submit(HostPause(host, self._wall() + seconds))

    def on_committed(self, committed: Committed) -> None:
        """Take in what a transaction brought to light; the writer calls it before the visits of that transaction end."""
        now = self._clock.seconds()
        self._rate.note(now, committed.counters.done)
        for host in self._window.admitted(committed.tasks):
            self._offer(host)
        self._politeness.sweep(now)
        self._pump_soon()

    # -- the view ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return how the crawl stands now."""
        now, counters, stats = self._clock.seconds(), self._writer.counters, self._pool.stats()
        return Snapshot(
            elapsed=now - self._started_at,
            state=self._state,
            queued=self._window.queued,
            in_flight=self._traffic.in_flight,
            parsing=self._pool.backlog,
            storing=self._writer.backlog,
            done=counters.done,
            outcomes=dict(counters.outcomes),
            reasons=dict(counters.reasons),
            refused={rule: count for rule, count in counters.refused.items() if count},
            bytes=counters.bytes,
            pages_per_second=self._rate.per_second(now),
            hosts=len(self._window),
            waiting_hosts=self._politeness.waiting(now)[:10],
            workers=stats.workers,
            worker_restarts=stats.restarts,
            lag=self._lag.recent(),
            lag_p99=self._lag.percentile(0.99),
            items=counters.items,
            faults=counters.faults,
        )
