"""What a process and its children cost, read from /proc while they run (Linux)."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Cost(NamedTuple):
    """One process at one moment."""

    name: str
    resident: int  # bytes
    cpu: float  # seconds, user and system


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, the process itself first."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cost(pid: int) -> Cost | None:
    """Return what a process costs now, or None when it has gone."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    fields = rest.split()
    return Cost(head.partition("(")[2], int(fields[21]) * _PAGE, (int(fields[11]) + int(fields[12])) / _TICK)


class Watch:
    """Samples a process and its family in a thread of its own until `stop`."""

    def __init__(self, pid: int, interval: float = 0.25) -> None:
        self.pid = pid
        self.samples: list[tuple[float, dict[int, Cost]]] = []  # time.monotonic(), by pid
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            now = {pid: found for pid in family(self.pid) if (found := cost(pid)) is not None}
            if now:
                self.samples.append((time.monotonic(), now))
            if self._ended.wait(self._interval):
                return

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def peak(self) -> int:
        """Return the greatest sum of resident memory of all processes at one moment, in bytes."""
        return max(sum(found.resident for found in processes.values()) for _, processes in self.samples)

    def cpu(self) -> dict[int, float]:
        """Return the CPU seconds of each process as last seen."""
        last: dict[int, float] = {}
        for _, processes in self.samples:
            last.update({pid: found.cpu for pid, found in processes.items()})
        return last
