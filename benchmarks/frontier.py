"""The frontier and the store at scale: millions of discovered URLs on thousands of hosts, a kill, a resume, and the bare bytes.

    python benchmarks/frontier.py --urls 10000000 --hosts 10000

The real writer, frontier and window are driven as a crawl drives them, but for the web: a page that is leased is at once
completed with its record and its links, half of them new. Then a part is crawled without new links, the process is killed
(SIGKILL), and another opens the home and leases its first URL. At last the same rows are inserted bare into SQLite.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]

from processes import cost  # noqa: E402

MEGABYTE = 1024 * 1024
IN_FLIGHT = 1_500  # pages: three batches on their way to the disk
TURN = 0.02  # seconds of leasing in one turn of the reactor, as in the engine
BARS = {"rate": 20_000, "memory": 0.15, "next": 0.005, "resume": 10.0}


def host_name(number: int) -> str:
    return f"host-{number}.example.org"


def url_of(number: int, hosts: int) -> str:
    return f"http://{host_name(number * 7919 % hosts)}/chapter-{number % 97}/section/page-{number}.html"


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


# -- the process that is killed ------------------------------------------------------------------------------------------


class Drive:
    """Leases pages and completes them until enough URLs are known and enough pages crawled; prints a JSON line a step."""

    def __init__(self, reactor: Any, folder: Path, arguments: argparse.Namespace) -> None:
        from crawler.config import StoreSettings
        from crawler.frontier.sqlite import SqliteFrontier
        from crawler.frontier.window import Window
        from crawler.store.commit import Writer
        from crawler.store.home import open_home

        self.reactor, self.arguments = reactor, arguments
        self.home = open_home(folder)
        self.home.open_files([], overwrite=False)
        self.frontier = SqliteFrontier(self.home.connection)
        self.window = Window()
        self.writer = Writer(self.home, self.frontier, StoreSettings(), reactor)
        self.writer.on_committed = self.committed
        self.schedule: deque[str] = deque()  # hosts with a URL in memory, each once: politeness without delays
        self.scheduled: set[str] = set()
        self.reads: list[float] = []
        self.nexts: list[float] = []
        self.random = random.Random(1)
        self.made = self.known = self.crawled = self.in_flight = 0
        self.crawl_to = 0
        self.asked: float | None = None
        self.steps = self.started = 0.0

    def run(self) -> None:
        for host, queued, _ in self.frontier.waiting_hosts():
            self.window.restore(host, queued)
        self.writer.start()
        self.started = time.perf_counter()
        if len(self.window):
            for host in self.window.hosts():
                self.offer(host)
        else:
            from crawler.store.operations import Admission

            self.writer.submit(Admission([self.candidate(self.make(), None) for _ in range(self.arguments.hosts)], []))
            self.writer.hurry()

    def make(self) -> int:
        self.made += 1
        return self.made - 1

    def candidate(self, number: int, referrer: str | None) -> Any:
        from crawler.frontier.sqlite import Candidate
        from crawler.model import Kind, Via
        from crawler.url import fingerprint

        url = url_of(number, self.arguments.hosts)
        return Candidate(fingerprint(url), url, host_name(number * 7919 % self.arguments.hosts), Kind.PAGE, Via.LINK, 1, 0, referrer)

    def links(self, referrer: str) -> Iterator[Any]:
        """Yield what one page brings: new links while there are to be any, and as many that are known."""
        for _ in range(self.arguments.links // 2):
            yield self.candidate(self.random.randrange(self.made), referrer)
            if self.made < self.arguments.urls:
                yield self.candidate(self.make(), referrer)

    def committed(self, found: Any) -> None:
        self.known += len(found.tasks)
        for host in self.window.admitted(found.tasks):
            self.offer(host)
        self.tell()
        self.reactor.callLater(0, self.pump)

    def offer(self, host: str) -> None:
        from crawler.store.operations import Refill

        if host not in self.scheduled and self.window.has_ready(host, 0):
            self.scheduled.add(host)
            self.schedule.append(host)
        after = self.window.wants_refill(host)
        if after is not None:
            asked = time.perf_counter()
            read = self.writer.submit(Refill(host, after, self.window.share))
            read.addCallback(self.refilled, host, after, asked)
            read.addErrback(self.failed)

    def refilled(self, found: Any, host: str, after: Any, asked: float) -> None:
        self.reads.append(time.perf_counter() - asked)
        tasks, complete = found
        self.window.refilled(host, after, tasks, complete=complete)
        self.offer(host)
        self.pump()

    def pump(self) -> None:
        began = time.perf_counter()
        while self.in_flight < IN_FLIGHT and self.crawled + self.in_flight < (self.crawl_to or 1 << 62):
            if self.asked is None:
                self.asked = time.perf_counter()
            task = self.next()
            if task is None:
                return
            self.nexts.append(time.perf_counter() - self.asked)
            self.asked = None
            self.complete(task)
            if time.perf_counter() - began > TURN:
                self.reactor.callLater(0, self.pump)
                return

    def next(self) -> Any:
        while self.schedule:
            host = self.schedule.popleft()
            self.scheduled.discard(host)
            task = self.window.take(host, 0)
            self.offer(host)
            if task is not None:
                return task
        return None

    def complete(self, task: Any) -> None:
        from crawler.store.operations import Completion

        if self.arguments.stage == "resume":
            tell(first=task.url, seconds=time.perf_counter() - BORN, waiting=len(self.window))
            sys.stdin.readline()
        self.in_flight += 1
        links = list(self.links(task.url)) if not self.crawl_to else []
        done = self.writer.submit(Completion(task, record_of(task), links, []))
        done.addCallbacks(self.completed, self.failed, callbackArgs=(task,))

    def completed(self, _: None, task: Any) -> None:
        self.in_flight -= 1
        self.crawled += 1
        self.window.done(task)
        self.offer(task.host)
        if not self.crawl_to and self.known >= self.arguments.urls:
            self.tell(always=True)
            self.crawl_to = self.crawled + self.in_flight + self.arguments.crawl
        elif self.crawl_to and self.crawled >= self.crawl_to:
            self.tell(always=True)
            tell(over=True)
            sys.stdin.readline()  # to be killed here
        if self.in_flight < IN_FLIGHT // 2:
            self.pump()

    def failed(self, failure: Any) -> None:
        print(failure.getTraceback(), file=sys.stderr, flush=True)
        self.reactor.stop()

    def tell(self, *, always: bool = False) -> None:
        size = self.arguments.step if not self.crawl_to else 1 << 62
        if not always and self.known < self.steps + size:
            return
        self.steps = self.known
        found = cost(os.getpid())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        tell(
            known=self.known, crawled=self.crawled, seconds=time.perf_counter() - self.started, cpu=usage.ru_utime + usage.ru_stime,
            resident=found.resident if found else 0, next50=percentile(self.nexts, 0.5), next99=percentile(self.nexts, 0.99),
            worst=max(self.nexts, default=0.0), read50=percentile(self.reads, 0.5), read99=percentile(self.reads, 0.99),
            asked=len(self.nexts), crawling=bool(self.crawl_to),
        )  # fmt: skip
        self.nexts, self.reads = [], []


def record_of(task: Any) -> Any:
    from crawler.model import Outcome, Record

    return Record(
        task.url, Outcome.FETCHED, None, None, 200, "2026-01-01T00:00:00.000Z", 12, task.depth, task.via, task.referrer, None, "192.0.2.1",
        "text/html", "utf-8", 31_337, "0" * 64, "A page of some title", None, "en", None, [], 1,
    )  # fmt: skip


def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


# -- the same rows, bare -------------------------------------------------------------------------------------------------


def bare(folder: Path, arguments: argparse.Namespace) -> None:
    """Insert the rows that the frontier keeps, in batches of the same size, with the same durability, and nothing else."""
    db = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE urls (id INTEGER PRIMARY KEY, key INTEGER, url TEXT, host INTEGER, depth INTEGER, referrer TEXT)")
    size, began = 500 * arguments.links // 2, time.perf_counter()
    for start in range(0, arguments.urls, size):
        rows = [
            (n, n * 7919 << 20, url_of(n, arguments.hosts), n % arguments.hosts, 1, url_of(n // 40, arguments.hosts))
            for n in range(start, min(start + size, arguments.urls))
        ]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO urls VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    tell(rate=arguments.urls / (time.perf_counter() - began), bytes=(folder / "bare.sqlite").stat().st_size)


# -- the parent ----------------------------------------------------------------------------------------------------------


def child(stage: str, folder: Path, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    for name in ("urls", "hosts", "links", "crawl", "step"):
        command += [f"--{name}", str(getattr(arguments, name))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str], until: str) -> Iterator[dict[str, Any]]:
    """Yield what a child tells, up to the line that has `until`; then it is killed."""
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        try:
            for line in process.stdout:
                found = json.loads(line)
                yield found
                if until in found:
                    return
            raise SystemExit(f"frontier.py: a child ended early (code {process.wait()})")
        finally:
            process.send_signal(signal.SIGKILL)


def row(found: dict[str, Any], before: dict[str, Any]) -> str:
    seconds = found["seconds"] - before.get("seconds", 0.0)
    new = (found["known"] - before.get("known", 0)) / seconds
    pages = found["crawled"] - before.get("crawled", 0)
    cpu = (found["cpu"] - before.get("cpu", 0.0)) * 1e6 / max(1, pages)
    return (
        f"{found['known']:>11,} {new:>10,.0f} {pages / seconds:>9,.0f} {cpu:>8,.0f} {found['resident'] / MEGABYTE:>8.0f}"
        f" {found['next50'] * 1e3:>8.3f} {found['next99'] * 1e3:>8.3f} {found['worst'] * 1e3:>8.1f}"
        f" {found['read50'] * 1e3:>8.1f} {found['read99'] * 1e3:>8.1f}"
    )


HEAD = """\
       URLs  new URLs/s   pages/s  µs/page   RSS MB  next p50      p99     most ms  refill p50   p99 ms
"""


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    if not arguments.json:
        print(HEAD, end="")
    for found in told(child("discover", folder, arguments), "over"):
        if "known" in found:
            if not arguments.json:
                print(row(found, steps[-1] if steps else {}) + ("  (crawling)" if found["crawling"] else ""), flush=True)
            steps.append(found)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.name.startswith("crawl.sqlite"))
    (resumed,) = told(child("resume", folder, arguments), "first")
    (same,) = told(child("bare", folder, arguments), "rate")
    discovering = [step for step in steps if not step["crawling"]]
    warm = [step for step in steps if step["known"] >= arguments.urls * 0.2] or steps
    return {
        "steps": steps,
        "rate": discovering[-1]["known"] / discovering[-1]["seconds"],
        "cpu": discovering[-1]["cpu"] / discovering[-1]["known"],
        "bytes": size / steps[-1]["known"],
        "memory": max(step["resident"] for step in warm) / warm[0]["resident"] - 1,
        "next": max(step["next99"] for step in steps),
        "resume": resumed["seconds"],
        "waiting": resumed["waiting"],
        "bare": same["rate"],
    }


def verdicts(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return each bar in words, and whether it is met."""
    return [
        (f"new URLs/s sustained: {found['rate']:,.0f} (at least {BARS['rate']:,})", found["rate"] >= BARS["rate"]),
        (f"memory after warm-up: {found['memory']:+.1%} (at most {BARS['memory']:+.0%})", found["memory"] <= BARS["memory"]),
        (f"next URL, p99: {found['next'] * 1e3:.3f} ms (at most {BARS['next'] * 1e3:.0f})", found["next"] <= BARS["next"]),
        (f"first lease after SIGKILL: {found['resume']:.1f} s (at most {BARS['resume']:.0f})", found["resume"] <= BARS["resume"]),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urls", type=int, default=10_000_000)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--links", type=int, default=80, help="of a page, half of them new")
    parser.add_argument("--crawl", type=int, default=50_000, help="pages without new links, afterwards")
    parser.add_argument("--step", type=int, default=1_000_000, help="URLs between two lines")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stage", choices=("discover", "resume", "bare"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage == "bare":
        bare(arguments.folder, arguments)
    elif arguments.stage:
        from twisted.internet import reactor

        drive = Drive(reactor, arguments.folder, arguments)
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as in `crawl run`
        reactor.callWhenRunning(drive.run)  # type: ignore[attr-defined]
        reactor.run()  # type: ignore[attr-defined]
    else:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            found = measure(Path(folder), arguments)
        found["verdicts"] = [{"text": text, "met": met} for text, met in verdicts(found)]
        report(found, as_json=arguments.json)


def report(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    for verdict in found["verdicts"]:
        print(f"{'met   ' if verdict['met'] else 'missed'}  {verdict['text']}")
    print(f"CPU time of the process, the leasing and the making of links included: {found['cpu'] * 1e6:.0f} µs a new URL")
    print(f"hosts waiting at the resume: {found['waiting']:,}; on disk: {found['bytes']:.0f} bytes a URL")
    print(f"bare SQLite inserts of the same: {found['bare']:,.0f} a second; the frontier does {found['rate'] / found['bare']:.0%} of that")


BORN = time.perf_counter()

if __name__ == "__main__":
    main()
