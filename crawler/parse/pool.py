"""The parent's side: a fixed number of worker processes, each with a short queue, fed from one queue of pages.

A worker's queue is its socket: at most `queued.WINDOW` pages and `queued.WINDOW_BYTES` are in it, the first of which it is parsing. All
others wait here. So when a worker has to be killed, what it was doing is known, and the pages behind it are still in hand.

The mutable state is all in `ParsePool`: the pages that wait, the suspects that wait to be tried alone, and the workers.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred

from crawler.config import ParseSettings
from crawler.errors import WorkersDied
from crawler.model import Parsed, Reason
from crawler.parse.child import Child, ChildReactor
from crawler.parse.frames import Answer, FrameError, Setup, ToParse, Wanted, page_frame
from crawler.parse.queued import Page, Worker

LARGE: Final = 2 * 1024 * 1024
"""Bytes of a body of which only one is parsed at a time: its tree takes twenty times as much memory."""
PAGES_AHEAD: Final = 32
"""Pages not answered yet, for each worker, up to which the pool has room for more: some wait here while their workers are busy."""
DOUBTFUL_AHEAD: Final = 8
"""Doubtful pages among them, for each worker, up to which more of those are taken."""
BYTES_AHEAD: Final = 64 * 1024 * 1024
"""Bytes of their bodies, likewise."""
START_DEATHS: Final = 5
"""So many workers that died while starting within `START_WINDOW` seconds end the pool."""
START_WINDOW: Final = 10.0
_FIRST_BACK_OFF: Final = 0.1
_STOP_TIME: Final = 1.0
_LATE: Final = 0.1  # seconds by which the sweeper notices that the reactor was held up


class PoolStats(Struct, frozen=True):
    """The pool at one moment, and what it went through."""

    workers: int  # that are ready
    busy: int  # of them, those with a page
    waiting: int  # pages in no worker's queue
    restarts: int  # workers that died or left and were replaced
    killed: int  # workers killed because a page took too long


class Parse(Protocol):
    """`ParsePool.parse`, as its users see it."""

    def __call__(self, page: ToParse, *, doubtful: bool = False) -> Deferred[Parsed]:
        """Have a page parsed."""


class ParsePool:
    """Parses pages in worker processes; `start` it once, `stop` it once."""

    def __init__(
        self,
        reactor: ChildReactor,
        settings: ParseSettings,
        agent_token: str,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        wanted: Wanted | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._setup = Setup(
            page_memory=settings.page_memory,
            max_decoded=settings.max_decoded,
            max_links=settings.max_links,
            recycle_after=settings.recycle_after,
            agent_token=agent_token.lower(),
            wanted=wanted,
        )
        self._monotonic = monotonic
        self.size = settings.workers or len(os.sched_getaffinity(0))
        self._decoder = msgspec.msgpack.Decoder(Parsed)
        self._waiting: deque[Page] = deque()
        self._large_waiting: deque[Page] = deque()
        self._doubtful_waiting: deque[Page] = deque()
        self._suspects: deque[Page] = deque()
        self._workers: list[Worker] = []
        self._start_deaths: deque[float] = deque(maxlen=START_DEATHS)
        self._fault: WorkersDied | None = None
        self._running = False
        self._sweep_call: Any = None
        self._flush_call: Any = None  # set: frames are outgoing
        self._restarts = 0
        self._killed = 0
        self._doubtful = 0  # of the backlog
        self.backlog = 0
        """Pages not answered yet."""
        self.backlog_bytes = 0
        """Bytes of their bodies."""

    def start(self) -> None:
        """Start the workers; they are ready a tenth of a second later, pages may come at once."""
        self._running = True
        for _ in range(self.size):
            self._spawn()
        self._sweep()

    @property
    def has_room(self) -> bool:
        """Whether more should be fetched to be parsed: what is given to `parse` beyond that is taken all the same."""
        return self.backlog - self._doubtful < PAGES_AHEAD * self.size and self.backlog_bytes < BYTES_AHEAD

    @property
    def has_room_for_doubtful(self) -> bool:
        """Whether more doubtful pages should be fetched: fewer of them, so that they cannot take all the room."""
        return self._doubtful < DOUBTFUL_AHEAD * self.size

    def parse(self, page: ToParse, *, doubtful: bool = False) -> Deferred[Parsed]:
        """Have a page parsed; a `doubtful` one, which may take long, when no other waits, and one in each worker at a time.

        Fires with a Parsed whatever the page does. Fails with WorkersDied when no worker can be kept alive or the pool
        is stopped, and with CancelledError when cancelled: then the result is dropped.
        """
        answer: Deferred[Parsed] = Deferred(lambda _: self._cancelled(entry))
        entry = Page(page, answer, doubtful=doubtful)
        if self._fault is not None or not self._running:
            answer.errback(self._fault or WorkersDied("the parse workers are not running"))
            return answer
        self.backlog += 1
        self.backlog_bytes += entry.size
        self._doubtful += doubtful
        queue = self._queue_of(entry)
        blocked = self._waiting or queue or (self._large_waiting and not self._large_at_work())
        worker = None if blocked else self._least_loaded(entry)
        if worker is None:
            queue.append(entry)
        else:
            self._send(worker, entry)
        return answer

    def stats(self) -> PoolStats:
        """Return the state of the pool now."""
        ready = [worker for worker in self._workers if worker.ready]
        return PoolStats(
            workers=len(ready),
            busy=sum(1 for worker in ready if worker.queue),
            waiting=sum(map(len, (self._waiting, self._large_waiting, self._doubtful_waiting, self._suspects))),
            restarts=self._restarts,
            killed=self._killed,
        )

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        return [worker.child.pid for worker in self._workers]

    def stop(self) -> Deferred[None]:
        """End every worker, within a second or by force; fires when none is left. Unanswered pages fail with WorkersDied."""
        self._running = False
        for call in (self._sweep_call, self._flush_call):
            if call is not None and call.active():
                call.cancel()
        stopped: Deferred[None] = Deferred()
        self._fail_all(self._fault or WorkersDied("the parse workers were stopped"))
        for worker in self._workers:
            worker.child.close()
        self._await_end(stopped, self._monotonic() + _STOP_TIME)
        return stopped

    # What happens to a page

    def _queue_of(self, page: Page) -> deque[Page]:
        if page.doubtful:
            return self._doubtful_waiting
        return self._large_waiting if page.size >= LARGE else self._waiting

    def _least_loaded(self, page: Page) -> Worker | None:
        best = None
        if page.size >= LARGE and self._large_at_work():
            return None
        for worker in self._workers:
            if worker.has_room_for(page) and (best is None or len(worker.queue) < len(best.queue)):
                best = worker
        return best

    def _send(self, worker: Worker, page: Page) -> None:
        try:
            frame = page_frame(page.request)
        except FrameError as error:
            self._finish(page, Parsed(reason=Reason.PARSE, detail=f"cannot be given to a worker: {error}"[:200]))
            return
        if not worker.queue:
            worker.since = self._monotonic()
        worker.queue.append(page)
        worker.queued_bytes += page.size
        worker.outgoing += frame
        if self._flush_call is None:
            self._flush_call = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        """Write what is outgoing, in the turn after it was given: to wake a worker costs more than to write, so pages go together."""
        self._flush_call = None
        for worker in self._workers:
            self._write(worker)

    def _write(self, worker: Worker) -> None:
        if worker.outgoing:
            frames, worker.outgoing = worker.outgoing, []
            worker.child.write(frames)

    def _feed(self, worker: Worker) -> None:
        """Send what the worker has room for: a suspect when it can have it alone, else pages in their order."""
        while self._suspects and not worker.queue and worker.has_room_for(self._suspects[0]):
            suspect = self._suspects.popleft()
            if not suspect.done:
                self._send(worker, suspect)
        if not self._feed_large(worker):
            return
        for queue in (self._waiting, self._doubtful_waiting):
            while queue:
                page = queue[0]
                if not page.done and not worker.has_room_for(page):
                    break
                queue.popleft()
                if not page.done:
                    self._send(worker, page)

    def _feed_large(self, worker: Worker) -> bool:
        """Send a large page when it is its time; return whether `worker` may have others: not while it is emptied for that page."""
        while self._large_waiting and self._large_waiting[0].done:
            self._large_waiting.popleft()
        if not self._large_waiting or self._large_at_work():
            return True
        if not worker.has_room_for(self._large_waiting[0]):
            return False
        self._send(worker, self._large_waiting.popleft())
        for other in self._workers:  # those that were emptied, too
            self._feed(other)
        return True

    def _large_at_work(self) -> bool:
        return any(page.size >= LARGE for worker in self._workers for page in worker.queue)

    def _finish(self, page: Page, result: Parsed | WorkersDied) -> None:
        if page.done:
            return
        self._leave(page)
        if isinstance(result, Parsed):
            page.answer.callback(result)
        else:
            page.answer.errback(result)

    def _cancelled(self, page: Page) -> None:
        """Drop the result to come; a page that no worker has is not parsed at all."""
        if not page.done:
            self._leave(page)
            page.answer.errback(CancelledError())

    def _leave(self, page: Page) -> None:
        page.done = True
        self.backlog -= 1
        self.backlog_bytes -= page.size
        self._doubtful -= page.doubtful

    def _fail_all(self, fault: WorkersDied) -> None:
        pages = [page for worker in self._workers for page in worker.queue]
        for queue in (self._suspects, self._waiting, self._large_waiting, self._doubtful_waiting):
            pages += queue
            queue.clear()
        for worker in self._workers:
            worker.queue.clear()
            worker.outgoing.clear()
            worker.queued_bytes = 0
        for page in pages:
            self._finish(page, fault)

    # What a worker says

    def _answered(self, worker: Worker, answers: list[tuple[Answer, bytes]]) -> None:
        """Take answers that came together: the worker gets its next pages before anybody is told.

        Raises FrameError or msgspec.DecodeError when one is none; those before it count.
        """
        if not self._running:
            return
        finished: list[tuple[Page, Parsed]] = []
        try:
            for answer, payload in answers:
                if answer is Answer.READY:
                    worker.ready = True
                else:
                    finished.append(self._take_off(worker, answer, payload))
            worker.since = self._monotonic()
            self._feed(worker)
            self._write(worker)
        finally:
            for page, parsed in finished:
                self._finish(page, parsed)

    def _take_off(self, worker: Worker, answer: Answer, payload: bytes) -> tuple[Page, Parsed]:
        """Take the page at the head of the queue, which is answered, off it."""
        if not worker.queue:
            raise FrameError("an answer to no page")
        parsed = self._decoder.decode(payload)
        page = worker.queue.popleft()
        worker.queued_bytes -= page.size
        if answer is Answer.PARSED_LAST:
            worker.retiring = True
        return page, parsed

    # The life of workers

    def _spawn(self) -> None:
        if not self._running or self._fault is not None:
            return
        try:
            child = Child(self._reactor, self._setup)
        except OSError as error:  # no descriptors, no memory, no more processes
            self._died_starting(f"could not be started: {error}")
            return
        worker = Worker(child, self._monotonic())
        self._workers.append(worker)
        child.connect(
            lambda answers: self._answered(worker, answers),
            lambda ending: self._ended(worker, ending),
        )

    def _ended(self, worker: Worker, ending: str) -> None:
        """A worker's process is gone: its pages go back to the queue, but for one that had its chance."""
        self._workers.remove(worker)
        if not self._running:
            return
        self._restarts += 1
        pages = list(worker.queue)
        if pages and not worker.retiring:
            suspect = pages.pop(0)
            suspect.deaths += 1
            self._judge(suspect, f"worker timed out after {self._settings.page_time:g} s" if worker.overdue else f"worker {ending}")
        for page in reversed(pages):
            if not page.done:
                self._queue_of(page).appendleft(page)
        if not worker.ready:
            self._died_starting(ending)
        elif worker.queue or worker.retiring:
            self._spawn()
        else:  # killed from outside while idle: no page to blame, no hurry
            self._reactor.callLater(_FIRST_BACK_OFF, self._spawn)
        for other in self._workers:
            self._feed(other)

    def _judge(self, suspect: Page, detail: str) -> None:
        if suspect.deaths > 1:
            self._finish(suspect, Parsed(reason=Reason.PARSE, detail=detail))
        elif not suspect.done:
            self._suspects.append(suspect)

    def _died_starting(self, ending: str) -> None:
        now = self._monotonic()
        self._start_deaths.append(now)
        recent = sum(1 for death in self._start_deaths if now - death < START_WINDOW)
        if recent == START_DEATHS:
            self._fault = WorkersDied(
                f"{START_DEATHS} parse workers died while starting (the last {ending}): is the installation whole, is there memory left?"
            )
            self._fail_all(self._fault)
        else:
            self._reactor.callLater(_FIRST_BACK_OFF * 2 ** (recent - 1), self._spawn)

    def _sweep(self, due: float | None = None) -> None:
        """Kill every worker that is overdue; one timer for all.

        When the reactor itself was late, answers may lie unread in the sockets: the workers are given that time.
        """
        now = self._monotonic()
        late = now - due if due is not None else 0.0
        for worker in self._workers:
            if late > _LATE:
                worker.since += late
            allowed = worker.allowed(self._settings.page_time)
            if allowed is not None and now - worker.since > allowed:
                worker.overdue = True
                self._killed += 1
                worker.child.kill()
        interval = min(0.5, max(0.02, self._settings.page_time / 10))
        self._sweep_call = self._reactor.callLater(interval, self._sweep, now + interval)

    def _await_end(self, stopped: Deferred[None], deadline: float) -> None:
        if not self._workers:
            stopped.callback(None)
            return
        if self._monotonic() > deadline:
            for worker in self._workers:
                worker.child.kill()
        self._reactor.callLater(0.01, self._await_end, stopped, deadline)
