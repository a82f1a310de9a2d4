"""An HTTP/1.1 agent for many hosts at once: Twisted's transports, llhttp for the protocol, limits on everything.

    agent = Agent(reactor)
    client = treq.client.HTTPClient(agent)
    answer = await client.get("https://example.com/")
    ...
    await agent.close()

It is an `IAgent`: whatever takes `twisted.web.client.Agent` takes it, too. It follows no redirects, keeps no cookies and decodes no
bodies; treq, or Twisted's `RedirectAgent`, `CookieAgent` and `ContentDecoderAgent`, do that on top of it. Unlike Twisted's it

- is limited in time: connecting, first byte, least rate, whole exchange; and in size: head, fields, interim answers, body;
- is limited in connections, to one origin and in all; what is beyond waits in turn;
- connects to public addresses only, unless its `Guard` is told otherwise: see `crawler.fetch.guard`;
- tells an early end from completion: `ResponseFailed` and `PotentialDataLoss` end a body that is not known to be whole;
- never uses a connection again after anything odd, and sends a request again, once, when a kept connection turns out dead.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from crawler import url as urls
from crawler.fetch.deadlines import RATE_WINDOW, Deadlines, LeastRate
from crawler.fetch.dns import Resolver
from crawler.fetch.endpoint import Connector, ReactorNet, Resolves, Target
from crawler.fetch.guard import Guard
from crawler.fetch.pool import IDLE_SECONDS, Pool
from crawler.fetch.proxy import Proxies
from crawler.fetch.response import Request
from crawler.fetch.targets import Targets
from crawler.fetch.tls import Trust
from crawler.fetch.transfer import Line, Transfer

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class Limits(Struct, frozen=True):
    """What one agent takes upon itself. Times are seconds, sizes bytes."""

    timeout: float = 30.0  # from the request's start to the body's last byte
    connect_timeout: float = 10.0  # TCP and TLS, over all addresses
    first_byte_timeout: float = 20.0  # from the sending to the answer's first byte
    min_rate: int = 100  # bytes a second, over `rate_window`; 0: any
    rate_window: float = RATE_WINDOW
    max_body: int | None = None  # as it comes off the wire
    per_origin: int | None = None  # connections at once
    connections: int | None = None  # in all at once
    idle: int = 128  # connections kept for the next request
    idle_seconds: float = IDLE_SECONDS


@implementer(IAgent)
class Agent:
    """Makes requests; `close` it in the end."""

    def __init__(
        self,
        reactor: ReactorNet,  # with threads, too, if no resolver is given
        *,
        limits: Limits | None = None,
        resolver: Resolves | None = None,
        guard: Guard | None = None,
        trust: Trust | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        """Take the parts; by default `Limits`, a `Resolver`, a `Guard` that lets only public addresses pass, and the system's `Trust`.

        The resolver becomes the agent's own and is closed with it.
        """
        self.reactor: Final[Any] = reactor
        self._limits = limits = limits or Limits()
        self._targets = Targets(proxies)
        self._resolver: Resolves = resolver or Resolver(reactor)  # type: ignore[arg-type]
        self._pool = Pool(
            reactor,
            idle_limit=limits.idle,
            idle_seconds=limits.idle_seconds,
            per_origin=limits.per_origin,
            connections=limits.connections,
        )
        connector = Connector(
            reactor,
            resolver=self._resolver,
            guard=guard or Guard(()),
            trust=trust or Trust(),
            pool=self._pool,
            timeout=limits.connect_timeout,
        )
        whole = Deadlines(reactor, limits.timeout, Transfer.expire)
        first_byte = Deadlines(reactor, limits.first_byte_timeout, Transfer.no_first_byte)
        least_rate = LeastRate(reactor, limits.min_rate, whole.under_way, limits.rate_window)
        self.line: Final = Line(reactor, self._pool, connector, whole, first_byte, least_rate)
        """What a `Transfer` needs."""

    def seconds(self) -> float:
        """Return the reactor's time."""
        return float(self.reactor.seconds())

    def target(self, url: str) -> Target:
        """Return where a canonical URL is fetched."""
        return self._targets.of(url)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """Send a request; the result fires with the answer once its head has come. Cancelling it closes the connection at once.

        `headers` may hold any fields but those that frame the body; a Host field replaces ours. The result fails with

        - ValueError: the method is no token, or CONNECT, or the URI is no URL (WHATWG URL);
        - `twisted.web.error.SchemeNotSupported`: the URL is neither http nor https;
        - `crawler.fetch.failures.CannotConnect`: no address, a forbidden one, no connection, no trust; its `reason` says which;
        - `twisted.web.client.ResponseNeverReceived`: closed without a byte of an answer;
        - `twisted.web.client.ResponseFailed`: anything else that is wrong with the answer, the request's body, or the time that passes;
          its `reasons` tell what;
        - CancelledError: cancelled, or the agent was closed.
        """
        try:
            request, target = self._compose(method, uri, headers, bodyProducer)
        except (ValueError, SchemeNotSupported) as problem:
            return fail(problem)
        answer: Deferred[Any] = Transfer(self.line, request, target, limit=self._limits.max_body).start()
        return answer

    def _compose(self, method: bytes, uri: bytes, headers: Headers | None, body: IBodyProducer | None) -> tuple[Request, Target]:
        if not _TOKEN.fullmatch(method) or method == b"CONNECT":  # which has no URL and no answer (RFC 9110 section 9.3.6)
            raise ValueError(f"{method!r} is not a method that can be requested")
        found = self._targets.find(uri.decode("utf-8"))
        if found is None:
            if not uri.lower().startswith((b"http:", b"https:")):
                raise SchemeNotSupported(f"{uri!r} is neither http nor https")
            raise ValueError(f"{uri!r} is not a URL")
        url, target = found
        headers = headers or Headers()
        lines = [b"Host: " + target.netloc] if not headers.hasHeader(b"host") else []
        for name, values in headers.getAllRawHeaders():
            if name.lower() not in _FRAMING:
                lines += [name + b": " + value for value in values]
        if body is not None:
            lines.append(b"Transfer-Encoding: chunked" if body.length is UNKNOWN_LENGTH else b"Content-Length: %d" % body.length)
        elif method in (b"POST", b"PUT", b"PATCH"):
            lines.append(b"Content-Length: 0")
        where = urls.path(url) if target.forward is None else url
        start = method + b" " + where.encode("ascii") + b" HTTP/1.1"
        text = b"\r\n".join([start, *lines, target.forward or b""]) + b"\r\n"
        return Request(method, url.encode("ascii"), headers, text, body), target

    def close(self) -> Deferred[None]:
        """End what is under way with CancelledError and close everything; fires when no socket, timer or thread of ours is left."""
        closed = self._pool.close()  # first: who is told of an end may ask anew
        for transfer in self.line.whole.under_way():
            transfer.call_off()
        self.line.whole.close()
        self.line.first_byte.close()
        self.line.least_rate.close()
        return gatherResults([closed, self._resolver.close()]).addCallback(lambda _: None)
