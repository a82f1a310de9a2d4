"""The reactor's own lag, measured all the time: how late a timer fires, and what ran when it was very late."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Protocol

_BEAT: Final = 0.05  # seconds between two heartbeats
_WINDOW: Final = 200  # heartbeats remembered: 10 seconds
_STEP: Final = 0.0005  # seconds: how finely the lags of the whole run are told apart
_STEPS: Final = 20_000  # ten seconds; longer lags count as the longest of all
_DEEPEST: Final = 12  # frames told of a stall


class Clock(Protocol):
    """What is needed of the reactor where nothing but time matters."""

    def seconds(self) -> float:
        """Return monotonic seconds."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Any:
        """Run a call later; as in Twisted's IReactorTime."""


class LagMeter:
    """Measures lag by a heartbeat on the reactor; a watching thread samples the reactor thread's stack during a stall."""

    def __init__(self, clock: Clock, *, threshold: float, on_stall: Callable[[float, str], None] | None = None) -> None:
        """Tell `on_stall(seconds, stack)` of each lag above `threshold` seconds."""
        self._clock = clock
        self._threshold = threshold
        self._on_stall = on_stall
        self._lags: deque[float] = deque(maxlen=_WINDOW)
        self._counts: Counter[int] = Counter()  # heartbeats by steps of lag, of the whole run
        self._due = 0.0
        self._call: Any = None
        self._stack = ""
        self._ended = threading.Event()
        self._reactor_thread = 0
        self.worst = 0.0

    def start(self) -> None:
        """Begin to measure; call it in the reactor's thread."""
        self._reactor_thread = threading.get_ident()
        self._schedule()
        if self._on_stall is not None:
            threading.Thread(target=self._watch, name="lag", daemon=True).start()

    def stop(self) -> None:
        """End measuring."""
        self._ended.set()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def recent(self) -> float:
        """Return the longest lag of the last ten seconds, in seconds."""
        return max(self._lags, default=0.0)

    def percentile(self, share: float) -> float:
        """Return the lag that `share` (0 to 1) of the whole run's heartbeats did not exceed, in seconds, to half a millisecond."""
        left = share * self._counts.total()
        for step, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return min(self.worst, (step + 1) * _STEP) if step < _STEPS else self.worst
        return self.worst

    def _schedule(self) -> None:
        self._due = time.monotonic() + _BEAT
        self._call = self._clock.callLater(_BEAT, self._beat)

    def _beat(self) -> None:
        lag = max(0.0, time.monotonic() - self._due)
        self._lags.append(lag)
        self._counts[min(_STEPS, int(lag / _STEP))] += 1
        self.worst = max(self.worst, lag)
        stack, self._stack = self._stack, ""
        self._schedule()
        if lag > self._threshold and self._on_stall is not None:
            self._on_stall(lag, stack)

    def _watch(self) -> None:
        while not self._ended.wait(self._threshold / 2):
            if not self._stack and time.monotonic() - self._due > self._threshold:
                frame = sys._current_frames().get(self._reactor_thread)
                if frame is not None:
                    self._stack = "".join(traceback.format_stack(frame)[-_DEEPEST:])
