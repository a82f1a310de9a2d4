"""A tunnel through a proxy: what is said until it stands, and the protocol on the connection meanwhile.

What a proxy sends before the tunnel stands is bounded, and must end with its answer: bytes that follow it would be read as the
server's first, and a server of TLS or HTTP never speaks first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet import protocol
from twisted.python.failure import Failure

from crawler.fetch.failures import CannotConnect, bounded
from crawler.fetch.proxy import Proxy
from crawler.fetch.socks import SocksHandshake
from crawler.model import Reason

MAX_HEAD: Final = 65536
"""Bytes of a proxy's answer to CONNECT."""

_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")


class Handshake(Protocol):
    """What is said to a proxy until the tunnel stands; pure."""

    done: bool

    def hello(self) -> bytes:
        """Return what is said first."""

    def receive(self, data: bytes) -> bytes:
        """Take what the proxy sent, return what is to be answered; raises CannotConnect when there will be no tunnel."""


class HttpHandshake:
    """CONNECT (RFC 9110 section 9.3.6): any 2xx is the tunnel, whatever length its head announces."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.done = False
        self._where = f"{host}:{port}".encode("ascii")
        self._credentials = proxy.authorization()
        self._head = bytearray()

    def hello(self) -> bytes:
        """Return the request."""
        return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (self._where, self._where, self._credentials)

    def receive(self, data: bytes) -> bytes:
        """Read on in the answer's head."""
        searched = max(0, len(self._head) - 3)
        self._head += data
        end = _END.search(self._head, searched)
        if (end.end() if end else len(self._head)) > MAX_HEAD:
            raise _refused(f"the head of its answer does not end within {MAX_HEAD} bytes")
        if end is not None:
            self._judge(surplus=end.end() < len(self._head))
        return b""

    def _judge(self, *, surplus: bool) -> None:
        status = _STATUS.match(self._head)
        if status is None:
            raise _refused("its answer to CONNECT is no HTTP/1.x")
        if not status[1].startswith(b"2"):
            raise _refused(f"{status[1].decode()} {(status[2] or b'').decode('latin-1')}".rstrip())
        if surplus:
            raise _refused("it sent more than its answer")
        self.done = True


def _refused(why: str) -> CannotConnect:
    return CannotConnect(Reason.CONNECT, bounded(f"proxy: {why}"))


def handshake(proxy: Proxy, host: str, port: int) -> Handshake:
    """Return what is said to `proxy` for a tunnel to a canonical host; raises CannotConnect for a host that it cannot be told."""
    return HttpHandshake(proxy, host, port) if proxy.kind == "http" else SocksHandshake(proxy, host, port)


class Tunnel(protocol.Protocol):
    """The connection to a proxy until the tunnel stands; then `then` makes what speaks through it, which takes this one's place.

    `failed` is told of a handshake that went wrong (the connection is closed), `lost` of a connection that ended.
    """

    def __init__(
        self,
        shake: Handshake,
        *,
        then: Callable[[], protocol.Protocol],
        failed: Callable[[CannotConnect], None],
        lost: Callable[[Failure], None],
    ) -> None:
        self._shake = shake
        self._then = then
        self._failed = failed
        self._lost = lost
        self._over = False

    def connectionMade(self) -> None:
        """Speak first."""
        assert self.transport is not None
        self.transport.write(self._shake.hello())

    def dataReceived(self, data: bytes) -> None:
        """Go on, until it stands or will not."""
        assert self.transport is not None
        if self._over:
            return
        try:
            reply = self._shake.receive(data)
        except CannotConnect as problem:
            self.drop()
            self._failed(problem)
            return
        if reply:
            self.transport.write(reply)
        if self._shake.done:
            self._over = True
            successor = self._then()
            self.transport.protocol = successor  # type: ignore[attr-defined]
            successor.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """Close now."""
        self._over = True
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """Tell that it ended."""
        self._lost(reason)
