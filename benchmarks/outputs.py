"""What each output costs: CPU time a page of the whole command, making the output included, beside a crawl that writes none.

    apt-get install nginx-light rust-doc
    pip install 'crawl[parquet,text]'
    python benchmarks/outputs.py --rounds 5 --pages 3000

All crawl the first `--pages` pages of the same site in turns. What an output costs is the median over the rounds of the difference to the
crawl without outputs in the same round. PostgreSQL and object storage are not here: what they cost is their servers' affair.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import peers  # noqa: E402
import plots  # noqa: E402
from crawl import JUDGED, MICROSECOND, SITES, Round, crawl_once  # noqa: E402
from document import Section  # noqa: E402
from sites.nginx import Nginx  # noqa: E402

JOB = '[extract.page]\nfields = { title = "title", heading = "h1", links = { css = "a", list = true } }\n'


class Output(NamedTuple):
    """What is written, and what that needs besides: a module, rules."""

    name: str
    outputs: Sequence[str] = ()
    module: str = ""
    rules: bool = False


NONE = Output("no output")
OUTPUTS = (
    Output("JSON lines", ("o.jsonl",)),
    Output("JSON lines, gzip", ("o.jsonl.gz",)),
    Output("JSON lines, Zstandard", ("o.jsonl.zst",)),
    Output("CSV", ("o.csv",)),
    Output("Parquet", ("o.parquet",), "pyarrow"),
    Output("SQLite", ("o.sqlite",)),
    Output("items of one rule, JSON lines", ("o.jsonl?items=page",), rules=True),
    Output("WARC and CDXJ", ("o.warc.gz",)),
    Output("WACZ", ("o.wacz",)),
    Output("text a page", ("o.txt/",), "resiliparse"),
    Output("Markdown a page", ("o.md/",), "resiliparse"),
    Output("mirror", ("o.mirror/",)),
    Output(
        "JSON lines, Parquet, WARC, WACZ, Markdown, mirror",
        ("o.jsonl", "o.parquet", "o.warc.gz", "o.wacz", "o.md/", "o.mirror/"),
        "pyarrow",
    ),
)


class Cost(NamedTuple):
    """CPU seconds a page asked for, of all processes and of the main one, and how long the command took in all."""

    cpu: float
    main: float
    seconds: float


def cost_of(one: Round, pages: int) -> Cost:
    """Return what a crawl cost by page that was asked for: one with a mirror fetches more than these."""
    share = one.pages / pages
    return Cost(one.cpu * share, one.cpu_main * share, one.pages / one.rate)


def measure(outputs: Sequence[Output], nginx: Nginx, job: Path, arguments: argparse.Namespace) -> dict[Output, list[Cost]]:
    """Crawl with each output in turns."""
    costs: dict[Output, list[Cost]] = {output: [] for output in outputs}
    for _ in range(arguments.rounds):
        for output in outputs:
            options = [part for name in output.outputs for part in ("-o", name)] + (["--job", str(job)] if output.rules else [])
            one = crawl_once(peers.crawl(options), f"{nginx.url}index.html", nginx.log, arguments.pages, arguments.timeout)
            costs[output].append(cost_of(one, arguments.pages))
            print(f"{output.name}: {costs[output][-1].cpu / MICROSECOND:.0f} µs CPU a page", file=sys.stderr, flush=True)
    return costs


def difference(costs: dict[Output, list[Cost]], output: Output) -> Cost:
    """Return what an output costs beside none: the medians of the differences within a round."""
    pairs = list(zip(costs[output], costs[NONE], strict=True))
    return Cost(*(statistics.median(a[column] - b[column] for a, b in pairs) for column in range(3)))


def section(costs: dict[Output, list[Cost]], left_out: Sequence[str], arguments: argparse.Namespace) -> Section:
    rows, drawn, found = [], [], {}
    for output, seen in costs.items():
        one = Cost(*map(statistics.median, zip(*seen, strict=True)))
        more = difference(costs, output)
        told = [f"{value / MICROSECOND:+.0f} µs" if output is not NONE else "" for value in more[:2]]
        rows.append(
            [output.name, f"{one.cpu / MICROSECOND:.0f} µs", told[0], f"{one.main / MICROSECOND:.0f} µs", told[1], f"{one.seconds:.1f} s"]
        )
        label = output.name if len(output.outputs) < 2 else "all of these at once"
        drawn.append(plots.Bar(label, one.cpu, f"{one.cpu / MICROSECOND:.0f} µs", output is NONE))
        found[output.name] = one._asdict()
    rows += [[name, "library missing", "", "", "", ""] for name in left_out]
    header = ["", "CPU a page", "more", "main process", "more", "in all"]
    how = (
        f"The first {arguments.pages} pages of {arguments.site}, medians of {arguments.rounds} rounds in turns (`benchmarks/outputs.py`). "
        "CPU time is that of the whole command: starting it, crawling, and making the output at the end, where it is one that is made "
        "then. The main process is the reactor's, which makes those outputs after the crawl; a mirror also fetches what its pages need."
    )
    plot = plots.bars("What outputs cost", "CPU time a page, all processes, medians; shorter is better", drawn)
    return Section(
        "outputs", "Cost of outputs", how, document.table(header, rows), {"outputs": plot}, [], {"outputs": found, "missing": left_out}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=5)
    parser.add_argument("--site", choices=SITES, default=JUDGED)
    parser.add_argument("--pages", type=int, default=3000)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which a crawl is given up")
    arguments = parser.parse_args()
    if not (SITES[arguments.site] / "index.html").is_file():
        raise SystemExit(f"{SITES[arguments.site]} is missing: apt-get install {arguments.site}")
    there = [output for output in OUTPUTS if not output.module or find_spec(output.module)]
    with tempfile.TemporaryDirectory() as name:
        job = Path(name) / "job.toml"
        job.write_text(JOB, encoding="utf-8")
        nginx = Nginx(SITES[arguments.site], Path(name) / "nginx")
        try:
            costs = measure([NONE, *there], nginx, job, arguments)
        finally:
            nginx.stop()
    document.deliver(section(costs, [output.name for output in OUTPUTS if output not in there], arguments), arguments)


if __name__ == "__main__":
    main()
