"""kill -9 at random moments, the crawl and its parse workers: nothing is lost, nothing doubled, nothing torn.

CRAWL_TEST_KILLS says how often (10), CRAWL_TEST_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Crawl, Read, Running, Site, Spawn
from truth import Web, comparable, read_csv

KILLS = int(os.environ.get("CRAWL_TEST_KILLS", "10"))
SEED = int(os.environ.get("CRAWL_TEST_SEED", str(random.randrange(1 << 30))))
WORKER_KILLS = max(3, KILLS // 2)
LINE = 55  # bytes of a log line, about

pytestmark = pytest.mark.slow


class Place:
    """A site that answers slowly, so that a crawl of it lasts, and the truth about its links."""

    def __init__(self, site: Site, pages: int, latency: float) -> None:
        shape = ("--pages", pages, "--missing-every", 20, "--redirect-every", 15)
        self.pages = pages
        self.server = site("generated", *shape, "--latency", latency)
        self.web = Web(self.server.url, site("generated", *shape).url)

    def answered(self) -> float:
        """Return how many requests were answered until now, about."""
        return self.server.log.stat().st_size / LINE

    def command(self, folder: Path, per_host: int) -> list[object]:
        outputs = ["-o", folder / "out.jsonl", "-o", folder / "out.csv"]
        return ["run", self.server.url, "--dir", folder / "home", *outputs, "--per-host", per_host, "--delay", 0]


@pytest.fixture
def place(site: Site) -> Iterator[Callable[..., Place]]:
    with contextlib.ExitStack() as stack:

        def make(*, pages: int, latency: float) -> Place:
            made = Place(site, pages, latency)
            stack.callback(made.web.close)
            return made

        yield make


def check_same_as_uninterrupted(where: Place, crawl: Crawl, read_records: Read, folder: Path) -> None:
    """Compare what lies in `folder` with an uninterrupted crawl of the same site."""
    reference = folder.parent / "uninterrupted"
    reference.mkdir()
    whole = crawl(*where.command(reference, per_host=64), timeout=300)
    assert whole.code == 0, whole
    for name, read in (("out.jsonl", read_records), ("out.csv", read_csv)):
        found, expected = comparable(read(folder / name)), comparable(read(reference / name))
        assert found.keys() == expected.keys()
        assert [(url, record, expected[url]) for url, record in found.items() if record != expected[url]] == []
        assert len(found) > where.pages
        where.web.check_paths(read(folder / name))


def wait_until(condition: Callable[[], bool], running: Running, timeout: float = 60) -> None:
    """Wait for a condition, or for the end of the crawl."""
    deadline = time.monotonic() + timeout
    while running.running and not condition():
        assert time.monotonic() < deadline, "the crawl makes no progress"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Tell whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_kill_the_crawl_again_and_again(
    place: Callable[..., Place], spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    print(f"CRAWL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    where = place(pages=max(1500, 150 * KILLS), latency=0.02)
    folder = tmp_path / "killed"
    folder.mkdir()
    command = where.command(folder, per_host=8)  # about 400 pages/s
    workers: set[int] = set()
    for kill in range(KILLS):
        running = spawn_crawl(*command)
        if chance.random() < 0.3:  # while it starts, or mends what the last one left
            time.sleep(chance.uniform(0, 1))
        else:
            goal = where.answered() + chance.uniform(0, 1.5) * where.pages / (KILLS + 1)
            wait_until(lambda goal=goal: where.answered() > goal, running)
            time.sleep(chance.uniform(0, 0.1))
        assert running.running, f"it ended before kill {kill + 1}: {running.wait()}"
        workers |= set(running.children())
        died = running.kill()
        assert died.code == -signal.SIGKILL
        assert "Traceback" not in died.stderr, died
        check_only_the_last_line_torn(folder / "out.jsonl")
    finished = crawl(*command, timeout=300)
    assert finished.code == 0, finished
    wait_for_the_end_of(workers)
    check_same_as_uninterrupted(where, crawl, read_records, folder)


def wait_for_the_end_of(workers: set[int]) -> None:
    """Fail when a parse worker outlives its crawl by five seconds."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in workers if not gone(pid)]:
        assert time.monotonic() < deadline, f"parse workers outlive their crawl: {left}"
        time.sleep(0.05)


def check_only_the_last_line_torn(output: Path) -> None:
    """Fail unless every line is valid JSON but the last: a kill may tear that one, and the next run cuts it off."""
    if output.exists():
        for line in output.read_bytes().split(b"\n")[:-1]:
            json.loads(line)


def test_kill_the_workers_again_and_again(
    place: Callable[..., Place], spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    print(f"CRAWL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    where = place(pages=300 + 200 * WORKER_KILLS, latency=0.1)
    folder = tmp_path / "killed"
    folder.mkdir()
    running = spawn_crawl(*where.command(folder, per_host=8), "--workers", 2)  # about 80 pages/s
    killed: set[int] = set()

    def alive() -> list[int]:
        return sorted(set(running.children()) - killed)

    for number in range(WORKER_KILLS):
        # A page whose worker dies is tried once more; a second death is taken for the page's own doing. So there is time here
        # between two deaths for new workers to start and to try what the dead ones left.
        wait_until(lambda: len(alive()) >= 2, running)
        time.sleep(2 + chance.uniform(0, 0.1))
        victims = alive() if number == 1 else [chance.choice(alive())]  # once, all of them together
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        killed |= set(victims)
    assert running.running, "it ended before the last kill"
    done = running.wait(120)
    assert done.code == 0, done
    assert "Traceback" not in done.stderr
    check_same_as_uninterrupted(where, crawl, read_records, folder)
