"""How fast a total grows."""

from __future__ import annotations

from collections import deque
from typing import Final

_WINDOW: Final = 5.0  # seconds
_NOTED: Final = 100


class Rate:
    """Growth per second of a total over the last seconds."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque(maxlen=_NOTED)

    def note(self, now: float, total: int) -> None:
        """Note the total as it stands at `now` (seconds)."""
        self._noted.append((now, total))

    def per_second(self, now: float) -> float:
        """Return the growth per second; 0 when too little is known."""
        while self._noted and self._noted[0][0] < now - _WINDOW:
            self._noted.popleft()
        if len(self._noted) < 2:
            return 0.0
        (start, before), (_, after) = self._noted[0], self._noted[-1]
        return (after - before) / max(0.001, now - start)
