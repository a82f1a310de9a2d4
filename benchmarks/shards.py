"""How a crawl grows with parse workers and with reactor processes, and where one reactor is the limit.

    python benchmarks/shards.py [--rounds 3] [--hosts 40] [--pages 150] [--json]

Crawls a generated site of many hosts, which link to each other, by 1 process with 1 to 4 parse workers and by 2 and 3 processes. Rates by
the clock depend on how many processors there are for the crawler, its workers and the site (all are on this machine); CPU time does not: a
reactor that spends R µs a page cannot do more than 1 000 000 / R pages/s, however many workers it feeds. Beyond that, another process is
what helps, if there are processors left: what it costs is the difference between the rows of equal workers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from processes import run

ROOT = Path(__file__).resolve().parent.parent
SETUPS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 2), (2, 4), (3, 3))
"""(processes, parse workers of all together)"""
HEADS = ("processes", "workers", "pages/s", "CPU µs/page, all", "of it the first process", "its share of the time")


class Round(NamedTuple):
    pages: int
    seconds: float
    cpu: float  # seconds, of all processes
    first: float  # of the process that was started: the reactor's of one, the conductor's of several


def crawl(url: str, folder: Path, processes: int, workers: int) -> Round:
    home = folder / f"{processes}-{workers}-{time.monotonic_ns()}"
    options = ["--scope", "any", "--delay", "0", "--per-host", "16", "--allow-address", "127.0.0.0/8", "--workers", str(workers)]
    command = [sys.executable, "-m", "crawler.cli", "run", url, "--dir", str(home), "--processes", str(processes), "--json", *options]
    spent = run(command, folder, 600, os.environ | {"PYTHONPATH": str(ROOT)})
    if spent.code:
        raise SystemExit(f"{' '.join(command)}: exit code {spent.code}: {spent.stderr[-500:]}")
    summary = json.loads(spent.stderr.splitlines()[-1])
    return Round(summary["outcomes"]["fetched"], summary["elapsed"], spent.cpu, spent.cpu_main)


def row(processes: int, workers: int, rounds: list[Round]) -> dict[str, float]:
    """Return medians over the rounds: rates in pages/s, CPU time in µs a page."""
    return {
        "processes": processes,
        "workers": workers,
        "pages_per_second": statistics.median(one.pages / one.seconds for one in rounds),
        "cpu_us": statistics.median(one.cpu / one.pages * 1e6 for one in rounds),
        "first_us": statistics.median(one.first / one.pages * 1e6 for one in rounds),
        "first_share": statistics.median(one.first / one.seconds for one in rounds),
    }


def tell(rows: list[dict[str, float]]) -> None:
    print("  ".join(HEADS))
    for one in rows:
        cells = [f"{value:.0%}" if name == "first_share" else f"{value:.0f}" for name, value in one.items()]
        print("  ".join(cell.rjust(len(head)) for cell, head in zip(cells, HEADS, strict=True)))
    alone = rows[0]
    print(f"\nOne reactor's limit by CPU time: {1e6 / alone['first_us']:.0f} pages/s.")
    print(f"This machine has {os.cpu_count()} processors for crawler and site together: beyond them the rates by the clock say nothing.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=40)
    parser.add_argument("--pages", type=int, default=150, help="of each host")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    site = [
        sys.executable,
        str(ROOT / "tests/sites/generated.py"),
        "--port",
        "0",
        "--hosts",
        str(options.hosts),
        "--pages",
        str(options.pages),
    ]
    with tempfile.TemporaryDirectory() as name, subprocess.Popen([*site, "--log", os.devnull], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        found: dict[tuple[int, int], list[Round]] = {setup: [] for setup in SETUPS}
        try:
            for _ in range(options.rounds):  # in turns: what else the machine does hits all alike
                for setup in SETUPS:
                    found[setup].append(crawl(url, Path(name), *setup))
        finally:
            server.terminate()
    rows = [row(*setup, rounds) for setup, rounds in found.items()]
    print(json.dumps(rows)) if options.json else tell(rows)


if __name__ == "__main__":
    main()
