"""Two crawls of a whole evil web: each case of the table gets its outcome, good pages get theirs, nobody is asked who should not be.

The table is in `cases.py`, the web in `sites/evil_web.py`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import MANY_HOSTS, rows
from conftest import Crawl, Read, Running, Site, Spawn
from ends import Records, with_ports

HOSTS = 25
LONGEST_LAG = 0.1  # seconds
TOLD_LAG = 0.05  # seconds from which on a stall is told
MOST_MEMORY = 300  # MiB, of the process that holds the reactor
ABSENT = (("127.0.0.199", "SILENT"), ("127.0.0.198", "CLOSED"))


class Trap:
    """A port of this machine that nobody may connect to; `callers` are those who did."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.callers: list[Any] = []
        self.port = 0
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.77"), (socket.AF_INET6, "::1")):
            sock = stack.enter_context(socket.socket(family))
            try:
                sock.bind((address, self.port))
            except OSError:
                assert family is socket.AF_INET6, "no IPv6 on this machine is no fault"
                continue
            sock.listen()
            self.port = sock.getsockname()[1]
            threading.Thread(target=self._watch, args=(sock,), daemon=True).start()

    def _watch(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = sock.accept()
                self.callers.append(caller)
                connection.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    with contextlib.ExitStack() as stack:
        yield Trap(stack)


@pytest.fixture
def absent() -> Iterator[dict[str, int]]:
    """Two ports: one answers no SYN, because its queue is full and nobody accepts; the other is closed."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for address, name in ABSENT:
            sock = stack.enter_context(socket.socket())
            sock.bind((address, 0))
            ports[name] = sock.getsockname()[1]
            if name == "SILENT":
                sock.listen(0)
                for _ in range(4):
                    caller = stack.enter_context(socket.socket())
                    caller.setblocking(False)
                    caller.connect_ex((address, ports[name]))
        yield ports


class Watched:
    """A crawl that ran to its end: the most memory it took (MiB), and when its reactor's thread waited for a processor."""

    def __init__(self, running: Running, limit: float) -> None:
        began, self.memory = time.monotonic(), 0.0
        self._waits: list[tuple[float, float]] = [(time.time(), 0.0)]  # (now, seconds waited so far)
        while running.running and time.monotonic() - began < limit:
            self.memory = max(self.memory, peak_memory(running.pid))
            self._waits.append((time.time(), waited(running.pid)))
            time.sleep(0.01)
        assert not running.running, "it does not end"
        self.done = running.wait()
        self.events = [json.loads(line) for line in self.done.stderr.splitlines() if line.startswith("{")]

    def own_stalls(self) -> list[tuple[float, str]]:
        """Return each stall of the reactor without the time for which others had the processors: (seconds, what was told)."""
        return [
            (event["seconds"] - self._waited_between(event["time"] - event["seconds"], event["time"]), event["message"])
            for event in self.events
            if event["event"] == "stall"
        ]

    def _waited_between(self, start: float, end: float) -> float:
        before = max((wait for now, wait in self._waits if now <= start), default=0.0)
        after = min((wait for now, wait in self._waits if now >= end), default=self._waits[-1][1])
        return max(0.0, after - before)


def waited(pid: int) -> float:
    """Seconds for which the first thread of a process was ready to run and another had the processor."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def peak_memory(pid: int) -> float:
    """MiB that a process had at most."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def tell(record_property: Callable[[str, object], None], *, tries: bool, ports: dict[str, int], found: Records) -> list[str]:
    """Compare with the table, row by row; what was seen goes to the report of pytest, from which `tell_cases.py` reads it."""
    wrong = []
    for index, (number, row) in enumerate(rows()):
        if row.tries == tries:
            right, seen = row.seen(ports, found)
            record_property("case", json.dumps([index, right, seen]))
            if not right:
                wrong.append(f"case {number}, {row.name}: expected {row.expected}, seen {seen}")
    return wrong


@pytest.mark.slow
def test_a_whole_evil_web(
    site: Site,
    spawn_crawl: Spawn,
    crawl: Crawl,
    read_records: Read,
    trap: Trap,
    absent: dict[str, int],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    server = site("evil_web", "--private", trap.port, "--patience", 20)
    home, jsonl, table = tmp_path / "home", tmp_path / "out.jsonl", tmp_path / "out.csv"
    ports = {"MAIN": server.port, "PRIVATE": trap.port, **absent}
    seeds = [*server.urls(HOSTS), *(f"http://{address}:{ports[name]}/" for address, name in ABSENT)]
    command = ("run", *seeds, "--dir", home, "-o", jsonl, "-o", table, "--json", "--record-headers")
    command += ("--scope", "any", "--exclude", "/many/", "--depth", 6, "--timeout", 5, "--retries", 0, "--per-host", 16, "--delay", 0)
    command += ("--max-body", 5_000_000, "--page-time", 4)
    limits = {"CRAWL_FETCH__MAX_RETRY_AFTER": "0.1", "CRAWL_POLITENESS__MAX_DELAY": "0.3", "CRAWL_FETCH__RETRY_DELAY": "0.05"}
    limits["CRAWL_SERVICE__STALL_THRESHOLD"] = str(TOLD_LAG)
    watched = Watched(spawn_crawl(*command, env=limits), 110)
    done = watched.done
    assert done.code == 0, done
    assert not done.error_lines, done
    assert "Traceback" not in done.stderr

    records = read_records(jsonl)
    found = {record["url"]: record for record in records}
    assert len(found) == len(records), "a URL has two records"
    assert tell(record_property, tries=False, ports=ports, found=found) == []
    claimed = {url for _, row in rows() if not row.tries for url in row.urls(ports, found)}
    assert found.keys() - claimed == set(), "URLs that the table does not know"
    assert trap.callers == []
    assert "Forged" not in {record["title"] for record in records}
    assert Counter(record["attempts"] for record in records if record["outcome"] == "fetched").keys() == {1}
    asked = [hit.path.partition(":")[2] for hit in server.hits()]
    assert not [path for path in asked if path.startswith(("/never/", "/forbidden/", "/many/"))]
    check_events(watched.events)
    record_property("memory", round(watched.memory))
    assert watched.memory < MOST_MEMORY
    check_texts(crawl, home, server.url, [jsonl, table, home / "records.jsonl"], done.stderr)
    stalls = watched.own_stalls()
    longest = max((seconds for seconds, _ in stalls), default=TOLD_LAG)
    record_property("lag", longest)
    assert longest < LONGEST_LAG, stalls


def check_events(events: list[dict[str, Any]]) -> None:
    """No fault of ours was told, and what was refused is counted."""
    assert {event["event"] for event in events} <= {"start", "progress", "stall", "summary"}
    refused = events[-1]["refused"]
    assert refused["exclude:/many/"] == 10_000 + 50_000 + 1, "so many links of a page and entries of a sitemap are read"
    counts = {"nofollow": 5, "redirects": 3, "trap:repeated_segments": 1, "trap:query_parameters": 1}
    assert {rule: refused[rule] for rule in counts} == counts


CONTROLS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")
MISLEADING = re.compile(r"[\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def check_texts(crawl: Crawl, home: Path, url: str, files: list[Path], stderr: str) -> None:
    """No control character reaches a file or a terminal, no formula a spreadsheet, no password anything."""
    shown = [
        crawl("why", home, f"{url}{path}").stdout for path in ("terminal", "bidi-type", "tonul", "nulheader", "ok/credentials", "tolong")
    ]
    shown.append(crawl("status", home).stdout)
    exported = crawl("export", home, "--format", "csv").stdout
    assert all(text.strip() for text in shown)
    assert not any(MISLEADING.search(text) for text in shown)
    texts = [file.read_bytes().decode() for file in files]
    for text in (*shown, exported, stderr, *texts):
        assert not CONTROLS.search(text)
        assert "secret" not in text
    assert b"secret" not in (home / "crawl.sqlite").read_bytes()
    with files[1].open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    assert {len(line) for line in lines} == {len(lines[0])}
    cells = [cell for line in lines for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert any(cell.startswith("'=cmd") for cell in cells)


def test_what_may_pass_is_tried_again_and_then_told(
    site: Site, crawl: Crawl, read_records: Read, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    server = site("evil_web", "--patience", 20)
    ports = {"MAIN": server.port}
    paths = list(dict.fromkeys(path for _, row in rows() if row.tries for path in row.paths))
    good = [f"/ok/{number}" for number in range(10)]
    seeds = [with_ports(f"http://127.0.0.1:MAIN{path}", ports) for path in paths + good]
    command = ("run", *seeds, "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--depth", 0, "--no-robots", "--retries", 2)
    command += ("--timeout", 1, "--delay", 0, "--per-host", 16)
    limits = {"CRAWL_FETCH__MAX_RETRY_AFTER": "0.1", "CRAWL_FETCH__RETRY_DELAY": "0.05"}
    done = crawl(*command, env=limits)
    assert done.code == 0, done
    found = {record["url"]: record for record in read_records(tmp_path / "out.jsonl")}
    assert tell(record_property, tries=True, ports=ports, found=found) == []
    assert [found[url]["outcome"] for url in seeds[len(paths) :]] == ["fetched"] * 10
    asked = Counter(hit.path.partition(":")[2] for hit in server.hits())
    told = {path: found[url]["attempts"] for path, url in zip(paths + good, seeds, strict=True) if path != "/hang"}  # which never ends
    assert asked == told


def test_fifty_thousand_hosts_out_of_scope_are_refused_at_the_door(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("evil_web")
    done = crawl("run", f"{server.url}hosts", "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--json")
    assert done.code == 0, done
    assert [(record["url"], record["outcome"]) for record in read_records(tmp_path / "out.jsonl")] == [(f"{server.url}hosts", "fetched")]
    assert json.loads(done.stderr.splitlines()[-1])["refused"] == {"scope:host": MANY_HOSTS}
