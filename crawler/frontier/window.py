"""The memory side of the frontier: per host, the head of its queue. Used by the reactor thread alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from crawler.model import Task

Place = tuple[int, int]
"""(rank, seq): where a URL stands in its host's queue."""

EVERYTHING: Final[Place] = (1 << 62, 0)
"""The limit of a window that holds all of its host's queue."""

_BUDGET: Final = 20_000  # tasks in memory over all hosts, as long as each host's share is at least _SMALLEST
_SMALLEST: Final = 2
_LARGEST: Final = 2_000


@dataclass(slots=True)
class HostQueue:
    """The window of one host. `ready` and `delayed` are heaps."""

    ready: list[tuple[int, int, Task]] = field(default_factory=list)
    delayed: list[tuple[float, int, Task]] = field(default_factory=list)  # (not before, seq, task)
    apart: dict[int, None] = field(default_factory=dict)  # seqs on lease or delayed: may lie beyond the limit, must not be read again
    limit: Place = EVERYTHING
    queued: int = 0  # in all: in memory, on disk and on lease
    refilling: bool = False


class Window:
    """All host queues. A host is in it as long as it has queued URLs."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostQueue] = {}
        self.queued = 0

    def __repr__(self) -> str:
        held = sum(len(queue.ready) + len(queue.delayed) for queue in self._hosts.values())
        return f"<Window hosts={len(self._hosts)} held={held} queued={self.queued}>"

    def __len__(self) -> int:
        return len(self._hosts)

    @property
    def share(self) -> int:
        """How many tasks one host's window should hold now."""
        return max(_SMALLEST, min(_LARGEST, _BUDGET // max(1, len(self._hosts))))

    def restore(self, host: str, queued: int) -> None:
        """Note at start that `host` has `queued` URLs on disk, none of them in memory yet."""
        self._hosts[host] = HostQueue(limit=(-(1 << 62), 0), queued=queued)
        self.queued += queued

    def admitted(self, tasks: Iterable[Task]) -> list[str]:
        """Take in URLs that have just become durable; return the hosts that they belong to."""
        touched: dict[str, None] = {}
        for task in tasks:
            queue = self._hosts.get(task.host)
            if queue is None:
                queue = self._hosts[task.host] = HostQueue()
            queue.queued += 1
            self.queued += 1
            if (task.rank, task.seq) <= queue.limit:
                heapq.heappush(queue.ready, (task.rank, task.seq, task))
                if len(queue.ready) > 2 * self.share:
                    self._trim(queue)
            touched[task.host] = None
        return list(touched)

    def _trim(self, queue: HostQueue) -> None:
        """Leave the far end of a window to the disk."""
        queue.ready.sort()
        del queue.ready[self.share :]
        last = queue.ready[-1]
        queue.limit = (last[0], last[1])

    def take(self, host: str, now: float) -> Task | None:
        """Lease the next URL of `host`, or None when there is none in memory whose time has come."""
        queue = self._hosts.get(host)
        if queue is None:
            return None
        if queue.delayed and queue.delayed[0][0] <= now:
            return heapq.heappop(queue.delayed)[2]
        if queue.ready:
            task = heapq.heappop(queue.ready)[2]
            queue.apart[task.seq] = None
            return task
        return None

    def give_back(self, task: Task) -> None:
        """Return a lease that came to nothing: the URL is in its place again, which may be on disk alone by now."""
        queue = self._hosts[task.host]
        queue.apart.pop(task.seq, None)
        if (task.rank, task.seq) <= queue.limit:
            heapq.heappush(queue.ready, (task.rank, task.seq, task))

    def delay(self, task: Task, until: float) -> None:
        """Return a lease to be tried again, not before `until` (monotonic seconds)."""
        heapq.heappush(self._hosts[task.host].delayed, (until, task.seq, task))

    def done(self, task: Task) -> None:
        """Note that a leased URL has its outcome; a host without queued URLs leaves the window."""
        queue = self._hosts[task.host]
        queue.apart.pop(task.seq, None)
        queue.queued -= 1
        self.queued -= 1
        if queue.queued == 0:
            del self._hosts[task.host]

    def wants_refill(self, host: str) -> Place | None:
        """Return after which place `host` needs more from the disk, or None. Asking marks it as being refilled."""
        queue = self._hosts.get(host)
        if queue is None or queue.refilling or len(queue.ready) > _LARGEST // 2 or queue.limit == EVERYTHING:
            return None
        if len(queue.ready) > self.share // 2 or len(queue.delayed) > 4 * self.share:
            return None
        queue.refilling = True
        return queue.limit

    def refilled(self, host: str, after: Place, tasks: list[tuple[Task, float]], *, complete: bool) -> None:
        """Take in what the disk had after `after`: (task, not before in monotonic seconds); `complete`: there is no more."""
        queue = self._hosts.get(host)
        if queue is None:
            return
        queue.refilling = False
        if queue.limit != after:  # trimmed meanwhile: what was read lies beyond the limit in part
            return
        for task, not_before in tasks:
            if task.seq in queue.apart:  # leased or delayed before the limit moved below it
                continue
            if not_before > 0:
                queue.apart[task.seq] = None
                heapq.heappush(queue.delayed, (not_before, task.seq, task))
            else:
                heapq.heappush(queue.ready, (task.rank, task.seq, task))
        if complete:
            queue.limit = EVERYTHING
        elif tasks:
            queue.limit = (tasks[-1][0].rank, tasks[-1][0].seq)

    def next_delayed(self, host: str) -> float | None:
        """Return when the first delayed URL of `host` may be taken, if nothing else of it can be taken before."""
        queue = self._hosts.get(host)
        if queue is None or queue.ready or not queue.delayed:
            return None
        return queue.delayed[0][0]

    def has_ready(self, host: str, now: float) -> bool:
        """Say whether `take` would return a URL."""
        queue = self._hosts.get(host)
        return queue is not None and bool(queue.ready or (queue.delayed and queue.delayed[0][0] <= now))

    def hosts(self) -> list[str]:
        """Return the names of all hosts with queued URLs."""
        return list(self._hosts)

    def queued_of(self, host: str) -> int:
        """Return how many URLs of `host` have no outcome yet."""
        queue = self._hosts.get(host)
        return queue.queued if queue else 0
