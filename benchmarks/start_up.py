"""How long a command takes to begin: `crawl --version`, `crawl run` until its first request, beside Python alone and Scrapy.

    python benchmarks/start_up.py --rounds 10

The first request is the first connection that a listening socket of this process gets; the time runs from before the program is started.
Commands take turns. The programs' files are in the page cache: each command runs once before any is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import document  # noqa: E402
import peers  # noqa: E402
import plots  # noqa: E402
from document import Section, Verdict  # noqa: E402

MILLISECOND = 1e-3
BARS = {"crawl --version": 0.15, "crawl run, to its first request": 0.6}
PATIENCE = 60.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Start(NamedTuple):
    """Seconds by the clock and of the processor."""

    seconds: float
    cpu: float


def to_its_end(command: Sequence[str]) -> Start:
    """Time a command to its end. Raises SystemExit when it fails."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment())
    seconds, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Start(seconds, after[2] + after[3] - before[2] - before[3])


def to_first_request(make: Callable[[str], Sequence[str]]) -> Start:
    """Time a crawl of one page until it asks for anything; its CPU time is that until its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as folder:
        listener.settimeout(PATIENCE)
        command = make(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        before, began = os.times(), time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        try:
            first, _ = listener.accept()
            first.settimeout(PATIENCE)
            first.recv(65536)
            seconds = time.perf_counter() - began
            first.sendall(ANSWER)
            first.close()
            answer_the_rest(listener, process)
        finally:
            process.kill()
            process.wait()
        after = os.times()
    return Start(seconds, after[2] + after[3] - before[2] - before[3])


def answer_the_rest(listener: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Answer until the crawl has ended."""
    listener.settimeout(0.05)
    while process.poll() is None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(65536)
                connection.sendall(ANSWER)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def starts() -> tuple[dict[str, Callable[[], Start]], dict[str, str]]:
    """Return what is timed, and what is missing with its remedy."""
    ours = [sys.executable, "-m", "crawler.cli"]
    found = {
        "python -c pass": lambda: to_its_end([sys.executable, "-c", "pass"]),
        "crawl --version": lambda: to_its_end([*ours, "--version"]),
        "crawl run, to its first request": lambda: to_first_request(lambda url: [*ours, "run", url, "-q", "--dir", "home"]),
    }
    scrapy = peers.scrapy()
    if scrapy.version is None:
        return found, {"Scrapy": scrapy.remedy}
    python = scrapy.command("", 0)[0]
    found["scrapy version"] = lambda: to_its_end([python, "-m", "scrapy", "version"])
    found["scrapy runspider, to its first request"] = lambda: to_first_request(lambda url: scrapy.command(url, 1))
    return found, {}


def section(found: dict[str, list[Start]], missing: dict[str, str], rounds: int) -> Section:
    middle = {name: Start(*map(statistics.median, zip(*seen, strict=True))) for name, seen in found.items()}
    rows = []
    for name, one in middle.items():
        times = [each.seconds / MILLISECOND for each in found[name]]
        rows.append([name, f"{one.seconds / MILLISECOND:.0f} ms", f"{min(times):.0f}-{max(times):.0f}", f"{one.cpu / MILLISECOND:.0f} ms"])
    rows += [[f"{name} is missing: {remedy}", "", "", ""] for name, remedy in missing.items()]
    told = [
        Verdict(f"{name}: {middle[name].seconds / MILLISECOND:.0f} ms (at most {most / MILLISECOND:.0f})", middle[name].seconds <= most)
        for name, most in BARS.items()
    ]
    how = f"Medians of {rounds} runs in turns (`benchmarks/start_up.py`). CPU time is that of the whole command, its children included."
    drawn = plots.bars(
        "Time to begin",
        "milliseconds, medians; shorter is better",
        [
            plots.Bar(name, one.seconds, f"{one.seconds / MILLISECOND:.0f} ms", name.startswith("crawl"))
            for name, one in sorted(middle.items(), key=lambda item: item[1].seconds)
        ],
    )
    result = {"starts": {name: one._asdict() for name, one in middle.items()}, "missing": missing}
    return Section("start-up", "Start", how, document.table(["", "time", "from-to", "CPU"], rows), {"start-up": drawn}, told, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=10)
    arguments = parser.parse_args()
    timed, missing = starts()
    found: dict[str, list[Start]] = {name: [] for name in timed}
    for number in range(arguments.rounds + 1):
        for name, start in timed.items():
            one = start()
            if number:
                found[name].append(one)
    document.deliver(section(found, missing, arguments.rounds), arguments)


if __name__ == "__main__":
    main()
