"""One shard's process: ``python -m crawler.cli.shard DESCRIPTOR``, started by the conductor (`crawler.shards.child`) and by nobody else."""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from crawler.cli.crawling import Stalls
from crawler.cli.log import start_logging
from crawler.cli.reactors import install, run_until, within_descriptors
from crawler.cli.site_options import open_session
from crawler.errors import CrawlError, Exit, HomeError
from crawler.model import Result, Snapshot
from crawler.shards.messages import TO_SHARD, Begin, Drain, Ended, FrameReader, FromShard, Note, Ready, Start, ToShard
from crawler.store.counters import Counters
from crawler.store.home import Home, open_home
from crawler.store.outbox import Outbox

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from crawler.shards.child import Frames
    from crawler.shards.shard import Shard

LOCK_PATIENCE: Final = 5.0
"""Seconds for a process of an earlier run, whose conductor was killed, to leave the home."""


class Relay:
    """The `report.Report` of a shard: its news are the conductor's to tell."""

    def __init__(self, send: Callable[[FromShard], object]) -> None:
        self._send = send

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Hand on an event."""
        self._send(Note(event, message, fields))

    def watch(self, reactor: Any, snapshot: Callable[[], Snapshot]) -> None:
        """Show nothing: progress is told apart."""

    def close(self) -> None:
        """Do nothing."""


class Crawling:
    """One shard from its first message to its last."""

    def __init__(self, reactor: Any, begin: Begin) -> None:
        self._reactor = reactor
        self._begin = begin
        self._shard: Shard | None = None
        self._home: Home | None = None
        self._frames: Frames
        self._ended: Deferred[None]
        self._progress: Any = None
        self._over = False

    def run(self, connection: socket.socket) -> Deferred[None]:
        """Adopt the socket, open the home, and wait for the start; fires when the result is told."""
        from twisted.internet.defer import Deferred

        from crawler.shards.child import Frames, Only

        self._ended = Deferred()
        self._frames = Frames(self._hear, self._lost)
        with connection:
            connection.setblocking(False)
            self._reactor.adoptStreamConnection(connection.fileno(), socket.AF_UNIX, Only(self._frames))
        try:
            self._home = _open(Path(self._begin.folder))
            self._home.adopt(self._begin.job)
            self._home.open_files([], overwrite=False)
        except CrawlError as error:
            self._end(Ended(None, str(error), int(error.exit_code)))
        else:
            self._frames.send(Ready(Counters.load(self._home.connection).pages))
        return self._ended

    def _hear(self, data: bytes) -> None:
        message = TO_SHARD.decode(data)
        if self._over:
            return
        if self._shard is not None:
            self._shard.hear(message)
        elif isinstance(message, Start):
            self._start(message)
        elif isinstance(message, Drain):
            self._end(Ended(None, "stopped before it began: run the same command again", int(Exit.INTERRUPTED)))

    def _start(self, message: Start) -> None:
        from twisted.internet.task import LoopingCall

        from crawler.build import build_crawl
        from crawler.shards.shard import PROGRESS_INTERVAL, Shard

        assert self._home is not None
        begin, home = self._begin, self._home
        report = Relay(self._frames.send)
        start_logging(report, begin.verbosity)
        job = msgspec.structs.replace(begin.job, settings=within_descriptors(begin.job.settings, report))
        outbox = Outbox(home.connection, begin.number, begin.processes)
        fetched = Counters.load(home.connection).pages
        stalls = Stalls(report, self._reactor.seconds, stacks=begin.verbosity > 0)
        session = open_session(job.settings.fetch, job.seeds)
        engine = build_crawl(self._reactor, job, home, on_stall=stalls, session=session, outbox=outbox)
        shard = self._shard = Shard(engine, outbox, self._frames.send, fetched=fetched)
        outbox.on_committed = shard.committed
        shard.start(message)
        gc.freeze()
        progress = LoopingCall(shard.report)
        progress.clock = self._reactor
        progress.start(PROGRESS_INTERVAL)
        self._progress = progress
        engine.run().addCallbacks(self._done, self._failed)

    def _done(self, result: Result) -> None:
        self._home = None  # the engine has closed it
        self._progress.stop()
        self._end(Ended(result))

    def _failed(self, failure: Any) -> None:
        self._home = None
        self._progress.stop()
        error = failure.value
        code = error.exit_code if isinstance(error, CrawlError) else Exit.FAULT
        self._end(Ended(None, str(error) if isinstance(error, CrawlError) else f"internal error: {error!r}", int(code)))

    def _end(self, message: Ended) -> None:
        self._over = True
        if self._home is not None:
            self._home.close()
        self._frames.send(message)
        self._frames.transport.loseConnection()  # what was sent goes out first

    def _lost(self) -> None:
        """The socket is closed: by us, when all is told, or by the conductor's death, upon which a shard leaves as it stands."""
        if not self._over:
            os._exit(Exit.INTERRUPTED)
        self._ended.callback(None)


def _open(folder: Path) -> Home:
    """Open the home; an earlier run's process may need a moment to leave it."""
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            return open_home(folder)
        except HomeError as error:
            if "in use by" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _first_message(connection: socket.socket) -> ToShard:
    """Wait for the message that begins all: the choice of reactor is in it."""
    reader, prefix = FrameReader(), 4
    head = connection.recv(prefix, socket.MSG_WAITALL | socket.MSG_PEEK)
    data = connection.recv(prefix + int.from_bytes(head, "big"), socket.MSG_WAITALL)
    if not data:
        sys.exit(Exit.INTERRUPTED)
    message: ToShard = TO_SHARD.decode(next(reader.feed(data)))
    return message


def main() -> NoReturn:
    """Crawl one shard and exit."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    begin = _first_message(connection)
    assert isinstance(begin, Begin)
    reactor = install(begin.job.settings.service.reactor)
    crawling = Crawling(reactor, begin)
    run_until(reactor, lambda: crawling.run(connection), lambda _count: None)  # signals are the conductor's to act upon
    sys.exit(Exit.FINISHED)


if __name__ == "__main__":
    main()
