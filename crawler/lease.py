"""A lease: one URL, or one robots.txt, in work; and its place in flight while its request is under way."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

from crawler.model import Fetched, FetchFailed, Reason


class Places(Protocol):
    """The engine, as a lease sees it."""

    def given_up(self, host: str) -> tuple[Reason, str] | None:
        """Return why `host` is not asked any more, or None."""

    def request_begins(self, lease: Lease) -> None:
        """Count a request in flight."""

    def request_sent(self, host: str, now: float, *, again: bool) -> None:
        """Let the host's delay count from `now`."""

    def request_over(self, lease: Lease, answer: Fetched | FetchFailed | None, *, was_sent: bool) -> None:
        """Free the place."""

    def pause_host(self, host: str, seconds: float) -> None:
        """Let the host rest."""

    def stage_is_over(self, *, doubtful: bool) -> None:
        """Take note that the parse workers, for whose sake leasing may rest, have a page less; `doubtful`: of a doubtful host."""


class Lease:
    """The `visit.Turn` of a visit or of an errand."""

    __slots__ = ("_holding", "_in_flight", "_places", "_sent", "deferred", "doubtful", "errand", "host", "page", "stored")

    def __init__(self, places: Places, host: str, *, page: bool, doubtful: bool, errand: bool = False) -> None:
        """`page`: it counts towards the page budget. `doubtful`: it holds a place of those for doubtful hosts until it is parsed."""
        self._places = places
        self._in_flight = False
        self._sent = False
        self.host = host
        self.page = page
        self.errand = errand
        self.doubtful = doubtful
        self._holding = doubtful  # a place of those for doubtful hosts
        self.stored = False
        self.deferred: Deferred[Any] | None = None

    def given_up(self) -> tuple[Reason, str] | None:
        """Return why the host is not asked any more, or None."""
        return self._places.given_up(self.host)

    def begin(self) -> None:
        """Take a place in flight."""
        self._in_flight = True
        self._places.request_begins(self)

    def sent(self, now: float) -> None:
        """Note that the request has left; the delay to the next one counts from here."""
        self._places.request_sent(self.host, now, again=self._sent)
        self._sent = True

    def over(self, answer: Fetched | FetchFailed | None) -> None:
        """Give the place back; `answer` is None when the request was called off."""
        if self._in_flight:
            self._in_flight = False
            self._places.request_over(self, answer, was_sent=self._sent)

    def pause(self, seconds: float, host: str | None = None) -> None:
        """Let `host`, by default the lease's own, rest."""
        self._places.pause_host(host or self.host, seconds)

    def storing(self) -> None:
        """Note that the end is on its way to the disk and can't be called off."""
        self.stored = True
        self.release()

    def release(self) -> None:
        """Note that it needs nothing more of what is scarce."""
        held, self._holding = self._holding, False
        self._places.stage_is_over(doubtful=held)

    def call_off(self) -> None:
        """Cancel what is under way, unless it is being stored."""
        if not self.stored and self.deferred is not None:
            self.deferred.cancel()
