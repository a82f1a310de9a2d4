"""A visitor among parts that answer at once, and what became of a visit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from crawler.config import Settings, load
from crawler.model import Fetched, FetchFailed, Kind, PageLink, Parsed, Reason, Task, Via
from crawler.parse.frames import ToParse
from crawler.policy.admit import Door
from crawler.policy.robots import RobotsCache
from crawler.policy.scope import Scope
from crawler.recent import RecentKeys
from crawler.store.operations import Completion, Operation
from crawler.url import fingerprint
from crawler.visit import Parts, Visitor

NOW = 1_000_000.0
URL = "http://a/page"
TASK = Task(fingerprint(URL), URL, "a", Kind.PAGE, 2, Via.LINK, "http://a/", 0, 0, 2, 7)


def link(url: str, *, nofollow: bool = False) -> PageLink:
    return PageLink(fingerprint(url), url, nofollow)


def answered(status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"<p>") -> Fetched:
    fields = [("content-type", "text/html; charset=utf-8"), *(headers or {}).items()]
    return Fetched(URL, status, fields, body, "192.0.2.1", NOW - 1, 0.25)


PARSED = Parsed(10, "d1", "utf-8", "Title", "About", "en", links=[link("http://a/one"), link("http://a/two")])


class Turn:
    """Notes what the engine would hear."""

    def __init__(self, down: tuple[Reason, str] | None = None) -> None:
        self.down = down
        self.doubtful = False
        self.heard: list[Any] = []

    def given_up(self) -> tuple[Reason, str] | None:
        return self.down

    def begin(self) -> None:
        self.heard.append("begin")

    def sent(self, now: float) -> None:
        self.heard.append(("sent", now))

    def over(self, answer: Fetched | FetchFailed) -> None:
        self.heard.append("over")

    def pause(self, seconds: float, host: str | None = None) -> None:
        assert host is None, "a visit knows of one host"
        self.heard.append(("pause", seconds))

    def storing(self) -> None:
        self.heard.append("storing")


class Room:
    """A visitor whose three servants say what they are told to."""

    def __init__(self, answer: Any = None, parsed: Any = PARSED, *, robots: str = "", remember: bool = True, **flags: Any) -> None:
        self.settings: Settings = load(flags={name.replace("__", "."): value for name, value in flags.items()}).settings
        self.answer = answer if answer is not None else answered()
        self.parsed = parsed
        self.stored: list[Operation] = []
        self.asked: list[dict[str, Any]] = []
        self.pages: list[ToParse] = []
        self.store_result: Callable[[], Deferred[Any]] = lambda: succeed(None)
        self.pauses = 0
        self.pause_result: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.recent = RecentKeys() if remember else None
        cache = RobotsCache("crawl", ttl=99, obey=True, max_delay=60)
        cache.learn("http://a", Fetched("http://a/robots.txt", 200, [], b"", None, NOW, 0.1), robots.encode(), NOW)
        door = Door(Scope(["http://a/"], self.settings.scope), depth=self.settings.scope.depth, max_redirects=3)
        parts = Parts(self.fetch, self.parse, self.store, lambda: NOW, self.pause)
        self.visitor = Visitor(parts, door=door, robots=cache, recent=self.recent, settings=self.settings, robots_token="crawl")

    def fetch(self, url: str, *, on_sent: Callable[[float], None] | None = None, **options: Any) -> Deferred[Any]:
        self.asked.append({"url": url} | options)
        if on_sent is not None:
            on_sent(5.0)
        return self._say(self.answer)

    def parse(self, page: ToParse, *, doubtful: bool = False) -> Deferred[Any]:
        self.pages.append(page)
        return self._say(self.parsed)

    def store(self, operation: Operation) -> Deferred[Any]:
        self.stored.append(operation)
        return self.store_result().addCallback(lambda _: operation)

    def pause(self) -> Deferred[None]:
        self.pauses += 1
        return self.pause_result()

    @staticmethod
    def _say(what: Any) -> Deferred[Any]:
        if isinstance(what, Deferred):
            return what
        return fail(what) if isinstance(what, Exception) else succeed(what)

    async def visit(self, task: Task = TASK, turn: Turn | None = None) -> Operation:
        operation = await self.visitor.visit(task, turn or Turn())
        assert self.stored == [operation]
        return operation

    async def completion(self, task: Task = TASK, turn: Turn | None = None) -> Completion:
        operation = await self.visit(task, turn)
        assert isinstance(operation, Completion)
        assert operation.task is task
        assert (operation.record.url, operation.record.depth, operation.record.via) == (task.url, task.depth, task.via)
        return operation


def urls_of(completion: Completion) -> list[str]:
    return [candidate.url for candidate in completion.candidates]


def rules_of(completion: Completion) -> dict[str, str]:
    return {refusal.url: refusal.rule for refusal in completion.refused}
