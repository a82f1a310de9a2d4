"""The conductor: starts the shards, carries their messages, and ends the crawl when all is done, or one of them is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from crawler.errors import CrawlError, Exit
from crawler.job import Job
from crawler.model import Outcome, Result, Snapshot
from crawler.shards.ledger import Ledger
from crawler.shards.messages import (
    Begin,
    Delivered,
    Delivery,
    Drain,
    Ended,
    Finish,
    FromShard,
    Grant,
    Handing,
    Note,
    Progress,
    Quiet,
    Ready,
    Recall,
    Spare,
    Start,
    Taken,
    ToShard,
)
from crawler.shards.sums import EMPTY, sum_snapshots

_PATIENCE: Final = 10.0
"""Seconds beyond the stop time that a shard gets to end before it is killed."""


class ShardLost(CrawlError):
    """A shard process died: nothing is lost, the same command goes on."""

    exit_code = Exit.INTERRUPTED


class ShardFailed(CrawlError):
    """A shard ended with an error of its own; its exit code is the crawl's."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = Exit(code)


class Process(Protocol):
    """A shard's process, see `child.ShardProcess`."""

    pid: int

    def connect(self, on_message: Callable[[FromShard], object], on_end: Callable[[str], object]) -> None:
        """Listen to it; `on_end` is called once, when the process has ended, with how."""

    def send(self, message: ToShard) -> None:
        """Send a message."""

    def kill(self) -> None:
        """Send SIGKILL."""


class Conductor:
    """All shards of one crawl. `run` it once; `drain` or `abort` stop it before its end."""

    def __init__(
        self,
        clock: Any,
        job: Job,
        begins: list[Begin],
        spawn: Callable[[], Process],
        note: Callable[[Note], object],
    ) -> None:
        """`job` is the whole crawl's, `begins` are the shards' shares of it. `note` takes news for the user."""
        self._clock = clock
        self._job = job
        self._begins = begins
        self._spawn = spawn
        self._note = note
        self._ledger = Ledger(len(begins), job.settings.scope.max_pages)
        self._processes: list[Process] = []
        self._ready: dict[int, int] = {}  # shard: pages
        self._snapshots: dict[int, Snapshot] = {}
        self._results: dict[int, Result] = {}
        self._left: set[int] = set()
        self._state = "new"
        self._why = "done"
        self._error: CrawlError | None = None
        self._timers: list[Any] = []
        self._started_at = clock.seconds()
        self._result: Deferred[Result] = Deferred()

    def run(self) -> Deferred[Result]:
        """Start the shards and crawl to the end; fires when every process has ended.

        Fails with the CrawlError of the first shard that failed or died.
        """
        self._state = "running"
        self._started_at = self._clock.seconds()
        try:
            for number, begin in enumerate(self._begins):
                process = self._spawn()
                self._processes.append(process)
                self._connect(number, process)
                self._send(number, begin)
        except OSError as error:
            self._fail(CrawlError(f"no process could be started for a part of the crawl: {error.strerror}; take fewer --processes"))
        self._check_end()
        return self._result

    def _connect(self, number: int, process: Process) -> None:
        process.connect(lambda message: self._hear(number, message), lambda ending: self._ended(number, ending))

    def drain(self, timeout: float) -> None:
        """Stop all shards, resumable: what is in flight gets most of `timeout` seconds."""
        self._stop("signal", timeout)

    def abort(self) -> None:
        """Stop all shards at once, resumable."""
        self._stop("signal", 0.0)

    def _stop(self, why: str, timeout: float) -> None:
        if self._state == "running":
            self._state, self._why = "draining", why
        self._tell_all(Drain(timeout))
        self._timers.append(self._clock.callLater(timeout + _PATIENCE, self._kill))

    def _kill(self) -> None:
        for number, process in enumerate(self._processes):
            if number not in self._left:
                process.kill()

    def _send(self, number: int, message: ToShard) -> None:
        if number not in self._left:
            self._ledger.note_sent(number)
            self._processes[number].send(message)

    def _tell_all(self, message: ToShard) -> None:
        for number in range(len(self._processes)):
            self._send(number, message)

    # -- what shards say -----------------------------------------------------------------------------------------

    def _hear(self, number: int, message: FromShard) -> None:
        match message:
            case Progress():
                self._snapshots[number] = message.snapshot
            case Handing():
                self._send(message.target, Delivery(number, message.parcels))
            case Taken():
                self._send(message.sender, Delivered(message.numbers))
            case Note():
                self._note(message)
            case Ready():
                self._start(number, message.pages)
            case Ended():
                self._take_end(number, message)
            case Quiet():
                self._ledger.note_quiet(number, heard=message.heard, starved=message.starved, spare=message.spare)
                self._settle()
            case Spare():
                self._ledger.note_spare(message.pages)
                self._settle()

    def _start(self, number: int, pages: int) -> None:
        """Let all begin when the last one is ready: every home is locked by then."""
        self._ready[number] = pages
        if len(self._ready) == len(self._begins) and self._state == "running":
            if (limit := self._job.settings.scope.max_time) is not None:
                self._timers.append(self._clock.callLater(limit, self._stop, "max_time", self._job.settings.service.stop_timeout))
            allowed = self._ledger.open([self._ready[other] for other in sorted(self._ready)])
            for other, share in enumerate(allowed):
                self._send(other, Start(share))

    def _settle(self) -> None:
        """Give out pages, ask for pages, or find that it is over."""
        if self._state != "running":
            return
        for number, pages in self._ledger.grants():
            self._send(number, Grant(pages))
        for number in self._ledger.recalls():
            self._send(number, Recall())
        if self._ledger.over:
            self._state = "closing"
            self._tell_all(Finish())

    # -- the end -------------------------------------------------------------------------------------------------

    def _take_end(self, number: int, message: Ended) -> None:
        if message.result is None:
            self._fail(ShardFailed(message.error, message.exit_code))
        else:
            self._results[number] = message.result
            self._snapshots[number] = message.result.snapshot

    def _ended(self, number: int, ending: str) -> None:
        """A process has ended and been reaped."""
        self._left.add(number)
        if number not in self._results and self._error is None:
            pid = self._processes[number].pid
            self._fail(ShardLost(f"process {number} of the crawl (pid {pid}) {ending}: nothing is lost, run the same command again"))
        self._check_end()

    def _fail(self, error: CrawlError) -> None:
        """Stop the others at once; the first error is the crawl's."""
        if self._error is None:
            self._error = error
            self._stop("error", 0.0)

    def _check_end(self) -> None:
        if len(self._left) < len(self._processes) or self._result.called:
            return
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        if self._error is not None:
            self._result.errback(self._error)
            return
        self._result.callback(self._summed())

    def _summed(self) -> Result:
        finished = self._state == "closing" and all(result.state == "finished" for result in self._results.values())
        self._state = "finished" if finished else "stopped"
        snapshot = self.snapshot()
        why = ("max_pages" if snapshot.queued else "done") if finished else self._why
        fetched, failed = (snapshot.outcomes.get(outcome, 0) for outcome in (Outcome.FETCHED, Outcome.FAILED))
        return Result(self._state, why, snapshot, fetched, failed)

    def snapshot(self) -> Snapshot:
        """Return how the whole crawl stands, as of the shards' last reports."""
        found = sum_snapshots(list(self._snapshots.values()) or [EMPTY])
        return replace(found, state=self._state, elapsed=self._clock.seconds() - self._started_at)
