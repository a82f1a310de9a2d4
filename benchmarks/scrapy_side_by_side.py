"""Crawl and Scrapy on the same site, in turns: pages/s, memory and CPU a page of each, and the ratio.

    pip install scrapy                                       # optional, in this environment or another one
    python benchmarks/scrapy_side_by_side.py --rounds 3 [--scrapy-python /path/to/python]

The site is Debian's rust-doc (21 633 pages, 21 kB on average) behind an nginx of its own on loopback. Crawl takes
the whole site; Scrapy, which would need minutes, its first `--scrapy-pages` pages (2 000) in the same order, breadth first. Both
obey robots.txt, keep 64 requests in flight to the one host without delay, and write a JSON line for each page. A rate is HTML
pages answered with 200, divided by the time from the first request in nginx's log to the end of the process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from processes import Watch  # noqa: E402
from sites.nginx import Nginx  # noqa: E402

DOCUMENTATION = Path("/usr/share/doc/rust-doc/html")
MEGABYTE = 1024 * 1024
MICROSECOND = 1e-6


class Round(NamedTuple):
    """One crawl; memory in bytes, CPU in seconds."""

    pages: int
    seconds: float
    peak: int
    cpu_main: float
    cpu_children: float
    cpu_nginx: float

    @property
    def rate(self) -> float:
        return self.pages / self.seconds


def run(command: list[str], nginx: Nginx, cwd: Path, timeout: float) -> Round:
    """Run one crawler to its end. Raises SystemExit when it fails."""
    before = nginx.log.stat().st_size
    server = Watch(nginx.pid)
    with (cwd / "stderr").open("w+b") as complaints:
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints)
        watch = Watch(process.pid)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        ended = time.time()
        watch.stop()
        server.stop()
        if code:
            complaints.seek(0)
            raise SystemExit(f"{command[0]} ended with {code}:\n{complaints.read()[-2000:].decode(errors='replace')}")
    with nginx.log.open("rb") as log:
        log.seek(before)
        lines = [line.split(b" ", 6) for line in log.read().splitlines()]
    pages = sum(line[2] == b"200" and line[6].startswith(b"text/html") for line in lines)
    began = min(float(line[0]) - float(line[1]) for line in lines)
    cpu = watch.cpu()
    main = cpu.pop(process.pid)
    spent_before = sum(found.cpu for found in server.samples[0][1].values())
    return Round(pages, ended - began, watch.peak(), main, sum(cpu.values()), sum(server.cpu().values()) - spent_before)


def run_crawl(nginx: Nginx, arguments: argparse.Namespace) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "crawler.cli", "run", f"{nginx.url}index.html", "--dir", "home", "-o", "out.jsonl", "-q"]
        command += ["--concurrency", "64", "--per-host", "64", "--delay", "0"]
        command += ["--max-pages", str(arguments.pages)] if arguments.pages else []
        command += ["--workers", str(arguments.workers)] if arguments.workers else []
        return run(command, nginx, Path(folder), arguments.timeout)


def run_scrapy(nginx: Nginx, arguments: argparse.Namespace) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        spider = str(ROOT / "benchmarks" / "scrapy_spider.py")
        command = [arguments.scrapy_python, "-m", "scrapy", "runspider", spider, "-a", f"start={nginx.url}index.html", "-O", "out.jsonl"]
        command += ["-s", f"CLOSESPIDER_PAGECOUNT={arguments.scrapy_pages}"] if arguments.scrapy_pages else []
        return run(command, nginx, Path(folder), arguments.timeout)


def describe(name: str, found: Round) -> str:
    def each(seconds: float) -> str:
        return f"{seconds / found.pages / MICROSECOND:.0f} µs"

    return (
        f"{name:<7} {found.pages:>6} pages {found.seconds:7.1f} s {found.rate:8.1f} pages/s   peak {found.peak / MEGABYTE:6.1f} MB   "
        f"CPU a page: main {each(found.cpu_main)}, children {each(found.cpu_children)}, nginx {each(found.cpu_nginx)}"
    )


def check_available(scrapy_python: str) -> None:
    """Raise SystemExit naming what must be installed first."""
    if not (DOCUMENTATION / "index.html").is_file():
        raise SystemExit(f"{DOCUMENTATION} is missing: apt-get install rust-doc")
    probe = subprocess.run([scrapy_python, "-c", "import scrapy; print(scrapy.__version__)"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise SystemExit(f"{scrapy_python} has no Scrapy: pip install scrapy, or name an interpreter that has it with --scrapy-python")
    print(f"Scrapy {probe.stdout.strip()}, Python {sys.version.split()[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=0, help="pages for Crawl; 0: the whole site")
    parser.add_argument("--scrapy-pages", type=int, default=2000, help="pages for Scrapy; 0: the whole site")
    parser.add_argument("--workers", type=int, default=0, help="parse workers of Crawl; 0: its default")
    parser.add_argument("--scrapy-python", default=sys.executable, help="the interpreter that has Scrapy")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds after which a crawler is given up")
    arguments = parser.parse_args()
    check_available(arguments.scrapy_python)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        nginx = Nginx(DOCUMENTATION, Path(folder))
        try:
            for _ in range(arguments.rounds):
                ours.append(run_crawl(nginx, arguments))
                print(describe("Crawl", ours[-1]), flush=True)
                theirs.append(run_scrapy(nginx, arguments))
                print(describe("Scrapy", theirs[-1]), flush=True)
        finally:
            nginx.stop()
    rate, other = (statistics.median(found.rate for found in rounds) for rounds in (ours, theirs))
    scope = f"its first {arguments.scrapy_pages} pages" if arguments.scrapy_pages else "the whole site"
    print(f"median of {arguments.rounds}: Crawl {rate:.0f} pages/s, Scrapy {other:.0f} pages/s (on {scope}): {rate / other:.1f} times")
    ours_peak, theirs_peak = (max(found.peak for found in rounds) / MEGABYTE for rounds in (ours, theirs))
    print(f"peak memory of all processes: Crawl {ours_peak:.0f} MB, Scrapy {theirs_peak:.0f} MB")


if __name__ == "__main__":
    main()
