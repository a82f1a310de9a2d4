"""Every benchmark, one after the other, into docs/performance.md: 25 minutes on two cores, the frontier not counted.

    python benchmarks/all.py [--whole] [--only crawl-rust-doc --only fetch] [--skip frontier]

With `--whole` the slow peers crawl all of rust-doc, once, instead of 2 000 pages twice: 20 minutes more, and the fairest figures.
Run it on a machine that does nothing else. One that fails is named at the end, and its section keeps what it was.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import document  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.md"


class Benchmark(NamedTuple):
    """One script with its options; `title` is given where its output is copied, since it writes no section itself."""

    name: str
    command: str
    whole: str = ""  # options in addition, with --whole; the last of an option counts
    title: str = ""


BENCHMARKS = (
    Benchmark("crawl-rust-doc", "crawl.py --rounds 5 --limit-slow 2000 --slow-rounds 2", whole="--limit-slow 0 --slow-rounds 1"),
    Benchmark("crawl-python3.11-doc", "crawl.py --rounds 3 --limit-slow 0 --site python3.11-doc"),
    Benchmark("crawl-postgresql-doc-15", "crawl.py --rounds 3 --limit-slow 0 --site postgresql-doc-15"),
    Benchmark("small-pages", "small_pages.py --rounds 5"),
    Benchmark("features", "features.py --rounds 3"),
    Benchmark("outputs", "outputs.py --rounds 3"),
    Benchmark("execution-models", "execution_models.py --rounds 2"),
    Benchmark("c10k", "c10k.py"),
    Benchmark("fetch", "fetch.py --rounds 5"),
    Benchmark("start-up", "start_up.py --rounds 10"),
    Benchmark("memory", "memory.py"),
    Benchmark("parse", "parse.py", title="Parsing"),
    Benchmark("frontier", "frontier.py", title="The frontier at scale"),
)


def run(benchmark: Benchmark, file: Path, timeout: float, *, whole: bool) -> str | None:
    """Run one benchmark and have its section written; return what went wrong, if anything."""
    script, *options = shlex.split(f"{benchmark.command} {benchmark.whole if whole else ''}")
    write = [] if benchmark.title else ["--write", str(file)]
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options, *write]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {timeout:.0f} s"
    print(done.stdout, flush=True)
    if done.returncode:
        return f"ended with {done.returncode}"
    if benchmark.title:
        text = f"## {benchmark.title}\n\n`benchmarks/{benchmark.command}`:\n\n```text\n{done.stdout.rstrip()}\n```"
        document.replace_section(file, benchmark.name, text)
    return None


def main(benchmarks: Sequence[Benchmark] = BENCHMARKS) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [benchmark.name for benchmark in benchmarks]
    parser.add_argument("--whole", action="store_true", help="let Scrapy and Crawlee crawl all of rust-doc, once")
    parser.add_argument("--only", action="append", choices=names, default=[], help="run this; may be given several times")
    parser.add_argument("--skip", action="append", choices=names, default=[], help="leave this out; may be given several times")
    parser.add_argument("--write", type=Path, default=DOCUMENT, metavar="FILE", help="docs/performance.md by default")
    parser.add_argument("--timeout", type=float, default=2400.0, help="seconds after which one is given up")
    arguments = parser.parse_args()
    problems = []
    for benchmark in benchmarks:
        if benchmark.name in arguments.skip or (arguments.only and benchmark.name not in arguments.only):
            continue
        began = time.monotonic()
        problem = run(benchmark, arguments.write, arguments.timeout, whole=arguments.whole)
        print(f"== {benchmark.name}: {problem or 'done'} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        problems += [f"{benchmark.name} {problem}"] if problem else []
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
