"""CPU time a page of a parse worker's job on a site's files, step by step, beside bare lexbor (the floor), lxml and parsel.

    python benchmarks/parse.py [--site DIR] [--pages N] [--rounds N]

All run in one process, in turns, over the same pages in the order of their paths; each row does what it says for every page. The steps of
the job are cumulative: the difference to the row above is the step's own. The job has everything a worker does but its socket: sha256,
encoding, HTML5 tree, links and metadata, canonical URLs and their keys, new links only, msgpack. lxml's row parses and finds the links
(not resolved, nothing else); so does parsel's. parsel is no dependency: without it its row says so.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import resource
import statistics
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import document
import msgspec
from lxml import html as lxml_html
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

sys.path[:0] = [str(Path(__file__).parent.parent)]

from crawler.model import Kind  # noqa: E402
from crawler.parse import charset, html, worker  # noqa: E402
from crawler.parse.frames import Setup, ToParse  # noqa: E402
from crawler.parse.links import Lately, Reported  # noqa: E402
from crawler.parse.page import parse_page  # noqa: E402

SITE = Path("/usr/share/doc/rust-doc/html")
LEAST = 1024
"""Bytes of a page that counts: smaller ones are redirects."""
FLOOR, JOB = "bare lexbor", "the whole job"

Contender = Callable[[ToParse], object]


def sample(site: Path, count: int) -> list[ToParse]:
    """Return about `count` pages, in runs of files that lie together, from all over the site."""
    files = [file for file in sorted(site.rglob("*.html")) if file.stat().st_size >= LEAST]
    run = 50
    step = max(1, len(files) // max(1, count // run))
    chosen = [file for start in range(0, len(files), step) for file in files[start : start + run]][:count]
    base = "http://h.example/"
    return [
        ToParse(base + str(file.relative_to(site)), Kind.PAGE, "text/html", [], file.read_bytes(), True, False, True) for file in chosen
    ]


def steps() -> dict[str, Contender]:
    """Return the floor and the steps of a worker's job, each with all before it."""
    setup = Setup(page_memory=1 << 29, max_decoded=1 << 26, max_links=50_000, recycle_after=1 << 30, agent_token="crawl")
    lately, reported, encoder = Lately(), Reported(), msgspec.msgpack.Encoder()
    options = LexborDocumentOptions.WO_EVENTS.value

    def tree(page: ToParse) -> object:
        return LexborHTMLParser(page.body, options=options)

    def text(page: ToParse) -> bytes:
        hashlib.sha256(page.body).hexdigest()
        return charset.to_utf8(page.body, charset.determine(page.body, page.content_type)[0])[0]

    def read(page: ToParse) -> object:
        return LexborHTMLParser(text(page), options=options)

    def walked(page: ToParse) -> object:
        return html.extract(text(page), page.url, agent_token="crawl", max_links=50_000, want_links=False)

    def parsed(page: ToParse) -> object:
        return parse_page(page, setup, lately)

    def whole(page: ToParse) -> object:
        return encoder.encode(reported.only_new(parse_page(page, setup, lately)))

    return {
        FLOOR: tree,
        "and sha256, encoding": read,
        "and links, metadata": walked,
        "and canonical URLs, keys": parsed,
        JOB: whole,
    }


def peers() -> dict[str, Contender | None]:
    """Return the peers; None for one that is not installed."""

    def by_lxml(page: ToParse) -> object:
        return lxml_html.document_fromstring(page.body).xpath("//a/@href")

    return {"lxml": by_lxml, "parsel": _by_parsel()}


def _by_parsel() -> Contender | None:
    try:
        selector: Any = importlib.import_module("parsel").Selector
    except ImportError:
        return None
    return lambda page: selector(body=page.body, type="html").css("a::attr(href)").getall()


def measure(pages: list[ToParse], contenders: dict[str, Contender | None], rounds: int) -> dict[str, float]:
    """Return each one's CPU time a page in microseconds, the median of all rounds; the first pass over the pages does not count."""
    found: dict[str, list[float]] = {}
    for counted in [False, *[True] * rounds]:
        for name, parse in contenders.items():
            if parse is None:
                continue
            before = cpu()
            for page in pages:
                parse(page)
            if counted:
                found.setdefault(name, []).append((cpu() - before) / len(pages) * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def cpu() -> float:
    """Return the seconds that this process has computed, in the kernel as well."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def versions() -> str:
    """Return the versions of all parsers."""
    told = []
    for name in ("selectolax", "lxml", "parsel"):
        try:
            told.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            told.append(f"{name}: not installed")
    return ", ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=SITE, metavar="DIR", help="a folder of HTML files")
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    pages = sample(arguments.site, arguments.pages)
    if not pages:
        parser.error(f"{arguments.site} has no HTML files of {LEAST} bytes and more")
    worker.tune_memory()
    contenders = {**steps(), **peers()}
    found = measure(pages, contenders, arguments.rounds)
    mean = sum(len(page.body) for page in pages) / len(pages)
    if arguments.json:
        print(json.dumps({"pages": len(pages), "bytes": mean, "microseconds": found}))
        return
    rows = [
        [name, f"{found[name]:.0f} µs", f"{found[name] / found[FLOOR]:.2f}", f"{mean / found[name]:.0f} MB/s"]
        if name in found
        else [name, "not installed", "", ""]
        for name in contenders
    ]
    print(f"{len(pages)} pages of {mean / 1000:.1f} kB on average, median of {arguments.rounds} rounds; {versions()}\n")
    print(document.table(["CPU time a page", "time", f"of {FLOOR}", "rate"], rows))


if __name__ == "__main__":
    main()
