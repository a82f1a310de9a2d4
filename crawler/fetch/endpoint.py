"""From an origin to an open connection: resolve, ask the guard, connect by address, agree on TLS.

Addresses are tried one after the other, the families taking turns, all within the connect timeout; an address that
does not answer gets its share of what is left of it, so that one black hole does not cost the others their chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IAddress, IConnector, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory, Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.fetch.connection import Connection
from crawler.fetch.dns import NoAddress, Resolution
from crawler.fetch.failures import CannotConnect, explain_connect
from crawler.fetch.guard import Guard
from crawler.fetch.pool import Pool
from crawler.fetch.tls import ServerCheck, Trust
from crawler.model import TLS_REASONS, Reason

MAX_ATTEMPTS: Final = 4
"""Addresses of one name that are tried for one request."""

OnStage = Callable[[str], None]


class ReactorNet(IReactorTCP, IReactorTime):
    """A reactor with TCP and time."""


class Resolves(Protocol):
    """What turns names into addresses."""

    def resolve(self, host: str) -> Deferred[Resolution]:
        """Resolve a canonical host."""

    def close(self) -> Deferred[None]:
        """End whatever it keeps running."""


class Target(Struct, frozen=True):
    """Where a URL is fetched."""

    origin: str
    host: str
    port: int
    secure: bool


def target_of(url: str) -> Target:
    """Return where a canonical URL is fetched."""
    return Target(urls.origin(url), urls.host(url), urls.port(url), url.startswith("https:"))


class Connector:
    """Makes connections, never to an address that the guard refuses."""

    def __init__(self, reactor: ReactorNet, *, resolver: Resolves, guard: Guard, trust: Trust, pool: Pool, timeout: float) -> None:
        """Take the parts and the connect timeout in seconds (TCP and TLS, over all addresses)."""
        self._reactor = reactor
        self._resolver = resolver
        self._guard = guard
        self._trust = trust
        self._pool = pool
        self._timeout = timeout

    def connect(self, target: Target, on_stage: OnStage) -> Deferred[Connection]:
        """Open a connection; fails with CannotConnect. `on_stage` is told "dns", "connect" and "tls" as they begin.

        Cancelling it closes whatever is half open.
        """
        return Deferred.fromCoroutine(self._connect(target, on_stage))

    async def _connect(self, target: Target, on_stage: OnStage) -> Connection:
        on_stage("dns")
        addresses = await self._allowed_addresses(target)
        on_stage("connect")
        deadline = self._reactor.seconds() + self._timeout
        first: CannotConnect | None = None  # the system's first choice tells best what is wrong
        for index, address in enumerate(addresses):
            share = (deadline - self._reactor.seconds()) / (len(addresses) - index)
            try:
                return await self._dial(target, address, max(share, 0.0), on_stage)
            except CannotConnect as failed:
                first = first or failed
                if failed.reason in TLS_REASONS:
                    break
        assert first is not None
        raise first

    async def _allowed_addresses(self, target: Target) -> list[str]:
        resolution = await self._resolver.resolve(target.host)
        if isinstance(resolution, NoAddress):
            raise CannotConnect(Reason.TIMEOUT if resolution.timed_out else Reason.DNS, resolution.detail)
        self._guard.resolved(target.host, resolution.addresses)
        refusals = {address: self._guard.refusal(address, target.port) for address in resolution.addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            refusal = next(iter(refusals.values()), None) or f"{target.host}: no address"
            raise CannotConnect(Reason.ADDRESS, refusal)
        return allowed[:MAX_ATTEMPTS]

    def _dial(self, target: Target, address: str, limit: float, on_stage: OnStage) -> Deferred[Connection]:
        check = self._trust.check(target.host, target.port) if target.secure else None
        dial = _Dial(target, check, self._pool, on_stage)
        return dial.start(self._reactor, address, limit)


def _nobody(_stage: str) -> None:
    pass


class _Dial(ClientFactory):
    """One attempt to reach one address."""

    noisy = False

    def __init__(self, target: Target, check: ServerCheck | None, pool: Pool, on_stage: OnStage) -> None:
        self._target = target
        self._check = check
        self._pool = pool
        self._on_stage = on_stage
        self._stage = "connect"
        self._connector: IConnector | None = None
        self._connection: Connection | None = None
        self._cancelled = False
        self._done: Deferred[Connection] = Deferred(self._cancel)

    def start(self, reactor: ReactorNet, address: str, limit: float) -> Deferred[Connection]:
        """Connect within `limit` seconds."""
        self._connector = reactor.connectTCP(address, self._target.port, self, timeout=limit)
        timer = reactor.callLater(limit, self._expired, limit)

        def settled(result: Connection | Failure) -> Connection | Failure:
            if timer.active():
                timer.cancel()
            self._on_stage = _nobody  # the connection lives on and keeps this dial: not the exchange too
            return result

        return self._done.addBoth(settled)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the connection's protocol, inside TLS where the URL asks for it."""
        connection = Connection(
            self._target.origin,
            secure=self._target.secure,
            on_open=self._opened,
            on_idle=self._pool.idle,
            on_lost=self._lost,
        )
        self._connection = connection
        self._pool.opened(connection)
        if self._check is None:
            return connection
        self._stage = "tls"
        self._on_stage("tls")
        inner = Factory.forProtocol(lambda: connection)
        inner.noisy = False
        wrapper = TLSMemoryBIOFactory(self._check, True, inner)
        wrapper.noisy = False
        return wrapper.buildProtocol(addr)

    def _opened(self) -> None:
        assert self._connection is not None
        problem = self._check.host_problem() if self._check is not None else None
        if problem is not None:
            self._connection.drop()
            self._fail(CannotConnect(*problem))
        elif not self._done.called:
            self._done.callback(self._connection)

    def _lost(self, connection: Connection, reason: Failure) -> None:
        self._pool.lost(connection)
        chain_problem = self._check.chain_problem if self._check is not None else None
        if chain_problem is not None:
            self._fail(CannotConnect(*chain_problem))
        else:
            self._fail(CannotConnect(*explain_connect(reason.value, secure=self._check is not None)))

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: ARG002 (the interface's)
        """Report that there is no connection."""
        if isinstance(reason.value, ConnectTimeout):
            self._fail(CannotConnect(Reason.TIMEOUT, "connect: no answer"))
        else:
            self._fail(CannotConnect(*explain_connect(reason.value, secure=False)))

    def _expired(self, limit: float) -> None:
        self._fail(CannotConnect(Reason.TIMEOUT, f"{self._stage}: not finished within {limit:.3g} s"))
        self._stop()

    def _fail(self, problem: CannotConnect) -> None:
        if not self._done.called and not self._cancelled:
            self._done.errback(problem)

    def _cancel(self, _done: Deferred[Connection]) -> None:
        self._cancelled = True  # whatever fails from now on is no reason to try the next address
        self._stop()

    def _stop(self) -> None:
        """Close what is half open."""
        if self._connection is not None and self._connection.transport is not None:
            self._connection.drop()
        elif self._connector is not None:
            self._connector.disconnect()
