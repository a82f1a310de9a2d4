"""One TCP connection to the first of some addresses that takes it (RFC 8305 section 5, "happy eyeballs").

The next address is begun with when the one before has failed, or has not answered for a quarter of a second. The first that
takes the connection wins; those under way are closed in the same turn of the reactor, so two are never open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

ATTEMPT_DELAY: Final = 0.25
"""Seconds between the beginnings of two attempts (RFC 8305 section 8)."""

BuildProtocol = Callable[[IAddress | None], Protocol]


class ReactorNet(IReactorTCP, IReactorTime):
    """A reactor with TCP and time."""


class Race:
    """`start` it once. It ends with the winner's protocol being built by `won`, with `failed`, or with `stop`: it sets no time limit.

    `failed` gets the failure of the first address: the system's first choice tells best what is wrong.
    """

    def __init__(
        self, reactor: ReactorNet, addresses: Sequence[str], port: int, *, won: BuildProtocol, failed: Callable[[BaseException], None]
    ) -> None:
        """Take at least one address, in the order in which they are tried."""
        self.first_failure: BaseException | None = None
        self._reactor = reactor
        self._waiting = list(reversed(addresses))
        self._port = port
        self._won = won
        self._failed = failed
        self._running: dict[_Attempt, IConnector] = {}
        self._timer: IDelayedCall | None = None
        self._begun = 0
        self._over = False

    def start(self) -> None:
        """Begin with the next address."""
        self._timer = self._reactor.callLater(ATTEMPT_DELAY, self.start) if len(self._waiting) > 1 else None
        attempt = _Attempt(self, is_first=self._begun == 0)
        self._begun += 1
        # the limit is the caller's, for all that follows, too: a timer for each attempt would be one too many
        self._running[attempt] = self._reactor.connectTCP(self._waiting.pop(), self._port, attempt, timeout=None)  # type: ignore[arg-type]

    def take(self, attempt: _Attempt, address: IAddress | None) -> Protocol | None:
        """Declare the winner and build its protocol; one that comes too late gets none, which closes it."""
        if self._over:
            return None
        del self._running[attempt]
        self.stop()
        return self._won(address)

    def drop_out(self, attempt: _Attempt, reason: BaseException) -> None:
        """Go on to the next address, or wait for those under way, or give up."""
        if self._over:
            return
        del self._running[attempt]
        if attempt.is_first:
            self.first_failure = reason
        if self._waiting:
            self._cancel_timer()
            self.start()
        elif not self._running:
            self._over = True
            assert self.first_failure is not None
            self._failed(self.first_failure)

    def stop(self) -> None:
        """Close what is under way; nobody is told."""
        self._over = True
        self._cancel_timer()
        running, self._running = self._running, {}
        for connector in running.values():
            connector.stopConnecting()

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class _Attempt(ClientFactory):
    """The try of one address."""

    noisy = False

    def __init__(self, race: Race, *, is_first: bool) -> None:
        self.is_first = is_first
        self._race = race

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Win, or be too late."""
        return self._race.take(self, addr)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: ARG002 (the interface's)
        """Report that there is no connection."""
        assert reason.value is not None
        self._race.drop_out(self, reason.value)
