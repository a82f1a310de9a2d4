"""The other crawlers of the comparison: how each is found and started. All are optional; one that is missing is named with its remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from document import crawl_version, version_of

HERE = Path(__file__).parent
PEERS = Path(os.environ.get("CRAWL_PEERS", "/opt/peers"))
"""Where peers are looked for first: `scrapy`, `crawlee` and `python` are virtual environments, `spider` an npm prefix."""
PARALLEL = 64
CRAWL = "crawl"


class Peer(NamedTuple):
    """A crawler. `command(start, limit)` crawls the site of a URL, `limit` pages of it at most, or all for 0."""

    name: str
    version: str | None  # None: it is missing
    remedy: str
    command: Callable[[str, int], Sequence[str]]
    does: str
    can_stop: bool  # at a number of pages
    codes: tuple[int, ...] = (0,)  # exit codes of a crawl that went well


def crawl(options: Sequence[str] = ()) -> Peer:
    """Return our own crawler with its defaults, but for the delay and the places for one host."""

    def command(start: str, limit: int) -> Sequence[str]:
        places = ["--delay", "0", "--per-host", str(PARALLEL)]
        stop = ["--max-pages", str(limit)] if limit else []
        return [sys.executable, "-m", "crawler.cli", "run", start, "--dir", "home", "--json", *places, *stop, *options]

    return Peer(CRAWL, crawl_version(), "", command, "records, robots.txt, exact across kill -9", can_stop=True)


def python_of(peer: str) -> str:
    """Return the interpreter that may have a peer: of its own environment, else this one."""
    for folder in (PEERS / peer, PEERS.parent / peer):
        if (program := folder / "bin" / "python").exists():
            return str(program)
    return sys.executable


def scrapy(python: str | None = None) -> Peer:
    """Return Scrapy with the least spider that does what ``crawl run`` does with a page."""
    python = python or python_of("scrapy")

    def command(start: str, limit: int) -> Sequence[str]:
        stop = ["-s", f"CLOSESPIDER_PAGECOUNT={limit}"] if limit else []
        return [python, "-m", "scrapy", "runspider", str(HERE / "scrapy_spider.py"), "-a", f"start={start}", "-O", "out.jsonl", *stop]

    version = version_of([python, "-c", "import scrapy; print(scrapy.__version__)"])
    return Peer(
        "Scrapy",
        version,
        "python -m venv /opt/scrapy && /opt/scrapy/bin/pip install scrapy",
        command,
        "a JSON line a page, robots.txt",
        True,
    )


def crawlee() -> Peer:
    """Return Crawlee for Python with its Parsel crawler, which is faster here than that with BeautifulSoup."""
    python = python_of("crawlee")

    def command(start: str, limit: int) -> Sequence[str]:
        return [python, str(HERE / "peer_crawlee.py"), start, str(PARALLEL), str(limit)]

    version = version_of([python, "-c", "import crawlee; print(crawlee.__version__)"])
    remedy = f"python -m venv {PEERS}/crawlee && {PEERS}/crawlee/bin/pip install 'crawlee[parsel]'"
    return Peer("Crawlee (Python)", version, remedy, command, "a JSON line a page, robots.txt", True)


def spider_rs() -> Peer:
    """Return spider-rs, the Rust crawler, through Node."""

    def command(start: str, _limit: int) -> Sequence[str]:
        return ["node", str(HERE / "peer_spider.mjs"), str(PEERS / "spider"), start]

    package = PEERS / "spider" / "node_modules" / "@spider-rs" / "spider-rs" / "package.json"
    version = version_of(["node", "-p", f"require({str(package)!r}).version"]) if package.exists() else None
    remedy = f"apt-get install nodejs npm && npm install --prefix {PEERS}/spider @spider-rs/spider-rs @spider-rs/spider-rs-linux-x64-gnu"
    return Peer("spider-rs (Rust)", version, remedy, command, "robots.txt; keeps no records", False)


def wget2() -> Peer:
    """Return wget2, the floor: C, threads, no records, no page parsed for more than its links; it writes the pages to files.

    With ``--spider`` it would write nothing, but finds a quarter of rust-doc only.
    """

    def command(start: str, _limit: int) -> Sequence[str]:
        return ["wget2", "--recursive", "--level=inf", f"--max-threads={PARALLEL}", "--quiet", start]

    version = version_of(["wget2", "--version"]) if shutil.which("wget2") else None
    # 8 is its word for an answer other than 200: this site has broken links.
    return Peer("wget2 (C)", version, "apt-get install wget2", command, "robots.txt; keeps the pages as files", False, (0, 8))
