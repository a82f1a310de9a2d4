"""The same slow pages fetched one after another, with a thread for each, and from one reactor: time and memory against their number.

    python benchmarks/execution_models.py --rounds 3 [--requests 1 10 100 1000 10000] [--seconds 0.5]

Every page takes its server `--seconds`, whatever else it does: the work is waiting. The servers (`slow_server.py`) are four processes with
25 loopback addresses each; each client is a process of its own, on one core, the servers on the others. One after another is done only
where it ends within `--longest` seconds. Time is that from before the first request to the last answer, memory the peak of
the process's resident memory, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import document  # noqa: E402
import plots  # noqa: E402
from c10k import raise_limit  # noqa: E402
from document import Section  # noqa: E402
from peers import PEERS, python_of  # noqa: E402
from slow_server import SlowServers  # noqa: E402

PROGRAM = ROOT / "benchmarks" / "execution_clients.py"
MODELS = {
    "sequence": "one after another",
    "threads": "a thread each",
    "reactor-twisted": "reactor, Agent",
    "reactor": "reactor, ours",
}
NEEDS_REQUESTS = ("sequence", "threads")
REMEDY = f"python -m venv {PEERS}/python && {PEERS}/python/bin/pip install requests"
MEGABYTE = 1024 * 1024
LONG = 10.0
"""Seconds beyond which one round of waiting in sequence is enough."""


class Found(NamedTuple):
    """One model at one number of requests; seconds, bytes."""

    answered: float
    seconds: float
    cpu: float
    memory: float


def run(model: str, requests: int, urls: Sequence[str], cores: Sequence[int], arguments: argparse.Namespace) -> Found:
    """Run one client. Raises SystemExit when it fails."""
    command = [
        arguments.requests_python if model in NEEDS_REQUESTS else sys.executable,
        str(PROGRAM),
        model,
        "--requests",
        str(requests),
        "--seconds",
        str(arguments.seconds),
    ]
    command += ["--core", str(cores[0])] if len(cores) > 1 else []
    done = subprocess.run(command, input="\n".join(urls), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{model} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    print(f"{MODELS[model]}: {requests} in {told['seconds']:.2f} s {told['problem']}".rstrip(), file=sys.stderr, flush=True)
    return Found(told["answered"], told["seconds"], told["cpu"], told["peak"])


def measure(
    models: Sequence[str], urls: Sequence[str], cores: Sequence[int], arguments: argparse.Namespace
) -> dict[tuple[str, int], Found]:
    """Run every model with every number of requests, in turns; return the medians."""
    rounds: dict[tuple[str, int], list[Found]] = {}
    for number in range(arguments.rounds):
        for requests in arguments.requests:
            for model in models:
                waiting = requests * arguments.seconds if model == "sequence" else 0.0
                if waiting > arguments.longest or (waiting > LONG and number):
                    continue
                rounds.setdefault((model, requests), []).append(run(model, requests, urls, cores, arguments))
                time.sleep(requests / 5000)  # the kernel clears away the connections
    return {key: Found(*map(statistics.median, zip(*seen, strict=True))) for key, seen in rounds.items()}


def as_table(models: Sequence[str], found: dict[tuple[str, int], Found], arguments: argparse.Namespace) -> str:
    header = ["pages", *(f"{MODELS[model]}: time" for model in models), *(f"{MODELS[model]}: memory" for model in models)]
    rows = []
    for requests in arguments.requests:
        seen = [found.get((model, requests)) for model in models]
        times = [time_of(one, requests) for one in seen]
        rows.append([str(requests), *times, *(f"{one.memory / MEGABYTE:.0f} MB" if one else "" for one in seen)])
    return document.table(header, rows)


def time_of(one: Found | None, requests: int) -> str:
    if one is None:
        return "not run"
    failed = f" ({requests - one.answered:.0f} failed)" if one.answered < requests else ""
    return f"{one.seconds:.2f} s{failed}"


def as_plots(models: Sequence[str], found: dict[tuple[str, int], Found], arguments: argparse.Namespace) -> dict[str, str]:
    def lines(value: str) -> dict[str, list[plots.Point]]:
        scale = 1 if value == "seconds" else MEGABYTE
        return {
            MODELS[model]: [
                (requests, getattr(found[model, requests], value) / scale) for requests in arguments.requests if (model, requests) in found
            ]
            for model in models
        }

    note = f"every page takes its server {arguments.seconds:g} s; lower is better; both axes logarithmic"
    return {
        "execution-time": plots.curves("Time for many slow pages", note, lines("seconds"), across="pages", up="seconds"),
        "execution-memory": plots.curves("Memory for many slow pages", note, lines("memory"), across="pages", up="megabytes"),
    }


def section(
    models: Sequence[str], missing: str, found: dict[tuple[str, int], Found], problems: Sequence[str], arguments: argparse.Namespace
) -> Section:
    library = document.versions_of(arguments.requests_python, "requests") or "requests"
    wait = f"{arguments.seconds:g} s"
    how = (
        f"Every page takes its server {wait}, medians of {arguments.rounds} rounds in turns (`benchmarks/execution_models.py`): "
        f"one after another and a thread each with {library}, the reactor with treq over Twisted's Agent and over ours, "
        "as the crawler calls it. One after another is left out where it would take more than "
        f"{arguments.longest:g} s: it takes the number times {wait}.\n\n"
        "The work is waiting, so what counts is what a waiting request costs. In sequence it costs all the time there is. A thread "
        "costs a stack, and the interpreter's lock makes all of them take turns; a reactor keeps a few objects for it, on one thread, "
        "where nothing needs a lock. Who is slow to begin has fewer pages under way at once, and so needs less memory at 10 000: "
        "what 10 000 at once cost is the benchmark after this one."
    )
    table = "\n\n".join([as_table(models, found, arguments), *([missing] if missing else []), *problems])
    result = {f"{model} {requests}": one._asdict() for (model, requests), one in found.items()}
    title = "Execution models: why there is a reactor"
    return Section("execution-models", title, how, table, as_plots(models, found, arguments), [], {"found": result, "missing": missing})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=3)
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 10, 100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=0.5, help="what the servers take for an answer")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds that one after another may take")
    parser.add_argument("--requests-python", default=python_of("python"), help="the interpreter that has requests")
    parser.add_argument("--processes", type=int, default=4, help="of servers")
    parser.add_argument("--addresses", type=int, default=25, help="of each")
    arguments = parser.parse_args()
    problems = raise_limit(max(arguments.requests))
    cores = sorted(os.sched_getaffinity(0))
    models, missing = list(MODELS), ""
    if subprocess.run([arguments.requests_python, "-c", "import requests"], capture_output=True, check=False).returncode:
        models = [model for model in models if model not in NEEDS_REQUESTS]
        missing = f"requests is missing, and with it one after another and a thread each: {REMEDY}"
    os.sched_setaffinity(0, set(cores[1:] or cores))
    servers = [
        SlowServers([f"127.{20 + process}.0.{number}" for number in range(1, arguments.addresses + 1)], arguments.seconds)
        for process in range(arguments.processes)
    ]
    try:
        found = measure(models, [url for server in servers for url in server.urls], cores, arguments)
    finally:
        for server in servers:
            server.stop()
        os.sched_setaffinity(0, set(cores))
    document.deliver(section(models, missing, found, problems, arguments), arguments)


if __name__ == "__main__":
    main()
