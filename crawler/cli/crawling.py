"""One crawl from an open home to its result: engine, signals, progress, profile. `run` and `demo` share it."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from crawler.cli.quantities import format_duration
from crawler.cli.reactors import Reactor, run_until, standard_output_writer, within_descriptors
from crawler.cli.report import Report
from crawler.job import Job
from crawler.model import Result
from crawler.store.home import Home

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from crawler.engine import Engine
    from crawler.fetch.sites import Session

STALL_REPORTS: Final = 5.0
"""Seconds between two reports of a stalled reactor; those in between are counted."""


class Stalls:
    """Tells of reactor stalls, not too often, with the innermost line of ours that ran."""

    def __init__(self, report: Report, clock: Callable[[], float], *, stacks: bool) -> None:
        self._report = report
        self._clock = clock
        self._stacks = stacks
        self._next_report = 0.0
        self.count = 0
        self.longest = 0.0

    def __call__(self, seconds: float, stack: str) -> None:
        """Take in one stall; it is the engine's `on_stall`."""
        self.count += 1
        self.longest = max(self.longest, seconds)
        if self._clock() < self._next_report:
            return
        self._next_report = self._clock() + STALL_REPORTS
        message = f"the reactor stalled for {seconds * 1000:.0f} ms in {innermost_line(stack)}"
        self._report.note("stall", f"{message}\n{stack}" if self._stacks else message, seconds=round(seconds, 3))


class Stoppable(Protocol):
    """A crawl that can be stopped before its end, and resumed."""

    def drain(self, timeout: float) -> None:
        """Stop within `timeout` seconds."""

    def abort(self) -> None:
        """Stop at once."""


def innermost_line(stack: str) -> str:
    """Return ``visit.py:120 store`` from a formatted stack: the last frame of ours, else the last of all."""
    frames = [line.strip() for line in stack.splitlines() if line.strip().startswith("File ")]
    ours = [frame for frame in frames if "/crawler/" in frame and "/crawler/cli/" not in frame]
    if not frames:
        return "code that was over before it could be seen"
    place = (ours or frames)[-1].removeprefix("File ").replace('"', "")
    path, _, rest = place.partition(", line ")
    number, _, function = rest.partition(", in ")
    return f"{path.rpartition('/')[2]}:{number} {function}"


def crawl_to_end(
    reactor: Reactor,
    job: Job,
    home: Home,
    report: Report,
    *,
    session: Session | None = None,
    stream: bool = False,
    profile: str | None = None,
    verbosity: int = 0,
) -> Result:
    """Crawl until the engine is done or a signal stops it. Raises the CrawlError that ended it early, if one did.

    `session` has what requests carry by site. `stream` writes records to standard output as they become durable. `profile` is a file for
    cProfile's statistics.
    """
    from crawler.build import build_crawl

    engine: Engine
    stop_timeout = job.settings.service.stop_timeout

    def reader_has_gone() -> None:
        report.note("stopping", "Standard output was closed: stopping. The same command goes on.")
        engine.drain(0.0)

    writer = standard_output_writer(lambda: reactor.callFromThread(reader_has_gone)) if stream else None
    stalls = Stalls(report, reactor.seconds, stacks=verbosity > 0)
    try:
        job = msgspec.structs.replace(job, settings=within_descriptors(job.settings, report))
        engine = build_crawl(reactor, job, home, session=session, stream=writer, on_stall=stalls)
    except BaseException:
        home.close()
        raise

    def start() -> Deferred[Result]:
        report.watch(reactor, engine.snapshot)
        return engine.run()

    gc.freeze()  # what is loaded by now stays: looking through it again and again would cost the reactor 50 ms each time
    before = gc.get_threshold()
    gc.set_threshold(10_000, 20, 100)  # what a page leaves is freed without the collector: it need not look so often
    try:
        with profiled(profile):
            return run_until(reactor, start, stop_in_steps(engine, report, stop_timeout))
    finally:
        gc.set_threshold(*before)
        report.close()


def stop_in_steps(crawl: Stoppable, report: Report, stop_timeout: float) -> Callable[[int], None]:
    """Return what to do on signals: at the first one the crawl is drained, at the second called off."""

    def on_signal(count: int) -> None:
        if count == 1:
            report.note("stopping", f"Stopping: requests in flight get {format_duration(stop_timeout)} to end. Ctrl-C again stops at once.")
            crawl.drain(stop_timeout)
        else:
            report.note("stopping", "Stopping at once.")
            crawl.abort()

    return on_signal


@contextlib.contextmanager
def profiled(file: str | None) -> Iterator[None]:
    """Profile this thread, the reactor's, and write cProfile's statistics to `file`; None does nothing."""
    if file is None:
        yield
        return
    import cProfile

    profiler: Any = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
        profiler.dump_stats(file)
