"""A crawl of a small web in the test's own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_web import Page, SmallWeb, html
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from crawler.build import build_crawl
from crawler.config import Settings, load
from crawler.engine import Engine
from crawler.extract.rules import Extraction
from crawler.job import make_job
from crawler.model import Record, Result
from crawler.store.home import Home, open_home

LIMIT = 15.0  # seconds, for any crawl here


class Crawl:
    """One run in a home."""

    def __init__(self, folder: Path, seeds: list[str], extraction: Extraction | None = None, **flags: Any) -> None:
        job = make_job(seeds, quick(**flags), extraction)
        self.home: Home = open_home(folder)
        self.home.adopt(job)
        self.home.open_files([], overwrite=False)
        self.engine: Engine = build_crawl(reactor, job, self.home)

    async def run(self) -> Result:
        done = self.engine.run()
        return await done.addTimeout(LIMIT, reactor, lambda *_: pytest.fail(f"the crawl does not end: {self.engine.snapshot()}"))


def quick(**flags: Any) -> Settings:
    """Return settings for tests that do not wait: no delay, one worker, commits at once; `section__key` overrides one."""
    values = {
        "parse.workers": 1,
        "politeness.delay": 0,
        "politeness.per_host": 4,
        "store.commit_interval": 0.01,
        "fetch.retry_delay": 0.05,
        "service.stop_timeout": 5.0,
    }
    values |= {name.replace("__", "."): value for name, value in flags.items()}
    return load(flags=values).settings


async def crawl(folder: Path, seeds: list[str], **flags: Any) -> tuple[Result, list[Record]]:
    """Crawl to the end and return the result with all records of the home."""
    result = await Crawl(folder, seeds, **flags).run()
    return result, records_in(folder)


def records_in(folder: Path) -> list[Record]:
    home = open_home(folder)
    try:
        return list(home.read_records())
    finally:
        home.close()


def outcomes(records: list[Record], web: SmallWeb) -> dict[str, str]:
    """Return path: outcome, with a reason behind a colon; a URL with two records fails the test."""
    assert len({record.url for record in records}) == len(records), "a URL has two records"
    return {record.url.removeprefix(web.url("")): f"{record.outcome}{':' + record.reason if record.reason else ''}" for record in records}


def pause(seconds: float) -> Deferred[None]:
    return deferLater(reactor, seconds)


async def until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await pause(0.01)
    pytest.fail("it does not come true")


def tree(size: int, fanout: int = 3, **options: Any) -> dict[str, Page]:
    """Return "/0" to "/size - 1", each linking to its children and back to the first."""
    return {
        f"/{number}": html(
            "/0", *[f"/{child}" for child in range(number * fanout + 1, number * fanout + 1 + fanout) if child < size], **options
        )
        for number in range(size)
    }
