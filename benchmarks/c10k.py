"""10 000 requests at once from one process to slow servers on 127.0.0.0/8: over our agent, and with a thread for each.

    python benchmarks/c10k.py --requests 10000 --seconds 20

The servers, four processes with 25 addresses each, answer `--seconds` after a request has come. Each client is a process of its own. It
begins all requests as fast as it can, so that all are under way before the first is answered; the servers tell how many really were.
Memory is resident memory at its peak less that before the first request, by request. Lag is how late a timer of 10 ms fires: while
all are under way and nothing happens, and while the answers come. The CPU time that the process itself took between two beats of that
timer tells its own stalls from those that a busy machine makes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import document  # noqa: E402
import plots  # noqa: E402
from document import Section, Verdict  # noqa: E402
from slow_server import BACKLOG, SlowServers, Times  # noqa: E402

PROGRAM = ROOT / "benchmarks" / "c10k_clients.py"
CLIENTS = {"agent": "our agent", "crawler": "our agent, as the crawler calls it", "threads": "a thread for each request"}
OURS = ("agent", "crawler")
KILOBYTE = 1000
MOST = 30 * KILOBYTE
"""Bytes of memory for a request in flight."""
SPARE_DESCRIPTORS = 100


class Found(NamedTuple):
    """What one client came to."""

    told: dict[str, Any]  # by the client
    at_once: int  # requests that the servers had at one moment
    kernel: int  # bytes that the kernel's objects grew by, both ends of each connection included

    @property
    def memory(self) -> float:
        """Bytes of resident memory for each request."""
        return float(self.told["peak"] - self.told["before"]) / max(1, self.told["begun"])


class Slab(threading.Thread):
    """Watches how large the kernel's objects grow, where /proc tells."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.before = self.peak = slab()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, slab())

    def stop(self) -> int:
        """Return by how many bytes they grew."""
        self._ended.set()
        self.join()
        return self.peak - self.before


def slab() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("SUnreclaim:"):
            return int(line.split()[1]) * 1024
    return 0


def most_at_once(times: list[Times]) -> int:
    """Return how many requests were with the servers at the moment when there were the most."""
    steps = sorted([(one.came, 1) for one in times] + [(one.answered, -1) for one in times])
    return max(itertools.accumulate(step for _, step in steps), default=0)


def raise_limit(requests: int) -> list[str]:
    """Raise the limit of open files as far as it goes; return what stands in the way of so many requests."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    told = []
    if hard != resource.RLIM_INFINITY and hard < requests + SPARE_DESCRIPTORS:
        told.append(f"this process may open {hard} files: too few for {requests} requests at once (ulimit -Hn raises the limit)")
    queue = int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    if queue < BACKLOG:
        told.append(f"net.core.somaxconn is {queue}: connections that come faster wait for the kernel to try again")
    return told


def run(client: str, arguments: argparse.Namespace, cores: list[int]) -> Found:
    """Run one client against servers of its own. Raises SystemExit when it fails."""
    os.sched_setaffinity(0, set(cores[1:] or cores))
    servers = [
        SlowServers([f"127.{10 + process}.0.{number}" for number in range(1, arguments.addresses + 1)], arguments.seconds)
        for process in range(arguments.processes)
    ]
    watch = Slab()
    try:
        command = [sys.executable, str(PROGRAM), client, "--requests", str(arguments.requests), "--seconds", str(arguments.seconds)]
        command += ["--core", str(cores[0])] if len(cores) > 1 else []
        urls = "\n".join(url for server in servers for url in server.urls)
        done = subprocess.run(command, input=urls, capture_output=True, text=True, timeout=arguments.timeout, check=False)
    finally:
        kernel = watch.stop()
        times = [one for server in servers for one in server.stop()]
    if done.returncode:
        raise SystemExit(f"{client} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Found(json.loads(done.stdout), most_at_once(times), kernel)


def verdicts(found: dict[str, Found], requests: int) -> list[Verdict]:
    """Return what had to be shown, in words, and whether it was."""
    told = []
    for client in OURS:
        one = found[client]
        answered = one.told["answered"]
        told.append(Verdict(f"{CLIENTS[client]}: {answered} of {requests} answered {one.told['problem']}".rstrip(), answered == requests))
        told.append(Verdict(f"{CLIENTS[client]}: {one.at_once} of {requests} at once", one.at_once == requests))
        kilobytes = f"{one.memory / KILOBYTE:.1f} kB a request (at most {MOST / KILOBYTE:.0f})"
        told.append(Verdict(f"{CLIENTS[client]}: {kilobytes}", one.memory <= MOST))
    return told


def milliseconds(lags: dict[str, float] | None) -> str:
    return f"{lags['p99'] * 1000:.1f} ({lags['max'] * 1000:.0f})" if lags is not None else "never"


def table(found: dict[str, Found]) -> str:
    rows = []
    for client, one in found.items():
        told = one.told
        counts = [str(told["begun"]), str(one.at_once), str(told["answered"])]
        memory = [f"{one.memory / KILOBYTE:.1f} kB", f"{one.kernel / KILOBYTE / max(1, told['begun']):.1f} kB"]
        lags = map(milliseconds, (told["lags"]["under way"], told["lags"]["end"], told["busy"]["end"]))
        rows.append([CLIENTS[client], *counts, *memory, *lags])
    return document.table(["client", "begun", "at once", "answered", "memory each", "kernel", "idle lag", "lag", "own CPU"], rows)


def section(found: dict[str, Found], problems: list[str], arguments: argparse.Namespace) -> Section:
    how = (
        f"{arguments.requests} requests to servers that take {arguments.seconds:g} s for an answer (`benchmarks/c10k.py`). Memory is "
        "resident memory at its peak less that before, by request; the kernel's comes on top, both ends of each connection. "
        "Lag is p99 (max) in ms, idle while all are under way, else while the answers come; own CPU is what the process itself took within "
        "it."
    )
    clients = {client: one.told | {"at_once": one.at_once, "memory": one.memory, "kernel": one.kernel} for client, one in found.items()}
    bars = [plots.Bar(CLIENTS[name], one.memory, f"{one.memory / KILOBYTE:.1f} kB", name in OURS) for name, one in found.items()]
    plot = plots.bars("Memory of a request that waits", f"{arguments.requests} at once; shorter is better", bars)
    result = {"clients": clients, "problems": problems}
    text = "\n\n".join([table(found), *problems])
    return Section("c10k", "Ten thousand requests at once", how, text, {"c10k": plot}, verdicts(found, arguments.requests), result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="what the servers take for an answer")
    parser.add_argument("--processes", type=int, default=4, help="of servers")
    parser.add_argument("--addresses", type=int, default=25, help="of each")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two clients, for the kernel to clear away")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which a client is given up")
    document.add_options(parser, rounds=None)
    arguments = parser.parse_args()
    problems = raise_limit(arguments.requests)
    cores = sorted(os.sched_getaffinity(0))
    found = {}
    for client in CLIENTS:
        if found:
            time.sleep(arguments.pause)
        found[client] = run(client, arguments, cores)
    document.deliver(section(found, problems, arguments), arguments)


if __name__ == "__main__":
    main()
