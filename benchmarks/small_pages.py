"""Small pages, 2 kB and five links each: what a page costs where there is nearly nothing to parse and all is the crawler's own work.

    apt-get install nginx-light
    python benchmarks/small_pages.py --rounds 5 --pages 40000

The site is generated and served by an nginx of its own. Since server and crawler share the cores, pages/s through the reactor's process are
counted by its CPU time: as many as it could pass on if it had a core to itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import document  # noqa: E402
import peers  # noqa: E402
from crawl import MICROSECOND, MILLISECOND, Round, crawl_once, medians  # noqa: E402
from document import Section, Verdict  # noqa: E402
from sites.nginx import Nginx  # noqa: E402

LEAST = 4000
"""Pages per CPU second of the reactor's process."""
SIZE = 2000
LINKS = 5
FOLDERS = 100  # pages in each


def path_of(number: int) -> str:
    return f"/{number // FOLDERS}/{number}.html" if number else "/index.html"


def page(number: int, pages: int) -> str:
    """Return a page that links to its three children in the tree and to two others."""
    children = range(number * (LINKS - 2) + 1, (number + 1) * (LINKS - 2) + 1)
    others = [*children, number * 7919 + 13, number * 104729 + 7]
    links = "".join(f'<li><a href="{path_of(other % pages)}">Page {other % pages}</a>\n' for other in others)
    head = f"<!doctype html><meta charset=utf-8><title>Page {number}</title>\n<ul>{links}</ul>\n"
    return (head + f"<p>A line of page {number}, of which there are many.\n" * (SIZE // 40))[:SIZE]


def write_site(folder: Path, pages: int) -> None:
    for number in range(pages):
        file = folder / path_of(number)[1:]
        file.parent.mkdir(exist_ok=True)
        file.write_text(page(number, pages), encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    document.add_options(parser, rounds=5)
    parser.add_argument("--pages", type=int, default=40_000)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which the crawl is given up")
    arguments = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site").mkdir()
        write_site(folder / "site", arguments.pages)
        nginx = Nginx(folder / "site", folder / "nginx")
        try:
            for _ in range(arguments.rounds):
                rounds.append(crawl_once(peers.crawl(), f"{nginx.url}index.html", nginx.log, 0, arguments.timeout))
        finally:
            nginx.stop()
    if any(one.pages != arguments.pages for one in rounds):
        raise SystemExit(f"{[one.pages for one in rounds]} pages were crawled instead of {arguments.pages}")
    document.deliver(section(medians(rounds), arguments), arguments)


def section(one: Round, arguments: argparse.Namespace) -> Section:
    through = 1 / one.cpu_main
    header = ["", "pages", "pages/s", "CPU a page", "reactor's process", "pages per CPU second of it", "lag p99"]
    cpu = [f"{one.cpu / MICROSECOND:.0f} µs", f"{one.cpu_main / MICROSECOND:.0f} µs"]
    row = ["crawl", f"{one.pages:.0f}", f"{one.rate:.0f}", *cpu, f"{through:.0f}", f"{(one.lag or 0.0) / MILLISECOND:.1f} ms"]
    how = (
        f"A generated site of {arguments.pages} pages of {SIZE} bytes with {LINKS} links each, behind nginx on loopback, 64 requests in "
        f"flight, medians of {arguments.rounds} rounds (`benchmarks/small_pages.py`); everything on, records included. "
        "The bar is for "
        "CPU time, so that the share of the server on the same cores does not count; starting the program is in it."
    )
    told = [Verdict(f"{through:.0f} pages/s through the reactor's process by its CPU time (at least {LEAST})", through >= LEAST)]
    return Section("small-pages", "Small pages", how, document.table(header, [row]), {}, told, one._asdict())


if __name__ == "__main__":
    main()
