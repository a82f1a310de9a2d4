"""A list that may be longer than memory: read ahead by so much, answer out of order, hand out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults
from twisted.python.failure import Failure

T = TypeVar("T")
ReadMore = Callable[[], Deferred[list[str] | None]]
"""Fires with some more of a list, perhaps nothing just now, or with None at its end."""
WRITTEN_AT_ONCE: Final = 1000
"""Answers that one write gets at most."""


class Ordered(Generic[T]):
    """Turns a list into answers: as many, in the same order, each handed out as soon as all before it have been.

    The state is `_open`: the answers that are to come or wait for those before them, at most `ahead`.
    """

    def __init__(
        self, read: ReadMore, answer: Callable[[int, str], Deferred[T]], write: Callable[[list[T]], Deferred[None]], *, ahead: int
    ) -> None:
        """`answer(number, line)` is called for each line, counted from 1; `write` gets answers in order, one call at a time.

        At most `ahead` answers are open.
        """
        self._read = read
        self._answer = answer
        self._write = write
        self._room = DeferredSemaphore(ahead)
        self._open: deque[Deferred[T]] = deque()
        self._news: Deferred[None] | None = None  # what the writing side waits for, when nothing is open
        self._reading: Deferred[None] | None = None
        self._ended = False
        self._stopped = False

    def run(self) -> Deferred[bool]:
        """Fire when all is written, with whether the list came to its end; fails with what reading, answering or writing failed with."""
        self._reading = Deferred.fromCoroutine(self._read_all()).addErrback(self._after)
        writing = Deferred.fromCoroutine(self._write_all()).addErrback(self._after)
        return gatherResults([self._reading, writing], consumeErrors=True).addBoth(self._close)

    def stop(self) -> None:
        """Read no more and give up what is not answered; what is being written is written to its end."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()
        kept: deque[Deferred[T]] = deque()
        while self._open and self._open[0].called:
            kept.append(self._open.popleft())
        given_up, self._open = self._open, kept
        for answer in given_up:
            answer.cancel()
            answer.addErrback(lambda _: None)
        self._tell()

    async def _read_all(self) -> None:
        number = 0
        while not self._stopped and (lines := await self._read()) is not None:
            for line in lines:
                await self._room.acquire()
                if self._stopped:
                    return
                number += 1
                self._open.append(self._answer(number, line))
                self._tell()
        self._ended = True
        self._tell()

    async def _write_all(self) -> None:
        while ready := await self._next_answers():
            await self._write(ready)

    async def _next_answers(self) -> list[T]:
        """Wait for the next answer in order; return it with those behind it that are there already, or nothing at the end."""
        while not self._open and not self._ended and not self._stopped:
            self._news = Deferred()
            await self._news
        ready: list[T] = []
        while self._open and len(ready) < WRITTEN_AT_ONCE and (not ready or self._open[0].called):
            try:
                ready.append(await self._open[0])
            except CancelledError:
                if not self._stopped:
                    raise
                break
            self._open.popleft()
            self._room.release()
        return ready

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.callback(None)

    def _after(self, failure: Failure) -> Any:
        """One side has failed: end the other; being cancelled by `stop` is no failure."""
        if self._stopped and isinstance(failure.value, CancelledError):
            return None
        self.stop()
        return failure

    def _close(self, result: Any) -> Any:
        for answer in self._open:  # only after a failure, and those that failed with it were heard of
            answer.addErrback(lambda _: None)
        if isinstance(result, Failure):
            return getattr(result.value, "subFailure", result)  # of gatherResults' FirstError
        return not self._stopped
