"""Requests/s and CPU time a request of HTTP clients on the same pages, in turns, with one core for the client and one for the server.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install aiohttp uvloop   # optional, in this environment or another one
    python benchmarks/fetch.py --rounds 5 [--aiohttp-python /tmp/peer/bin/python]

The pages are generated, 100 of `--size` bytes, behind an nginx of its own on loopback, which keeps connections open. Each client is a
process of its own for each round, keeps `--concurrency` requests in flight over as many kept connections, and is counted for `--seconds`
after `--warm-up` seconds. The clients take turns within a round; the table shows the medians of all rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import plots  # noqa: E402
from canned_server import CannedServer  # noqa: E402
from document import Section, Verdict  # noqa: E402
from peers import python_of  # noqa: E402
from sites.nginx import Nginx, nginx_program  # noqa: E402

PAGES = 100
MICROSECOND = 1e-6
PROGRAM = ROOT / "benchmarks" / "fetch_clients.py"
BASELINE, CRAWLER, ALONE = "treq-twisted", "crawler", "ours"
CLIENTS = {
    BASELINE: "treq over Twisted's Agent",
    "twisted": "Twisted's Agent alone",
    "treq-ours": "treq over ours",
    CRAWLER: "treq over ours, as the crawler calls it",
    ALONE: "ours alone",
    "aiohttp": "aiohttp",
    "aiohttp-uvloop": "aiohttp on uvloop",
    "wrk": "wrk (C)",
}
OURS = (CRAWLER, ALONE, "treq-ours")
LEAST_CRAWLER = 2.5
"""Times the baseline's rate: what treq over our agent must reach as the crawler calls it."""
LEAST_ALONE = 5.0
"""The same for our agent alone."""

_ANSWERS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_WRONG = re.compile(r"Socket errors|Non-2xx")
_LUA = """
local texts, at = {{}}, 0
function init(args) for page = 0, {pages} - 1 do texts[page + 1] = wrk.format("GET", "/page-" .. page .. ".html") end end
function request() at = at % {pages} + 1; return texts[at] end
"""


class Round(NamedTuple):
    """One client, once: answers per second, and CPU seconds an answer."""

    rate: float
    cpu: float


class Server(Protocol):
    """What serves the pages; `url` ends with a slash."""

    url: str

    def stop(self) -> None: ...


def cores() -> tuple[int | None, int | None]:
    """Return the core for the client and that for the server; none where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let what is started within run on that core alone."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def write_pages(folder: Path, size: int) -> None:
    """Write the pages: text that differs from page to page, for whoever decodes or compares it."""
    for number in range(PAGES):
        text = f"<!doctype html><title>Page {number}</title>\n" + f"<p>Line of page {number}, of which there are many.\n" * (size // 30)
        (folder / f"page-{number}.html").write_text(text[:size], encoding="ascii")


def start_server(pages: Path, folder: Path, core: int | None) -> tuple[Server, str]:
    """Start what serves the pages; return it and its name."""
    with on_core(core):
        if nginx_program() is not None:
            return Nginx(pages, folder / "nginx"), "nginx"
        return CannedServer(pages), "a server of its own in Python, since nginx is missing: rates are lower"


def run_python(client: str, url: str, core: int | None, arguments: argparse.Namespace) -> Round:
    """Run one of the Python clients. Raises SystemExit when it fails, or got anything but the pages."""
    command = [arguments.aiohttp_python if client.startswith("aiohttp") else sys.executable, str(PROGRAM), client, url]
    command += ["--pages", str(PAGES), "--size", str(arguments.size), "--concurrency", str(arguments.concurrency)]
    command += ["--warm-up", str(arguments.warm_up), "--seconds", str(arguments.seconds)]
    command += ["--core", str(core)] if core is not None else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + arguments.warm_up + arguments.seconds, check=False)
    if done.returncode:
        raise SystemExit(f"{client} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    if found["wrong"] or not found["requests"]:
        raise SystemExit(f"{client}: {found['wrong']} of {found['requests']} answers were not the pages")
    return Round(found["requests"] / found["seconds"], found["cpu"] / found["requests"])


def run_wrk(url: str, core: int | None, script: Path, arguments: argparse.Namespace) -> Round:
    """Run wrk with one thread. Its CPU time includes its start."""
    script.write_text(_LUA.format(pages=PAGES), encoding="ascii")
    seconds = max(1, round(arguments.seconds))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with on_core(core):
        done = subprocess.run(
            ["wrk", "-t", "1", "-c", str(arguments.concurrency), "-d", f"{seconds}s", "-s", str(script), url],
            capture_output=True,
            text=True,
            timeout=60 + seconds,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answers, rate = _ANSWERS.search(done.stdout), _RATE.search(done.stdout)
    if done.returncode or answers is None or rate is None or _WRONG.search(done.stdout):
        raise SystemExit(f"wrk ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Round(float(rate[1]), spent / int(answers[1]))


def missing(aiohttp_python: str) -> dict[str, str]:
    """Return the clients that cannot be run here, and what would have to be installed."""
    found = {}
    for client, modules in (("aiohttp", "aiohttp"), ("aiohttp-uvloop", "aiohttp, uvloop")):
        if subprocess.run([aiohttp_python, "-c", f"import {modules}"], capture_output=True, check=False).returncode:
            found[client] = f"pip install {modules.replace(',', '')}, or name an interpreter that has it with --aiohttp-python"
    if subprocess.run(["sh", "-c", "command -v wrk"], capture_output=True, check=False).returncode:
        found["wrk"] = "apt-get install wrk"
    return found


def measure(url: str, clients: list[str], core: int | None, folder: Path, arguments: argparse.Namespace) -> dict[str, list[Round]]:
    """Run all clients in turns."""
    rounds: dict[str, list[Round]] = {client: [] for client in clients}
    for _ in range(arguments.rounds):
        for client in clients:
            if client == "wrk":
                rounds[client].append(run_wrk(url, core, folder / "pages.lua", arguments))
            else:
                rounds[client].append(run_python(client, url, core, arguments))
    return rounds


def medians(rounds: dict[str, list[Round]]) -> dict[str, Round]:
    return {
        client: Round(statistics.median(one.rate for one in found), statistics.median(one.cpu for one in found))
        for client, found in rounds.items()
    }


def verdicts(found: dict[str, Round]) -> list[Verdict]:
    """Return what had to be shown, in words, and whether it was: by rate, and by CPU time a request."""
    baseline = found[BASELINE]
    told = []
    for client, least in ((CRAWLER, LEAST_CRAWLER), (ALONE, LEAST_ALONE)):
        for what, ratio in (("requests/s", found[client].rate / baseline.rate), ("CPU a request", baseline.cpu / found[client].cpu)):
            told.append(Verdict(f"{CLIENTS[client]}: {ratio:.2f} times {CLIENTS[BASELINE]} by {what} (at least {least})", ratio >= least))
    for client in ("aiohttp", "aiohttp-uvloop"):
        if client in found:
            for what, ratio in (
                ("requests/s", found[ALONE].rate / found[client].rate),
                ("CPU a request", found[client].cpu / found[ALONE].cpu),
            ):
                told.append(Verdict(f"{CLIENTS[ALONE]}: {ratio:.2f} times {CLIENTS[client]} by {what} (ahead)", ratio > 1))
    return told


def table(found: dict[str, Round], left_out: dict[str, str]) -> str:
    """Return the table; the ratios are to the baseline, and for wrk's share of the physical limit to wrk."""
    baseline, floor = found[BASELINE], found.get("wrk")
    rows = []
    for client, one in found.items():
        ratios = [f"{one.rate / baseline.rate:.2f}", f"{baseline.cpu / one.cpu:.2f}"]
        limit = f"{one.rate / floor.rate:.0%}" if floor else ""
        rows.append([CLIENTS[client], f"{one.rate:.0f}", ratios[0], f"{one.cpu / MICROSECOND:.1f} µs", ratios[1], limit])
    rows += [[f"{CLIENTS[client]} is missing: {remedy}", *[""] * 5] for client, remedy in left_out.items()]
    return document.table(["client", "requests/s", "ratio", "CPU a request", "ratio", "of wrk"], rows)


def section(rounds: dict[str, list[Round]], left_out: dict[str, str], server: str, arguments: argparse.Namespace) -> Section:
    found = medians(rounds)
    peers = document.versions_of(arguments.aiohttp_python, "aiohttp", "uvloop")
    told = f"Peers: {peers}." if peers else ""
    shared = "" if cores()[0] is not None else "; client and server share the only core"
    how = (
        f"{arguments.concurrency} in flight, pages of {arguments.size} bytes, medians of {arguments.rounds} rounds in turns, a core for "
        f"the client and one for the server (`benchmarks/fetch.py`); server: {server}{shared}. {told}".rstrip()
    )
    bars = [plots.Bar(CLIENTS[client], one.rate, f"{one.rate:.0f}/s", client in OURS) for client, one in found.items()]
    plot = plots.bars("Requests a second on one core", "medians; longer is better", bars)
    result = as_json(rounds, left_out, server)
    return Section("fetch", "Fetching", how, table(found, left_out), {"fetch": plot}, verdicts(found), result)


def as_json(rounds: dict[str, list[Round]], left_out: dict[str, str], server: str) -> dict[str, Any]:
    found = medians(rounds)
    return {
        "server": server,
        "clients": {client: one._asdict() | {"rounds": [each._asdict() for each in rounds[client]]} for client, one in found.items()},
        "missing": left_out,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds that are counted of each client in each round")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before those")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--size", type=int, default=10_000, help="bytes of a page")
    parser.add_argument("--aiohttp-python", default=python_of("python"), help="the interpreter that has aiohttp, and uvloop for it")
    arguments = parser.parse_args()
    left_out = missing(arguments.aiohttp_python)
    clients = [client for client in CLIENTS if client not in left_out]
    client_core, server_core = cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pages").mkdir()
        write_pages(folder / "pages", arguments.size)
        server, what = start_server(folder / "pages", folder, server_core)
        try:
            rounds = measure(server.url, clients, client_core, folder, arguments)
        finally:
            server.stop()
    document.deliver(section(rounds, left_out, what, arguments), arguments)


if __name__ == "__main__":
    main()
