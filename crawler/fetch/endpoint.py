"""From an origin to an open connection: resolve, ask the guard, connect by address, through a proxy or not, agree on TLS.

The addresses race (`race`): the first that takes the connection gets it, and everything from then on, all within the connect timeout.
Through a proxy the names are the proxy's to resolve, so that of the guard's questions only those remain that need no address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as Spoken
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from crawler import url as urls
from crawler.fetch.connection import Connection
from crawler.fetch.dns import NoAddress, Resolution
from crawler.fetch.failures import CannotConnect, explain_connect
from crawler.fetch.guard import BAD_PORTS, Guard, parse_address
from crawler.fetch.pool import Pool
from crawler.fetch.proxy import Proxies, Proxy
from crawler.fetch.race import Race, ReactorNet
from crawler.fetch.tls import ServerCheck, Trust
from crawler.fetch.tunnel import Handshake, Tunnel, handshake
from crawler.model import Reason

__all__ = ["MAX_ATTEMPTS", "Connector", "OnStage", "ReactorNet", "Resolves", "Target", "target_of"]

MAX_ATTEMPTS: Final = 4
"""Addresses of one name that are tried for one request."""

OnStage = Callable[[str], None]


class Resolves(Protocol):
    """What turns names into addresses."""

    def resolve(self, host: str) -> Deferred[Resolution]:
        """Resolve a canonical host."""

    def close(self) -> Deferred[None]:
        """End whatever it keeps running."""


class Target(Struct, frozen=True):
    """Where a URL is fetched, and how it is got at."""

    origin: str
    host: str
    port: int
    secure: bool
    netloc: bytes  # the Host field's value
    key: str
    """Connections with the same one carry the same requests: the origin, and the proxy that leads to it."""
    proxy: Proxy | None = None
    forward: bytes | None = None
    """For an http proxy that is asked for the URL itself: what is added to the request's head, whose target is the absolute form
    (RFC 9112 section 3.2.2). None: the origin is spoken to, directly or through a tunnel."""


def target_of(url: str, proxies: Proxies | None = None) -> Target:
    """Return where a canonical URL is fetched."""
    origin, secure = urls.origin(url), url.startswith("https:")
    host, port, netloc = urls.host(url), urls.port(url), urls.netloc(url).encode("ascii")
    proxy = proxies.for_url(url) if proxies else None
    if proxy is None:
        return Target(origin, host, port, secure, netloc, origin)
    forward = proxy.authorization() if proxy.kind == "http" and not secure else None
    return Target(origin, host, port, secure, netloc, f"{origin} via {proxy.name}", proxy, forward)


class Connector:
    """Makes connections, never to an address that the guard refuses."""

    def __init__(self, reactor: ReactorNet, *, resolver: Resolves, guard: Guard, trust: Trust, pool: Pool, timeout: float) -> None:
        """Take the parts and the connect timeout in seconds (TCP, proxy and TLS, over all addresses)."""
        self._reactor = reactor
        self._resolver = resolver
        self._guard = guard
        self._trust = trust
        self._pool = pool
        self._timeout = timeout

    def connect(self, target: Target, on_stage: OnStage) -> Deferred[Connection]:
        """Open a connection; fails with CannotConnect. `on_stage` is told "dns", "connect", "proxy" and "tls" as they begin.

        Cancelling it closes whatever is half open.
        """
        return Deferred.fromCoroutine(self._connect(target, on_stage))

    async def _connect(self, target: Target, on_stage: OnStage) -> Connection:
        on_stage("dns")
        proxy = target.proxy
        if proxy is None:
            addresses, port = await self._allowed_addresses(target), target.port
        else:
            addresses, port = await self._proxy_addresses(target, proxy), proxy.port
        on_stage("connect")
        check = self._trust.check(target.host, target.port) if target.secure else None
        shake = handshake(proxy, target.host, target.port) if proxy is not None and target.forward is None else None
        return await _Opening(target, check, shake, self._pool, on_stage).start(
            self._reactor, addresses[:MAX_ATTEMPTS], port, self._timeout
        )

    async def _allowed_addresses(self, target: Target) -> Sequence[str]:
        resolution = await self._resolver.resolve(target.host)
        if isinstance(resolution, NoAddress):
            raise CannotConnect(Reason.TIMEOUT if resolution.timed_out else Reason.DNS, resolution.detail)
        self._guard.resolved(target.host, resolution.addresses)
        refusals = {address: self._guard.refusal(address, target.port) for address in resolution.addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            refusal = next(iter(refusals.values()), None) or f"{target.host}: no address"
            raise CannotConnect(Reason.ADDRESS, refusal)
        return allowed

    async def _proxy_addresses(self, target: Target, proxy: Proxy) -> Sequence[str]:
        """Return the proxy's own addresses, which the guard is not asked about: the operator chose them."""
        refusal = self._refusal_unresolved(target)
        if refusal is not None:
            raise CannotConnect(Reason.ADDRESS, refusal)
        resolution = await self._resolver.resolve(proxy.host)
        if isinstance(resolution, NoAddress):
            raise CannotConnect(Reason.TIMEOUT if resolution.timed_out else Reason.CONNECT, f"proxy: {resolution.detail}")
        return resolution.addresses

    def _refusal_unresolved(self, target: Target) -> str | None:
        """Ask the guard what can be asked of a host whose name is resolved elsewhere. A loopback name (RFC 6761) is one everywhere."""
        host = target.host
        if host == "localhost" or host.endswith(".localhost"):
            self._guard.resolved(host, ["127.0.0.1"])
            return self._guard.refusal("127.0.0.1", target.port)
        if parse_address(host) is not None:
            return self._guard.refusal(host, target.port)
        return f"port {target.port} belongs to another protocol" if target.port in BAD_PORTS else None


def _nobody(_stage: str) -> None:
    pass


class _Opening:
    """One connection on its way: TCP, then the tunnel through a proxy if there is one, then TLS if the URL asks for it."""

    __slots__ = ("_check", "_connection", "_done", "_on_stage", "_pool", "_race", "_shake", "_stage", "_target", "_timer", "_tunnel")

    def __init__(self, target: Target, check: ServerCheck | None, shake: Handshake | None, pool: Pool, on_stage: OnStage) -> None:
        self._target = target
        self._check = check
        self._shake = shake
        self._pool = pool
        self._on_stage = on_stage
        self._stage = "connect"
        self._race: Race | None = None
        self._timer: IDelayedCall | None = None
        self._tunnel: Tunnel | None = None  # until it stands
        self._connection: Connection | None = None
        self._done: Deferred[Connection] | None = Deferred(self._cancelled)

    def start(self, reactor: ReactorNet, addresses: Sequence[str], port: int, limit: float) -> Deferred[Connection]:
        """Connect to one of the addresses; all of it within `limit` seconds."""
        assert self._done is not None
        done = self._done
        self._timer = reactor.callLater(limit, self._expired, limit)
        self._race = Race(reactor, addresses, port, won=self._arrived, failed=self._refused)
        self._race.start()
        return done

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._on_stage(stage)

    def _arrived(self, address: IAddress | None) -> Spoken:
        """Make what is spoken over the TCP connection: it stands from now on."""
        self._race = None
        self._connection = Connection(
            self._target.key, secure=self._target.secure, on_open=self._opened, on_idle=self._pool.idle, on_lost=self._lost
        )
        self._pool.opened(self._connection)
        if self._shake is None:
            return self._spoken(address)
        self._enter("proxy")
        shake, self._shake = self._shake, None
        self._tunnel = Tunnel(shake, then=self._through, failed=self._fail, lost=self._tunnel_lost)
        return self._tunnel

    def _through(self) -> Spoken:
        self._tunnel = None
        return self._spoken(None)

    def _spoken(self, address: IAddress | None) -> Spoken:
        """Return the connection's protocol, inside TLS where the URL asks for it."""
        connection = self._connection
        assert connection is not None
        if self._check is None:
            return connection
        self._enter("tls")
        inner = Factory.forProtocol(lambda: connection)
        inner.noisy = False
        wrapper = TLSMemoryBIOFactory(self._check, True, inner)
        wrapper.noisy = False
        protocol: Spoken = wrapper.buildProtocol(address)
        return protocol

    # The ends

    def _opened(self) -> None:
        connection = self._connection
        assert connection is not None
        problem = self._check.host_problem() if self._check is not None else None
        if problem is not None:
            connection.drop()
            self._fail(CannotConnect(*problem))
        elif self._done is not None:
            if self._target.proxy is not None:
                connection.ip = None  # it is the proxy's, not the server's
            self._settle().callback(connection)

    def _lost(self, connection: Connection, reason: Failure) -> None:
        self._pool.lost(connection)
        chain_problem = self._check.chain_problem if self._check is not None else None
        if chain_problem is not None:
            self._fail(CannotConnect(*chain_problem))
        else:
            self._fail(CannotConnect(*explain_connect(reason.value, secure=self._check is not None)))

    def _tunnel_lost(self, _reason: Failure) -> None:
        assert self._connection is not None
        self._pool.lost(self._connection)
        self._fail(CannotConnect(Reason.CONNECT, "proxy: it closed the connection before the tunnel stood"))

    def _refused(self, problem: BaseException) -> None:
        """No address took the connection."""
        reason, detail = explain_connect(problem, secure=False)
        self._fail(CannotConnect(reason, self._of_proxy(detail)))

    def _expired(self, limit: float) -> None:
        first = self._race.first_failure if self._race is not None else None
        if first is not None:
            self._refused(first)
        else:
            self._fail(CannotConnect(Reason.TIMEOUT, self._of_proxy(f"{self._stage}: not finished within {limit:.3g} s")))
        self._stop()

    def _of_proxy(self, detail: str) -> str:
        return f"proxy: {detail}" if self._target.proxy is not None and self._stage == "connect" else detail

    def _fail(self, problem: CannotConnect) -> None:
        if self._done is not None:
            self._settle().errback(problem)

    def _cancelled(self, _done: Deferred[Connection]) -> None:
        self._settle()
        self._stop()

    def _settle(self) -> Deferred[Connection]:
        """Take the result's Deferred, for the one time. The connection lives on and keeps this: not the exchange too."""
        done, self._done = self._done, None
        assert done is not None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._on_stage = _nobody
        return done

    def _stop(self) -> None:
        """Close what is half open."""
        if self._race is not None:
            self._race.stop()
        elif self._tunnel is not None:
            self._tunnel.drop()
        elif self._connection is not None:
            self._connection.drop()
