"""The choice of reactor, and running one thing in it. Nothing imports a reactor before `install` has chosen it."""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from crawler.cli.report import Report
from crawler.config import Settings
from crawler.errors import Exit, UsageError

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

Reactor = Any
"""What Twisted calls a reactor: many interfaces in one object."""
T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESERVED_DESCRIPTORS: Final = 24
"""For what is not open yet when the connections are counted: workers, name servers, a process being started."""
CONNECTIONS_A_REQUEST: Final = 3
"""One in use, and two idle ones that the fetcher's pool may keep."""
MOST_SIGNALS: Final = 2
"""Signals handed on; one more ends the process without asking anybody."""


def install(name: str) -> Reactor:
    """Install the reactor that `name` (a value of ``service.reactor``) stands for, and return it.

    ``default`` is an epoll reactor of our own where the system has epoll: it takes the least time per request.
    Raises UsageError when it cannot be had here.
    """
    if "twisted.internet.reactor" in sys.modules:
        from twisted.internet import reactor

        return reactor
    try:
        _install(name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--reactor {name}: not available on this system ({error}); leave it out, or take another") from error
    from twisted.internet import reactor

    _use_monotonic_time(reactor)
    _allow_many_descriptors()
    return reactor


def _use_monotonic_time(reactor: Reactor) -> None:
    """Twisted's own reactors count by the wall clock, which may jump: politeness, deadlines and leases must not jump with it."""
    if type(reactor).__name__ != "AsyncioSelectorReactor":  # asyncio's loops are monotonic already
        reactor.seconds = time.monotonic


def _allow_many_descriptors() -> None:
    """Raise the soft limit of open descriptors to the hard one: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def within_descriptors(settings: Settings, report: Report) -> Settings:
    """Return settings with no more requests in flight than this process may have connections for; say so when that is less.

    Without this the operating system would refuse connections, and hosts would be taken for dead. Raises UsageError when there are
    too few for any.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    free = limit - len(os.listdir("/dev/fd")) - RESERVED_DESCRIPTORS  # noqa: PTH208 - names are enough
    most = free // CONNECTIONS_A_REQUEST
    left = free - CONNECTIONS_A_REQUEST * settings.fetch.concurrency
    if left >= settings.fetch.stalled:
        return settings
    if left >= 0:
        return msgspec.structs.replace(settings, fetch=msgspec.structs.replace(settings.fetch, stalled=left))
    if most < 1:
        raise UsageError(f"this process may open {limit} files, too few to crawl: raise the limit, as in: ulimit -n 1024")
    wanted = settings.fetch.concurrency
    report.note(
        "descriptors",
        f"This process may open {limit} files: {most} requests in flight instead of {wanted} (ulimit -n raises the limit).",
        concurrency=most,
    )
    return msgspec.structs.replace(settings, fetch=msgspec.structs.replace(settings.fetch, concurrency=most, stalled=0))


def _install(name: str) -> None:
    if name in ("asyncio", "uvloop"):
        _install_asyncio(name)
    elif name == "default" and hasattr(select, "epoll"):
        importlib.import_module("crawler.cli.lean_epoll").install()
    elif name != "default":
        importlib.import_module(f"twisted.internet.{name}reactor").install()


def _install_asyncio(name: str) -> None:
    """Twisted makes a loop current only when it made it itself: do it here, for it and for asyncio libraries."""
    if name == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    importlib.import_module("twisted.internet.asyncioreactor").install(loop)


def run_until(reactor: Reactor, start: Callable[[], Deferred[T]], on_signal: Callable[[int], object]) -> T:
    """Run the reactor until the Deferred that `start` returns has fired; return its result or raise its error.

    `on_signal` is called in the reactor's thread for each SIGINT, SIGTERM and SIGHUP, with how many there have been.
    """
    from twisted.internet.defer import maybeDeferred
    from twisted.python.failure import Failure

    ended: list[Any] = []

    def end(result: Any) -> None:
        ended.append(result)
        reactor.stop()

    def begin() -> None:
        _handle_signals(reactor, on_signal)
        # Not at once: asyncio's loop is not running yet while the start-up events fire.
        reactor.callLater(0, lambda: maybeDeferred(start).addBoth(end))

    reactor.callWhenRunning(begin)
    reactor.run()
    if not ended:
        raise KeyboardInterrupt  # a signal before `begin` had replaced Twisted's handlers
    result = ended[0]
    if isinstance(result, Failure):
        result.raiseException()
    finished: T = result
    return finished


def _handle_signals(reactor: Reactor, on_signal: Callable[[int], object]) -> None:
    """Replace the handlers that Twisted has just installed: its own stop the reactor at once."""
    count = 0

    def received(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > MOST_SIGNALS:
            _leave()
        reactor.callFromThread(on_signal, count)

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup asks to outlive the terminal
            signal.signal(number, received)
    if type(reactor).__name__ == "AsyncioSelectorReactor":
        _reap_children(reactor)


def _leave() -> None:
    """End the process here and now: what is committed is safe, and the crawl can be resumed."""
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # the live view hides the cursor
    os._exit(Exit.INTERRUPTED)


def _reap_children(reactor: Reactor) -> None:
    """uvloop takes away the file descriptor by which Twisted learns of ended children: reap them in a handler of our own."""
    from twisted.internet import process

    def ended(_number: int, _frame: FrameType | None) -> None:
        reactor.callFromThread(process.reapAllProcesses)

    signal.signal(signal.SIGCHLD, ended)
    signal.siginterrupt(signal.SIGCHLD, False)


def standard_output_writer(on_closed: Callable[[], object]) -> Callable[[bytes], None]:
    """Return a function that writes bytes to standard output from any thread.

    When the reader has gone it calls `on_closed`, once, and drops what comes: the record log has everything.
    """
    closed = False

    def write(data: bytes) -> None:
        nonlocal closed
        view = memoryview(data)
        while view and not closed:
            try:
                view = view[os.write(1, view) :]
            except BlockingIOError:
                select.select([], [1], [])
            except BrokenPipeError:
                closed = True
                on_closed()

    return write
