"""Start a server of this folder as a process of its own and read what it logs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Hit(NamedTuple):
    """One request as the server saw it. Times are monotonic seconds, the same clock for every process of the machine."""

    arrived: float
    ended: float
    address: str  # the local address that was asked: 127.0.0.x
    in_flight: int  # requests open on that address when it arrived, this one included
    status: int
    path: str


class SiteProcess:
    """A running server. `url` ends with a slash; `port` is the one it listens on, on every of its addresses."""

    def __init__(self, program: Path, log: Path, *options: object) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, str(program), "--port", "0", "--log", str(log), *map(str, options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            self.stop()
            raise RuntimeError(f"{program} does not start")
        self.port = int(line)
        self.url = f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        return self._process.pid

    def urls(self, hosts: int) -> list[str]:
        """Return the index pages of the first `hosts` addresses."""
        return [f"http://127.0.0.{number}:{self.port}/" for number in range(1, hosts + 1)]

    def hits(self) -> list[Hit]:
        """Return every request that has ended, by arrival. The server writes its log at least every 0.2 s."""
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            arrived, ended, address, in_flight, status, path = line.split(" ", 5)
            found.append(Hit(float(arrived), float(ended), address, int(in_flight), int(status), path))
        return sorted(found)

    def wait_for_hits(self, count: int) -> list[Hit]:
        """Return every request that has ended once `count` are logged, or after five seconds."""
        deadline = time.monotonic() + 5
        while len(found := self.hits()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def stop(self) -> None:
        """Stop the server by its pid; its log is complete afterwards."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
