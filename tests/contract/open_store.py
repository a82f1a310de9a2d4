"""A home opened for a test, and what is stored in it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from crawler.config import Settings, StoreSettings
from crawler.frontier.sqlite import Candidate, SqliteFrontier
from crawler.job import make_job
from crawler.model import Kind, Outcome, Record, Task, Via
from crawler.store.commit import Committed, Writer
from crawler.store.home import open_home
from crawler.store.operations import Admission, Completion
from crawler.url import fingerprint

JOB = make_job(["http://a/"], Settings())


def found(number: int) -> Candidate:
    url = f"http://a/{number}"
    return Candidate(fingerprint(url), url, "a", Kind.PAGE, Via.LINK, 1, 0, "http://a/")


def record(url: str, **values: Any) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": []}
    return Record(**(known | {"attempts": 1, "bytes": 10} | values))  # type: ignore[arg-type]


def ended(task: Task, links: list[int] | None = None, **values: Any) -> Completion:
    return Completion(task, record(task.url, **values), [found(number) for number in links or []], [])


class Store:
    """An open home with a running writer."""

    def __init__(self, folder: Path, outputs: list[Path] | None = None, *, overwrite: bool = False, **settings: Any) -> None:
        self.home = open_home(folder)
        try:
            self.home.adopt(JOB)
            self.home.open_files([str(path) for path in outputs or []], overwrite=overwrite)
        except BaseException:
            self.home.close()
            raise
        values = {"commit_interval": 0.01} | settings
        self.writer = Writer(self.home, SqliteFrontier(self.home.connection), StoreSettings(**values), reactor)
        self.committed: list[Committed] = []
        self.writer.on_committed = self.committed.append
        self.writer.start()

    async def admit(self, *numbers: int) -> list[Task]:
        done = self.writer.submit(Admission([found(number) for number in numbers], []))
        self.writer.hurry()
        await done
        return self.committed[-1].tasks

    async def finish(self, *tasks: Task, **values: Any) -> None:
        done = gatherResults([self.writer.submit(ended(task, **values)) for task in tasks], consumeErrors=True)
        self.writer.hurry()
        await done


@contextlib.asynccontextmanager
async def store(folder: Path, outputs: list[Path] | None = None, **settings: Any) -> AsyncIterator[Store]:
    opened = Store(folder, outputs, **settings)
    try:
        yield opened
    finally:
        await opened.writer.close()


# -- repair ----------------------------------------------------------------------------------------------------------


async def crawled(folder: Path, count: int, outputs: list[Path] | None = None) -> None:
    async with store(folder, outputs) as one:
        tasks = await one.admit(*range(1, count + 1))
        await one.finish(*tasks, title="é\u2028,\"'")


async def reopen(folder: Path, outputs: list[Path] | None = None, **options: Any) -> None:
    async with store(folder, outputs, **options):
        pass
