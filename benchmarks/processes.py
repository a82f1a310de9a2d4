"""What a process and its children cost, read from /proc while they run (Linux), and by the kernel's own account at their end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARES_EVERY = 4
"""Samples for each one that reads proportional shares: the kernel walks the page tables for them."""


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


def share(pid: int) -> int:
    """Return a process's memory with what it shares divided among those that share it (PSS), in bytes; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class Watch:
    """Samples a process and its family in a thread of its own until `stop`."""

    def __init__(self, pid: int, interval: float = 0.25) -> None:
        self.pid = pid
        self.samples: list[tuple[float, dict[int, Cost]]] = []  # time.monotonic(), by pid
        self.peak_share = 0  # bytes
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            now = {pid: found for pid in family(self.pid) if (found := cost(pid)) is not None}
            if now:
                self.samples.append((time.monotonic(), now))
                if len(self.samples) % _SHARES_EVERY == 0:
                    self.peak_share = max(self.peak_share, sum(share(pid) for pid in now))
            if self._ended.wait(self._interval):
                return

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def peak(self) -> int:
        """Return the greatest sum of resident memory of all processes at one moment, in bytes."""
        return max((sum(found.resident for found in processes.values()) for _, processes in self.samples), default=0)

    def cpu(self) -> dict[int, float]:
        """Return the CPU seconds of each process as last seen."""
        last: dict[int, float] = {}
        for _, processes in self.samples:
            last.update({pid: found.cpu for pid, found in processes.items()})
        return last


class Spent(NamedTuple):
    """A program that has run to its end; times in seconds, `began` and `ended` since the epoch, memory in bytes."""

    code: int
    began: float
    ended: float
    cpu: float  # of the process and all that it waited for
    cpu_main: float  # of the process alone
    resident: int  # peak of all processes together
    share: int  # the same by proportional shares; 0 when it ended too soon
    stderr: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def run(command: Sequence[str], cwd: Path, timeout: float, env: dict[str, str] | None = None) -> Spent:
    """Run a program to its end, or until `timeout` seconds have passed, when it is killed; its standard output goes to a file there."""
    with (cwd / "stdout").open("wb") as told, (cwd / "stderr").open("w+b") as complaints:
        began = time.time()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=told, stderr=complaints)
        limit = threading.Timer(timeout, process.kill)
        limit.start()
        watch = Watch(process.pid, interval=0.1)
        # Where the process has ended but is not waited for, /proc still has its own times apart from its children's.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        ended = time.time()
        limit.cancel()
        main = cost(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # nobody need wait for it any more
        watch.stop()
        complaints.seek(0)
        text = complaints.read().decode(errors="replace")
    cpu = used.ru_utime + used.ru_stime
    return Spent(process.returncode, began, ended, cpu, main.cpu if main else cpu, watch.peak(), watch.peak_share, text)
