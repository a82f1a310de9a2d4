"""What is logged goes to the report: warnings always, more with ``-v``, tracebacks with ``-vv``."""

from __future__ import annotations

import warnings
from typing import Any, Final

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from crawler.cli.report import Report

_LEVELS: Final = (LogLevel.warn, LogLevel.info, LogLevel.debug)


@implementer(ILogObserver)
class ReportObserver:
    """Hands log events on to a report, one line each; tracebacks only at verbosity 2."""

    def __init__(self, report: Report, verbosity: int) -> None:
        self._report = report
        self._threshold = _LEVELS[min(verbosity, len(_LEVELS) - 1)]
        self._tracebacks = verbosity > 1

    def __call__(self, event: LogEvent) -> None:
        """Tell of one event."""
        level = event.get("log_level", LogLevel.info)
        if level < self._threshold:
            return
        text = describe(event, tracebacks=self._tracebacks)
        if text:
            self._report.note("log", text, level=level.name)


def describe(event: LogEvent, *, tracebacks: bool) -> str:
    """Return an event as text: one line, and the traceback below it if asked for and there is one."""
    failure: Any = event.get("log_failure")
    lines = formatEvent(event).splitlines()
    text = lines[0] if lines else ""
    if failure is None:
        return text
    brief = f"{failure.type.__name__}: {' '.join(failure.getErrorMessage().split())}"
    if tracebacks:
        return f"{text}\n{failure.getTraceback().rstrip()}"
    return f"{text}: {brief} (-vv shows the traceback)" if brief not in text else text


def start_logging(report: Report, verbosity: int) -> None:
    """Send everything that Twisted's log takes to `report`, from now on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a second command in one process, as in tests, begins anew
        globalLogBeginner.beginLoggingTo([ReportObserver(report, verbosity)], discardBuffer=True, redirectStandardIO=False)
