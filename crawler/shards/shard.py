"""One shard: an engine among others. It hands on what is theirs, takes in what is its own, and says when it has nothing to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, Protocol

from crawler import url as urls
from crawler.frontier.sqlite import Candidate
from crawler.model import Snapshot
from crawler.shards.messages import (
    Delivered,
    Delivery,
    Drain,
    Finish,
    FromShard,
    Grant,
    Handing,
    Progress,
    Quiet,
    Recall,
    Spare,
    Start,
    Taken,
    ToShard,
)
from crawler.store.operations import Operation
from crawler.store.outbox import Arrival, Aside, Outbox, Parcel

BATCH: Final = 500
"""Links handed over in one message."""
AHEAD: Final = 4_000
"""Links handed over and not yet acknowledged, at most; the others wait on the disk."""
PROGRESS_INTERVAL: Final = 0.25
"""Seconds between two reports of progress."""


class Works(Protocol):
    """The engine, as its shard sees it."""

    page_limit: int | None
    on_idle: Callable[[], bool]

    @property
    def pages_left(self) -> int:
        """Pages that may still be leased."""

    def take_in(self, operation: Operation, then: Callable[[Any], object]) -> None:
        """Have an operation done, and call `then` with its result."""

    def go_on(self) -> None:
        """Look again whether something can be done, or all is over."""

    def drain(self, timeout: float) -> None:
        """Stop within `timeout` seconds."""

    def abort(self) -> None:
        """Stop at once."""

    def snapshot(self) -> Snapshot:
        """Return how the crawl stands."""


class Shard:
    """Stands between an engine and the conductor. `send` takes messages to the conductor; `fetched` is the pages of earlier runs."""

    def __init__(self, engine: Works, outbox: Outbox, send: Callable[[FromShard], object], *, fetched: int) -> None:
        self._engine = engine
        self._outbox = outbox
        self._send = send
        self._fetched = fetched
        self._over = False
        self._heard = 1  # that which begins all
        self._told = 0  # what had been heard when quiet was last said
        self._reading = False
        self._last_read = 0  # row of the outbox
        self._seen_written = -1  # `Outbox.written` when the end of the outbox was last read; before the first time: none
        self._on_the_way: set[int] = set()
        self._to_read: deque[list[int]] = deque()  # acknowledged rows, to be deleted with the next read
        engine.on_idle = self._idle

    def start(self, message: Start) -> None:
        """Take the first pages. The engine is run by the caller."""
        self._heard += 1
        self._engine.page_limit = None if message.pages is None else self._fetched + message.pages

    def hear(self, message: ToShard) -> None:
        """Act upon a message of the conductor."""
        self._heard += 1
        match message:
            case Delivery():
                self._take(message)
            case Delivered():
                self._on_the_way.difference_update(message.numbers)
                self._to_read.append(message.numbers)
                self._read_on()
            case Grant():
                self._add_pages(message.pages)
            case Recall():
                self._give_back(self._spare() // 2)
            case Finish():
                self._over = True
            case Drain(timeout=0):
                self._engine.abort()
            case Drain():
                self._engine.drain(message.timeout)
        self._engine.go_on()

    def committed(self) -> None:
        """A transaction of ours is durable: it may have filled the outbox."""
        if self._outbox.written != self._seen_written:
            self._read_on()

    def report(self) -> None:
        """Tell the conductor how we stand."""
        self._send(Progress(self._engine.snapshot()))

    # -- handing on ----------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        """Delete what has been taken, and read more while there is room."""
        if self._reading or len(self._on_the_way) > AHEAD:
            return
        if not self._to_read and self._seen_written == self._outbox.written:
            return
        self._reading = True
        done = [number for numbers in self._to_read for number in numbers]
        self._to_read.clear()
        written, after = self._outbox.written, self._last_read

        def act() -> list[Parcel]:
            if done:
                self._outbox.forget(done)
            return self._outbox.read(after, BATCH)

        self._engine.take_in(Aside(act), lambda parcels: self._hand(parcels, written))

    def _hand(self, parcels: list[Parcel], written: int) -> None:
        self._reading = False
        if parcels:
            self._last_read = parcels[-1].id
        if len(parcels) < BATCH:
            self._seen_written = written
        self._on_the_way.update(parcel.id for parcel in parcels)
        for target, group in groupby(sorted(parcels, key=lambda parcel: parcel.target), lambda parcel: parcel.target):
            self._send(Handing(target, list(group)))
        self._read_on()

    # -- taking in -----------------------------------------------------------------------------------------------

    def _take(self, delivery: Delivery) -> None:
        """Store what others found for us; they hear of it when it is durable."""
        found: list[Candidate] = []
        extensions: list[str] = []
        grew = False
        for parcel in delivery.parcels:
            link = parcel.candidate()
            if parcel.extends:
                extensions.append(link.url)
                grew |= self._outbox.extend(link.url)
            if self._outbox.owns(urls.host(link.url)):
                found.append(link)
        numbers = [parcel.id for parcel in delivery.parcels]
        self._engine.take_in(Arrival(found, extensions, grew), lambda _: self._send(Taken(delivery.sender, numbers)))

    # -- pages, and the end --------------------------------------------------------------------------------------

    def _add_pages(self, pages: int) -> None:
        if self._engine.page_limit is not None:
            self._engine.page_limit += pages

    def _spare(self) -> int:
        return 0 if self._engine.page_limit is None else max(0, self._engine.pages_left)

    def _give_back(self, pages: int) -> None:
        self._add_pages(-pages)
        if pages:
            self._send(Spare(pages))

    def _idle(self) -> bool:
        """The engine has nothing to do: it stays until the conductor says that it is over everywhere."""
        if self._over:
            return False
        if self._reading or self._on_the_way or self._to_read or self._seen_written != self._outbox.written:
            self._read_on()
        elif self._told != self._heard:
            self._told = self._heard
            starved = self._engine.snapshot().queued > 0
            spare = 0 if starved else self._spare()
            self._add_pages(-spare)
            self._send(Quiet(self._heard, starved, spare))
        return True
