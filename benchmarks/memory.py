"""Memory of all processes together against the number of pages crawled, on a generated site on loopback.

    python benchmarks/memory.py --pages 200000

prints a line for each step, and at the end the memory then relative to the memory at `--reference` pages (20 000).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import plots  # noqa: E402
from document import Section, Verdict  # noqa: E402
from processes import cost, family  # noqa: E402
from sites.process import SiteProcess  # noqa: E402

MEGABYTE = 1024 * 1024
GROWTH = 1.15
SHOWN = 1000  # pages from which the curve is drawn


class Step(NamedTuple):
    """The crawl at one moment; memory is resident memory in bytes."""

    pages: int
    seconds: float
    main: int
    workers: int

    @property
    def total(self) -> int:
        return self.main + self.workers


class PageCounter:
    """Counts the lines of a growing file without reading any twice."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self.lines = path, 0, 0

    def update(self) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
            self._at += len(data)
            self.lines += data.count(b"\n")
        return self.lines


def measure(pages: int, options: list[str], interval: float, folder: Path) -> list[Step]:
    """Crawl a generated site of `pages` pages and return a step every `interval` seconds."""
    site = SiteProcess(ROOT / "tests" / "sites" / "generated.py", Path("/dev/null"), "--pages", pages)
    output = folder / "out.jsonl"
    command = [sys.executable, "-m", "crawler.cli", "run", site.url, "--dir", str(folder / "home"), "-o", str(output), "-q", *options]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    complaints: list[bytes] = []
    reader = threading.Thread(target=lambda: complaints.extend(process.stderr or ()), daemon=True)
    reader.start()
    counter, steps = PageCounter(output), []
    try:
        while process.poll() is None:
            costs = [found for pid in family(process.pid) if (found := cost(pid)) is not None]
            if costs:
                main, *workers = (found.resident for found in costs)
                steps.append(Step(counter.update(), time.monotonic() - began, main, sum(workers)))
            time.sleep(interval)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(5)
        if process.stderr is not None:
            process.stderr.close()
        site.stop()
    if process.returncode:
        raise SystemExit(f"crawl ended with {process.returncode}:\n{b''.join(complaints[-20:]).decode()}")
    if counter.update() != pages:
        raise SystemExit(f"{counter.lines} records instead of {pages}")
    return steps


def around(steps: list[Step], pages: int) -> int:
    """Return the memory around the moment when `pages` pages were done: the median of five steps, in bytes."""
    nearest = min(range(len(steps)), key=lambda index: abs(steps[index].pages - pages))
    totals = sorted(step.total for step in steps[max(0, nearest - 4) : nearest + 1])
    return totals[len(totals) // 2]


def section(steps: list[Step], end: int, reference: int, arguments: argparse.Namespace) -> Section:
    rows = []
    for step in steps[:: max(1, len(steps) // 12)]:
        memory = (step.main, step.workers, step.total)
        rows.append([str(step.pages), f"{step.seconds:.1f} s", *(f"{size / MEGABYTE:.1f} MB" for size in memory)])
    table = document.table(["pages", "after", "main", "workers", "all"], rows)
    peak = max(step.total for step in steps)
    how = (
        f"A generated site of {arguments.pages} pages, served by Python on the same cores (`benchmarks/memory.py`): "
        f"{arguments.pages / steps[-1].seconds:.0f} pages/s; peak {peak / MEGABYTE:.1f} MB of all processes together."
    )
    text = (
        f"memory at the end / at {arguments.reference} pages: {end / MEGABYTE:.1f} / {reference / MEGABYTE:.1f} MB = {end / reference:.3f}"
    )
    told = [Verdict(f"{text} (at most {GROWTH})", end / reference <= GROWTH)]
    result = {"reference": reference, "end": end, "ratio": end / reference, "peak": peak}
    line = [(step.pages, step.total / MEGABYTE) for step in steps if step.pages >= SHOWN and step.workers]
    shown = {"all processes": line}
    drawn = {"memory": plots.curves("Memory of a crawl", "both axes logarithmic", shown, across="pages", up="megabytes")} if line else {}
    return Section("memory", "Memory against pages", how, table, drawn, told, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=None)
    parser.add_argument("--pages", type=int, default=200_000)
    parser.add_argument("--reference", type=int, default=20_000, help="pages at which memory is taken as settled")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two samples")
    parser.add_argument("options", nargs="*", help="options of crawl run, after --")
    arguments = parser.parse_args()
    options = arguments.options or ["--per-host", "64", "--delay", "0"]
    with tempfile.TemporaryDirectory() as folder:
        steps = measure(arguments.pages, options, arguments.interval, Path(folder))
    # The end is the last moment at which every process of the crawl was still there.
    whole = max(range(len(steps)), key=lambda index: (steps[index].workers > 0, index))
    reference, end = around(steps, arguments.reference), around(steps[: whole + 1], arguments.pages)
    document.deliver(section(steps, end, reference, arguments), arguments)


if __name__ == "__main__":
    main()
