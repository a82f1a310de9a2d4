"""Group commit: one writer thread turns what the reactor submits into one transaction per batch.

The reactor thread calls `submit` and gets a Deferred that fires once the operation is durable. The writer thread alone
touches SQLite and the files. What a batch brought to light (new tasks, counters) is handed back in one call, in the order of
the transactions, before the Deferreds of that batch fire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from crawler.config import StoreSettings
from crawler.errors import CrawlError
from crawler.frontier.sqlite import Candidate, SqliteFrontier
from crawler.model import Kind, Link, Task, Via
from crawler.store.counters import Counters
from crawler.store.faults import explained
from crawler.store.home import Home
from crawler.store.logs import Logs
from crawler.store.operations import Admission, Completion, HostPause, Operation, Postponement, Refill, StateChange
from crawler.store.outbox import Arrival, Aside, Outbox
from crawler.store.outputs import JsonLines, StreamOutput, encoded
from crawler.store.refused import Refusal, RefusedLinks
from crawler.store.schema import write_meta

_READS_AT_ONCE: Final = 256  # hosts
_SAME_DEPTH: Final = frozenset((Via.REDIRECT, Via.CANONICAL, Via.REQUISITE))
"""Ways to a URL that lead no deeper."""


class Committed(Struct, frozen=True):
    """What a transaction brought to light."""

    tasks: list[Task]
    counters: Counters


class WriterReactor(Protocol):
    """What the writer needs of a reactor."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Any:
        """Call later; as in Twisted's IReactorTime."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> Any:
        """Call in the reactor's thread; as in Twisted's IReactorFromThreads."""


Batch = list[tuple[Operation, Deferred[Any]]]


class Writer:
    """The writer thread and its queue."""

    def __init__(
        self,
        home: Home,
        frontier: SqliteFrontier,
        settings: StoreSettings,
        reactor: WriterReactor,
        *,
        keep_edges: bool = False,
    ) -> None:
        """Commit every `commit_interval` seconds or `commit_pages` operations, whichever comes first.

        `keep_edges`: there is a depth limit, so shorter paths that are found later matter.
        """
        self._home = home
        self._logs = Logs(home)
        self._db = home.connection
        self._frontier = frontier
        self._reactor = reactor
        self._call = reactor.callFromThread
        self._interval = settings.commit_interval
        self._batch_pages = settings.commit_pages
        self._keep_edges = keep_edges
        self.on_committed: Callable[[Committed], None] = lambda _: None
        """Called in the reactor's thread with what each transaction brought to light."""
        self.admits: Callable[[Link], bool] = lambda _: False
        """The door, for links that the scope refused before it grew; called in the writer thread."""
        self.outbox: Outbox | None = None
        """Takes the links of hosts that other processes of this crawl own; set before `start`."""
        self.streams: list[StreamOutput] = []
        """Where lines go once they are durable; add before `start`."""
        self._pending: Batch = []  # handed over together: a thread that woke for each operation would fight for the interpreter lock
        self._timer: Any = None
        self._queue: SimpleQueue[Batch | Deferred[None]] = SimpleQueue()
        self._reads: SimpleQueue[tuple[Refill, Deferred[Any]]] = SimpleQueue()
        self._counters = Counters.load(self._db)
        self._refused = RefusedLinks(self._db)
        self._broken: CrawlError | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.backlog = 0  # operations submitted and not yet durable; reactor thread only

    # -- reactor thread ------------------------------------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """The counters as of the last transaction."""
        return self._counters

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, operation: Operation) -> Deferred[Any]:
        """Queue an operation; the Deferred fires with it when it is durable (a `Refill` or `Aside`: with what was read).

        It fails with StoreError when the disk does not take it; nothing of its batch counts then.
        """
        done: Deferred[Any] = Deferred()
        self.backlog += 1
        if isinstance(operation, Refill):
            self._reads.put((operation, done))
            self._queue.put([])  # wakes the thread
            return done
        if isinstance(operation, Aside):
            self._queue.put([(operation, done)])
            return done
        self._pending.append((operation, done))
        if len(self._pending) >= self._batch_pages:
            self.hurry()
        elif self._timer is None:
            self._timer = self._reactor.callLater(self._interval, self.hurry)
        return done

    def hurry(self) -> None:
        """Commit what was submitted now: the batch is full, its time is up, or nothing else is going on that it could wait for."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._pending:
            self._queue.put(self._pending)
            self._pending = []

    def close(self) -> Deferred[None]:
        """Commit what was submitted, end the thread, close the home."""
        self.hurry()
        if not self._thread.is_alive():
            self._home.close()
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._queue.put(done)
        return done

    def _acknowledge(self, committed: Committed | None, acks: list[tuple[Deferred[Any], Any]]) -> None:
        self.backlog -= len(acks)
        if committed is not None:
            self.on_committed(committed)
        for done, result in acks:
            done.callback(result)

    def _refuse(self, error: CrawlError, waiting: list[Deferred[Any]]) -> None:
        self.backlog -= len(waiting)
        for done in waiting:
            done.errback(error)

    # -- writer thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            batch, closing = self._gather()
            if batch:
                self._serve(batch)
            if closing is not None:
                try:
                    self._home.close()
                finally:
                    self._call(closing.callback, None)
                return

    def _gather(self) -> tuple[Batch, Deferred[None] | None]:
        """Wait for a batch, and take those that came meanwhile along: a slow disk makes larger transactions."""
        batch: Batch = []
        while True:
            item = self._queue.get()
            self._serve_reads()
            if isinstance(item, Deferred):
                return batch, item
            for operation, done in item:
                if isinstance(operation, Aside):
                    self._do_aside(operation, done)
                else:
                    batch.append((operation, done))
            if len(batch) >= self._batch_pages or self._queue.empty():
                return batch, None

    def _serve_reads(self) -> None:
        """Read for all that wait, before anything is written: hosts without URLs in memory stand still. Many at once are one query."""
        left = self._reads.qsize()
        while left > 0:
            reads = [self._reads.get() for _ in range(min(left, _READS_AT_ONCE))]
            left -= len(reads)
            wanted = [(read.host, read.after, read.limit) for read, _ in reads]
            self._read(lambda wanted=wanted: self._frontier.read_queues(wanted), [done for _, done in reads])  # type: ignore[misc]

    def _do_aside(self, operation: Aside, done: Deferred[Any]) -> None:
        self._read(lambda: [operation.act()], [done])

    def _read(self, act: Callable[[], list[Any]], waiting: list[Deferred[Any]]) -> None:
        """Do what only this thread may, between two transactions; `act` returns a result for each that waits."""
        try:
            results = act()
        except Exception as error:
            self._call(self._refuse, explained(self._home, error), waiting)
            return
        self._call(self._acknowledge, None, list(zip(waiting, results, strict=True)))

    def _serve(self, batch: Batch) -> None:
        """Make a batch durable and tell the reactor; after a failure every later batch is refused, too."""
        if self._broken is None:
            try:
                committed = self._transact([operation for operation, _ in batch])
            except Exception as error:  # a fault of ours, too, must end the crawl and not this thread, or all would wait for ever
                self._broken = explained(self._home, error)
                self._roll_back()
            else:
                self._call(self._acknowledge, committed, [(done, operation) for operation, done in batch])
                return
        self._call(self._refuse, self._broken, [done for _, done in batch])

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _transact(self, operations: list[Operation]) -> Committed:
        """Files first, then one transaction. The order is the whole guarantee: see the package's docstring."""
        completions = [operation for operation in operations if isinstance(operation, Completion)]
        counters = self._counters.copy()
        records = [completion.record for completion in completions]
        lines = JsonLines.lines(records)
        places = self._append(completions, lines)
        self._sync_files(bool(lines))
        self._db.execute("BEGIN IMMEDIATE")
        tasks = self._apply(operations, completions, places, counters)
        self._store_lengths()
        self._store_counters(counters)
        self._commit()
        self._counters = counters
        for stream in self.streams if records else ():
            stream.emit(encoded(stream.encoder, records, lines))
        return Committed(tasks, counters)

    def _append(self, completions: list[Completion], lines: list[bytes]) -> list[int]:
        return self._logs.append(completions, lines)

    def _sync_files(self, any_records: bool) -> None:
        if any_records:
            self._logs.sync()

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _apply(self, operations: list[Operation], completions: list[Completion], places: list[int], counters: Counters) -> list[Task]:
        """Write a batch into the open transaction; return the URLs that are newly queued."""
        candidates: list[Candidate] = []
        refused: list[Refusal] = []
        for operation in operations:
            match operation:
                case Completion():
                    refused += operation.refused
                    if not self._keep_edges:
                        candidates += operation.candidates
                case Admission():
                    candidates += operation.candidates
                    refused += operation.refused
                    if operation.robots:
                        self._db.execute(
                            "INSERT OR REPLACE INTO robots (origin, entry) VALUES (?, ?)", (operation.origin, operation.robots)
                        )
                case Postponement():
                    self._frontier.postpone(operation.task, operation.attempts, operation.not_before)
                    counters.retries += 1
                case HostPause():
                    self._frontier.pause_host(operation.host, operation.until)
                case StateChange():
                    write_meta(self._db, "state", operation.state)
                    write_meta(self._db, "why", operation.why)
                    counters.elapsed += operation.elapsed
                case Refill() | Aside():
                    raise AssertionError("reads are served apart")
        if completions:
            counters.count([(completion.record, completion.task.kind) for completion in completions])
            counters.count_extras([completion.extras for completion in completions if completion.extras is not None])
            self._frontier.finish([(c.task, c.record.outcome, place) for c, place in zip(completions, places, strict=True)])
        if self._keep_edges and completions:
            candidates += self._edges(completions)
        self._refused.add(refused, counters.refused)
        if any(isinstance(operation, Completion | Arrival) and operation.scope_grew for operation in operations):
            candidates += self._refused.reconsider(self.admits, counters.refused)
        admitted = self._frontier.admit(self._ours(candidates, operations))
        over = [Refusal(c.key, c.url, "host_budget", c.referrer, c.depth) for c in admitted.over_budget]
        self._refused.add(over, counters.refused)
        counters.refused["depth"] = counters.refused.get("depth", 0) + admitted.too_deep
        counters.admitted += len(admitted.tasks)
        return admitted.tasks

    def _ours(self, candidates: list[Candidate], operations: list[Operation]) -> list[Candidate]:
        if self.outbox is None:
            return candidates
        return self.outbox.divert(candidates) + self.outbox.take_in(operations)

    def _edges(self, completions: list[Completion]) -> list[Candidate]:
        """Under a depth limit: keep where each page leads, and count from the shortest path to it that is known by now."""
        depths = self._frontier.parents_depth([completion.task.seq for completion in completions])
        rows, found = [], []
        for completion in completions:
            if completion.task.kind is Kind.SITEMAP:  # its entries have a depth of their own
                found += completion.candidates
                continue
            own = depths[completion.task.seq]
            near: list[int] = []
            far: list[int] = []
            for candidate in completion.candidates:
                here = candidate.via in _SAME_DEPTH
                (near if here else far).append(candidate.key)
                found.append(replace(candidate, depth=own if here else own + 1))
            rows.append((completion.task.key, near, far))
        self._frontier.remember_edges(rows)
        return found

    def _store_lengths(self) -> None:
        self._logs.store_lengths(self._db)

    def _store_counters(self, counters: Counters) -> None:
        counters.store(self._db)
        write_meta(self._db, "seq", self._frontier.seq)
