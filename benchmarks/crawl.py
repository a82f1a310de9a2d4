"""A whole site by Crawl and by its peers, in turns: pages/s, CPU time a page, memory of all processes, pages found.

    apt-get install nginx-light rust-doc wget2 nodejs npm
    python benchmarks/crawl.py --rounds 5 [--site rust-doc|python3.11-doc|postgresql-doc-15] [--limit-slow 2000]

The site is Debian's documentation behind an nginx of its own on loopback. Crawl runs with its default settings (records, robots.txt,
politeness, exactness) except for `--delay 0 --per-host 64`; its time is from its first request in nginx's log to the end of its process.
A peer's time ends with its last page already. Scrapy and Crawlee are slow and stop at `--limit-slow` pages; their rate is that after
the first tenth of those. A site's first pages may be its heaviest, as rust-doc's are (four times the average size): so what is judged
then is the ratio to Crawl's rate over the same pages. `--limit-slow 0 --slow-rounds 1` lets them crawl all of it, once: 20 minutes.
Whoever is missing is named, with what to install.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import peers  # noqa: E402
import plots  # noqa: E402
from document import Section, Verdict  # noqa: E402
from peers import CRAWL, Peer  # noqa: E402
from processes import run  # noqa: E402
from sites.nginx import Nginx  # noqa: E402

SITES = {
    "rust-doc": Path("/usr/share/doc/rust-doc/html"),
    "python3.11-doc": Path("/usr/share/doc/python3.11/html"),
    "postgresql-doc-15": Path("/usr/share/doc/postgresql-doc-15/html"),
}
JUDGED = "rust-doc"
"""The site on which something has to be shown."""
SLOW = ("Scrapy", "Crawlee (Python)")
FASTER_THAN = {"Scrapy": 35.0, "Crawlee (Python)": 90.0, "spider-rs (Rust)": 2.0}
MOST_CPU, MOST_MAIN, MOST_LAG = 850e-6, 250e-6, 0.020
MEGABYTE, MICROSECOND, MILLISECOND = 1024 * 1024, 1e-6, 1e-3


class Round(NamedTuple):
    """One crawl; times in seconds, memory in bytes, CPU time by page."""

    pages: int
    rate: float
    early: float  # pages/s over the pages to which slow ones are limited, without their first tenth; the rate when there is no limit
    cpu: float
    cpu_main: float
    resident: int
    share: int
    lag: float | None  # 99th percentile, of Crawl alone


def medians(rounds: Sequence[Round]) -> Round:
    lags = [one.lag for one in rounds if one.lag is not None]
    columns = list(zip(*(one[:-1] for one in rounds), strict=True))
    return Round(*map(statistics.median, columns), statistics.median(lags) if lags else None)  # type: ignore[arg-type]


def pages_in(log: Path, offset: int) -> tuple[float, list[float]]:
    """Return when the first request began and when each page was first sent whole, in order, of what the log has from `offset` on."""
    began, found = float("inf"), {}
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            ended, took, status, method, uri, _host, kind = line.split(b" ", 6)
            began = min(began, float(ended) - float(took))
            if (status, method) == (b"200", b"GET") and kind.startswith(b"text/html"):
                found.setdefault(uri, float(ended))
    return began, sorted(found.values())


def rate_within(times: Sequence[float], first: int, last: int) -> float:
    """Return pages/s from one page's end to another's, given by their places; 0 for a single page."""
    last = min(last, len(times) - 1)
    return (last - first) / max(1e-3, times[last] - times[first]) if last > first else 0.0


def crawl_once(peer: Peer, start: str, log: Path, limit: int, timeout: float, *, early: int = 0) -> Round:
    """Run one crawler to its end; `early` pages are those over which an early rate is wanted of one that goes on.

    Raises SystemExit when it fails or finds nothing.
    """
    offset = log.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} if peer.name == CRAWL else None
        spent = run(peer.command(start, limit), Path(folder), timeout, environment)
    began, times = pages_in(log, offset)
    if spent.code not in peer.codes or not times:
        raise SystemExit(f"{peer.name} ended with {spent.code} after {len(times)} pages:\n{spent.stderr[-2000:]}")
    rate = len(times) / max(1e-3, (spent.ended if peer.name == CRAWL else times[-1]) - began)
    window = early or limit
    at_first = rate_within(times, window // 10, window) if window else rate
    rate = at_first if limit and not early and peer.name != CRAWL else rate
    each = 1 / len(times)
    lag = summary_of(spent.stderr)["lag_p99"] if peer.name == CRAWL else None
    return Round(len(times), rate, at_first, spent.cpu * each, spent.cpu_main * each, spent.resident, spent.share, lag)


def summary_of(stderr: str) -> dict[str, Any]:
    """Return what Crawl said at its end with --json."""
    for line in reversed(stderr.splitlines()):
        if line.startswith("{") and (told := json.loads(line)).get("event") == "summary":
            return dict(told)
    raise SystemExit(f"Crawl gave no summary:\n{stderr[-2000:]}")


def verdicts(found: Mapping[str, Round], limit: int) -> list[Verdict]:
    """Return what had to be shown, in words, and whether it was; `limit` is how many pages slow ones were given, or 0."""
    ours, told = found[CRAWL], []
    for name, least in FASTER_THAN.items():
        if name in found:
            limited = limit and name in SLOW
            ratio = ours.early / found[name].early if limited else ours.rate / found[name].rate
            over = f", over pages {limit // 10} to {limit}" if limited else ""
            told.append(Verdict(f"{ratio:.1f} times {name} in pages/s{over} (at least {least:.0f})", ratio >= least))
        else:
            told.append(Verdict(f"{name} is missing: at least {least:.0f} times its pages/s cannot be shown", False))
    for what, value, most in (("all processes", ours.cpu, MOST_CPU), ("the reactor's process", ours.cpu_main, MOST_MAIN)):
        told.append(Verdict(f"{value / MICROSECOND:.0f} µs CPU a page in {what} (at most {most / MICROSECOND:.0f})", value <= most))
    if "Scrapy" in found:
        for mine, theirs, how in (
            (ours.share, found["Scrapy"].share, "what processes share counted once"),
            (ours.resident, found["Scrapy"].resident, "what they share counted for each"),
        ):
            sizes = f"{mine / MEGABYTE:.0f} MB at its peak (at most Scrapy's {theirs / MEGABYTE:.0f})"
            told.append(Verdict(f"{sizes}, {how}", mine <= theirs))
    lag = ours.lag or 0.0
    told.append(Verdict(f"reactor lag p99 {lag / MILLISECOND:.1f} ms (at most {MOST_LAG / MILLISECOND:.0f})", lag <= MOST_LAG))
    return told


HEADER = (
    *("crawler", "pages", "pages/s", "from-to", "Crawl/it", "same pages"),
    *("CPU a page", "main process", "memory", "PSS", "what it does"),
)


def as_table(crawlers: Sequence[Peer], rounds: Mapping[str, Sequence[Round]], limit: int) -> str:
    """Return the table; a ratio is of the medians."""
    rows, ours = [], medians(rounds[CRAWL])
    for peer in crawlers:
        if seen := rounds.get(peer.name):
            rows.append([f"{peer.name} {peer.version}", *cells(seen, ours, peer, limit), peer.does])
        else:
            rows.append([peer.name, "missing", *[""] * 8, peer.remedy])
    return document.table(HEADER, rows)


def cells(seen: Sequence[Round], ours: Round, peer: Peer, limit: int) -> list[str]:
    """Return a crawler's figures."""
    one, rates = medians(seen), [each.rate for each in seen]
    cpu, main = f"{one.cpu / MICROSECOND:.0f} µs", f"{one.cpu_main / MICROSECOND:.0f} µs" if peer.name == CRAWL else ""
    memory = [f"{size / MEGABYTE:.0f} MB" for size in (one.resident, one.share)]
    if not finds_the_site(one, ours, limited=bool(limit) and peer.name in SLOW):
        return [f"{one.pages:.0f}", "too few", "", "", "", "", "", *memory]
    same = f"{ours.early / one.early:.1f}" if limit and peer.name in SLOW and one.early else ""
    ratio = f"{ours.rate / one.rate:.1f}" if peer.name != CRAWL else ""
    return [f"{one.pages:.0f}", f"{one.rate:.0f}", f"{min(rates):.0f}-{max(rates):.0f}", ratio, same, cpu, main, *memory]


def finds_the_site(one: Round, ours: Round, *, limited: bool) -> bool:
    """Tell whether a crawler finds at least half of what we find, so that its figures mean something."""
    return limited or one.pages >= ours.pages / 2


def as_plots(site: str, found: Mapping[str, Round]) -> dict[str, str]:
    """Return the bars of rates, and of CPU time and memory."""
    told = [name for name, one in found.items() if finds_the_site(one, found[CRAWL], limited=name in SLOW)]
    order = sorted(told, key=lambda name: -found[name].rate)

    def drawn(title: str, note: str, value: Any, text: str) -> str:
        rows = [plots.Bar(name, value(found[name]), text.format(value(found[name])), name == CRAWL) for name in order]
        return plots.bars(f"{title}: {site}", note, rows)

    return {
        f"crawl-{site}": drawn("Pages a second", "medians; longer is better", lambda one: one.rate, "{:.0f}"),
        f"crawl-{site}-cpu": drawn(
            "CPU time a page, all processes", "milliseconds, medians; shorter is better", lambda one: one.cpu / MILLISECOND, "{:.2f} ms"
        ),
        f"crawl-{site}-memory": drawn(
            "Peak memory, all processes", "megabytes, medians; shorter is better", lambda one: one.resident / MEGABYTE, "{:.0f} MB"
        ),
    }


def measure(crawlers: Sequence[Peer], site: Path, arguments: argparse.Namespace) -> dict[str, list[Round]]:
    """Let all that are there crawl the site in turns."""
    rounds: dict[str, list[Round]] = {}
    with tempfile.TemporaryDirectory() as folder:
        nginx = Nginx(site, Path(folder))
        try:
            for number in range(arguments.rounds):
                for peer in crawlers:
                    if peer.version is None or (peer.name in SLOW and arguments.slow_rounds and number >= arguments.slow_rounds):
                        continue
                    limit = arguments.limit_slow if peer.name in SLOW else arguments.pages if peer.can_stop else 0
                    early = 0 if peer.name in SLOW else arguments.limit_slow
                    one = crawl_once(peer, f"{nginx.url}index.html", nginx.log, limit, arguments.timeout, early=early)
                    rounds.setdefault(peer.name, []).append(one)
                    told = f"{peer.name}: {one.pages} pages, {one.rate:.0f}/s, {one.cpu / MICROSECOND:.0f} µs CPU a page"
                    print(told, file=sys.stderr, flush=True)
        finally:
            nginx.stop()
    return rounds


def section(crawlers: Sequence[Peer], rounds: Mapping[str, Sequence[Round]], arguments: argparse.Namespace) -> Section:
    found = {name: medians(seen) for name, seen in rounds.items()}
    limit = (
        f"Scrapy and Crawlee stop at {arguments.limit_slow} pages, their rate is that after the first tenth of them; "
        '"same pages" is the ratio over just these, the heaviest of the site. '
    )
    slow = f"Scrapy and Crawlee took part in {arguments.slow_rounds} of them. " if arguments.slow_rounds else ""
    how = (
        f"{arguments.site} behind nginx on loopback, 64 requests in flight, medians of {arguments.rounds} rounds in turns "
        f"(`benchmarks/crawl.py --site {arguments.site}`). Crawl with its defaults but `--delay 0 --per-host 64`, from its first request "
        f"to the end of its process; the others to their last page. {slow}{limit if arguments.limit_slow else ''}"
        "Memory is the peak of the sum of all processes' resident memory; PSS counts what they share once."
    )
    told = verdicts(found, arguments.limit_slow) if arguments.site == JUDGED else []
    title = f"A whole site: {arguments.site}"
    result = {"crawlers": {name: one._asdict() for name, one in found.items()}, "missing": [p.name for p in crawlers if p.version is None]}
    drawn = as_plots(arguments.site, found)
    return Section(f"crawl-{arguments.site}", title, how, as_table(crawlers, rounds, arguments.limit_slow), drawn, told, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=5)
    parser.add_argument("--site", choices=SITES, default=JUDGED)
    parser.add_argument("--pages", type=int, default=0, help="pages for Crawl; 0: the whole site")
    parser.add_argument("--limit-slow", type=int, default=2000, help="pages for Scrapy and Crawlee; 0: the whole site")
    parser.add_argument("--slow-rounds", type=int, default=0, help="rounds in which Scrapy and Crawlee take part; 0: all")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="beside Crawl, only peers whose name begins so")
    parser.add_argument("--scrapy-python", help="the interpreter that has Scrapy")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds after which a crawler is given up")
    arguments = parser.parse_args()
    site = SITES[arguments.site]
    if not (site / "index.html").is_file():
        raise SystemExit(f"{site} is missing: apt-get install {arguments.site}")
    others = [peers.scrapy(arguments.scrapy_python), peers.crawlee(), peers.spider_rs(), peers.wget2()]
    wanted = [peer for peer in others if not arguments.only or peer.name.lower().startswith(tuple(map(str.lower, arguments.only)))]
    crawlers = [peers.crawl(), *wanted]
    document.deliver(section(crawlers, measure(crawlers, site, arguments), arguments), arguments)


if __name__ == "__main__":
    main()
