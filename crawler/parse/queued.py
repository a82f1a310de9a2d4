"""A page on its way through the pool, and a worker as the pool sees it: what lies in its socket, and since when."""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import Deferred

from crawler.model import Parsed
from crawler.parse.child import Child
from crawler.parse.frames import ToParse

WINDOW: Final = 3
"""Pages in a worker's socket at once: one being parsed, one ready behind it, one on its way."""
WINDOW_BYTES: Final = 4 * 1024 * 1024
"""Bytes of bodies in a worker's socket; a larger body goes alone."""
START_TIME: Final = 30.0
"""Seconds a worker may take to say that it is ready."""


class Page:
    """A page on its way: `deaths` counts the workers that died with it at the head of their queue."""

    __slots__ = ("answer", "deaths", "done", "doubtful", "request", "size")

    def __init__(self, request: ToParse, answer: Deferred[Parsed], *, doubtful: bool) -> None:
        self.request = request
        self.doubtful = doubtful
        self.answer = answer
        self.size = len(request.body)
        self.deaths = 0
        self.done = False


class Worker:
    """A child process, the pages in its socket, and when it began with the first of them."""

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.queue: deque[Page] = deque()
        self.outgoing: list[bytes] = []  # frames of the last of them, not written to the socket so far
        self.queued_bytes = 0
        self.since = now  # when its present work began: starting up, or the page at the head of the queue
        self.ready = False
        self.retiring = False  # it said that it leaves
        self.overdue = False  # it was killed for it

    def allowed(self, page_time: float) -> float | None:
        """Return how many seconds its present work may take, None when it has none."""
        if self.overdue:
            return None
        if self.retiring or not self.ready:
            return START_TIME
        return page_time if self.queue else None

    def has_room_for(self, page: Page) -> bool:
        """Say whether `page` may be sent."""
        if not self.ready or self.retiring or self.overdue:
            return False
        if not self.queue:
            return True
        if page.doubtful and any(other.doubtful for other in self.queue):
            return False
        return len(self.queue) < WINDOW and self.queued_bytes + page.size <= WINDOW_BYTES and not self.queue[0].deaths
