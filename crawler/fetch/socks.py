"""What is said to a SOCKS5 proxy until the tunnel stands (RFC 1928; user and password: RFC 1929). Pure.

Names go to the proxy as names: nothing is resolved here. The length of each message of the proxy is known when it is read, and
whatever is longer is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from crawler.fetch.failures import CannotConnect
from crawler.fetch.guard import parse_address
from crawler.fetch.proxy import Proxy
from crawler.model import Reason

_REPLIES: Final = {
    1: "general failure",
    2: "connection not allowed by the proxy's rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}
_OPEN, _PASSWORD, _NONE = 0, 2, 0xFF
_ADDRESS_LENGTHS: Final = {1: 4, 4: 16}


class SocksHandshake:
    """One tunnel to `host`:`port`; `done` is set when it stands."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        """Take a canonical host; raises CannotConnect for a name too long for the protocol (255 bytes)."""
        self.done = False
        self._user = proxy.user
        self._password = proxy.password or ""
        self._connect = b"\x05\x01\x00" + _address(host) + port.to_bytes(2)
        self._buffer = b""
        self._step: Callable[[SocksHandshake], bytes] = SocksHandshake._method_chosen

    def hello(self) -> bytes:
        """Return the first message: the ways to authenticate that we have."""
        return b"\x05\x01\x00" if self._user is None else b"\x05\x02\x00\x02"

    def receive(self, data: bytes) -> bytes:
        """Take what the proxy sent and return what is to be answered, maybe nothing; raises CannotConnect when there will be no tunnel."""
        self._buffer += data
        if self._buffer[:1] not in (b"", b"\x05") and self._step is not SocksHandshake._password_judged:
            raise _refused("this is no SOCKS5 proxy")
        return self._step(self) if len(self._buffer) >= 2 else b""

    def _take(self, length: int) -> None:
        """Forget a message of `length` bytes; nothing may follow it before we have answered."""
        if len(self._buffer) > length:
            raise _refused("the proxy sent more than its answer")
        self._buffer = b""

    def _method_chosen(self) -> bytes:
        method = self._buffer[1]
        self._take(2)
        if method == _OPEN:
            return self._ask()
        if method == _PASSWORD and self._user is not None:
            user, password = self._user.encode(), self._password.encode()
            self._step = SocksHandshake._password_judged
            return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
        if method == _NONE and self._user is None:
            raise _refused("the proxy wants a user and a password, or another way to authenticate")
        raise _refused("the proxy takes none of the ways to authenticate that it was offered")

    def _password_judged(self) -> bytes:
        status = self._buffer[1]
        if status != 0:
            raise _refused("user or password refused")
        self._take(2)
        return self._ask()

    def _ask(self) -> bytes:
        self._step = SocksHandshake._connected
        return self._connect

    def _connected(self) -> bytes:
        reply = self._buffer[1]
        if reply != 0:
            raise _refused(_REPLIES.get(reply, f"reply {reply}"))
        if len(self._buffer) < 5:
            return b""
        kind, first = self._buffer[3], self._buffer[4]
        address_length = 1 + first if kind == 3 else _ADDRESS_LENGTHS.get(kind)
        if address_length is None:
            raise _refused(f"an address of the unknown type {kind} in the proxy's answer")
        length = 4 + address_length + 2
        if len(self._buffer) >= length:
            self._take(length)
            self.done = True
        return b""


def _address(host: str) -> bytes:
    """Return a host as the protocol writes it: its type, and the address, or the name's length and the name."""
    address = parse_address(host)
    if address is not None:
        return (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed
    name = host.encode("ascii")
    if len(name) > 255:
        raise _refused("the host's name is too long for the protocol")
    return b"\x03" + bytes([len(name)]) + name


def _refused(why: str) -> CannotConnect:
    return CannotConnect(Reason.CONNECT, f"proxy (socks5): {why}")
