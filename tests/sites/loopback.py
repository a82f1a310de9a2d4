"""A small, fast HTTP/1.1 server on loopback addresses: one thread, epoll, answers computed by a function, every request logged.

It exists to be quicker than what it tests and to say truly when each request came, which general servers do not log: the kernel
stamps each packet as it arrives, so it does not matter when this process got the processor.
"""

from __future__ import annotations

import heapq
import select
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LOG_INTERVAL = 0.1  # seconds between writes of the log
MAX_HEAD = 65536  # bytes
SO_TIMESTAMPNS = 35  # linux/asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("qq")


class Answer(NamedTuple):
    """A whole answer as bytes, sent `delay` seconds after the request came."""

    status: int
    data: bytes
    delay: float = 0.0


def answer(status: int, body: bytes, content_type: str = "text/html; charset=utf-8", extra: str = "", delay: float = 0.0) -> Answer:
    """Compose an answer with Content-Length; `extra` is header lines, each ended with CR LF."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return Answer(status, head.encode() + body, delay)


class _Connection:
    __slots__ = ("address", "arrived", "blocked", "busy", "in_flight", "incoming", "outgoing", "path", "sock", "status")

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock, self.address = sock, address
        self.incoming = self.outgoing = b""
        self.busy = self.blocked = False
        self.arrived, self.path, self.status, self.in_flight = 0.0, "", 0, 0


def wall_ahead() -> float:
    """Return the seconds between the wall clock, which packets are stamped with, and the monotonic clock, to some microseconds.

    The closest of many readings counts: between two clocks this process may lose the processor.
    """
    readings = []
    for _ in range(10):
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        readings.append((after - before, wall - before))
    return min(readings)[1]


class Server:
    """Serves ``respond(local address, path)`` on `port` of each address until SIGTERM."""

    def __init__(self, addresses: list[str], port: int, respond: Callable[[str, str], Answer], log: Path) -> None:
        self._respond = respond
        self._poll = select.epoll()
        self._listeners = {sock.fileno(): sock for sock in _listen(addresses, port)}
        self._connections: dict[int, _Connection] = {}
        self._delayed: list[tuple[float, int, _Connection, bytes]] = []
        self._open_requests: Counter[str] = Counter()
        self._log = log.open("a", encoding="utf-8")
        self._lines: list[str] = []
        self._stopping = False
        self._sequence = 0
        self._wall_ahead = wall_ahead()
        for number in self._listeners:
            self._poll.register(number, select.EPOLLIN)

    @property
    def port(self) -> int:
        port: int = next(iter(self._listeners.values())).getsockname()[1]
        return port

    def serve(self) -> None:
        """Serve until SIGTERM or SIGINT, then write the rest of the log."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        next_log = time.monotonic() + LOG_INTERVAL
        while not self._stopping:
            timeout = LOG_INTERVAL
            if self._delayed:
                timeout = max(0.0, min(timeout, self._delayed[0][0] - time.monotonic()))
            events = self._poll.poll(timeout)
            now = time.monotonic()
            for number, event in events:
                if number in self._listeners:
                    self._accept(self._listeners[number])
                elif (connection := self._connections.get(number)) is not None:
                    self._handle(connection, event, now)
            self._send_delayed(now)
            if now >= next_log:
                self._write_log()
                self._wall_ahead = wall_ahead()
                next_log = now + LOG_INTERVAL
        self._write_log()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _write_log(self) -> None:
        self._log.write("".join(self._lines))
        self._log.flush()
        self._lines.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock, sock.getsockname()[0])
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def _handle(self, connection: _Connection, event: int, now: float) -> None:
        if event & select.EPOLLOUT:
            self._send(connection)
            return
        try:
            data, stamps, _, _ = connection.sock.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and stamps:
            seconds, nanoseconds = _TIMESPEC.unpack(stamps[0][2])
            now = min(now, seconds + nanoseconds / 1e9 - self._wall_ahead)
        if not data:
            self._drop(connection)
            return
        connection.incoming += data
        if not connection.busy:
            self._next_request(connection, now)

    def _next_request(self, connection: _Connection, now: float) -> None:
        """Answer the request at the front of what came, if it is whole. Bodies are not expected: only GET and HEAD come."""
        head, found, rest = connection.incoming.partition(b"\r\n\r\n")
        if not found:
            if len(connection.incoming) > MAX_HEAD:
                self._drop(connection)
            return
        connection.incoming = rest
        words = head[: head.find(b"\r\n")].split(b" ") if b"\r\n" in head else head.split(b" ")
        if len(words) != 3:
            self._drop(connection)
            return
        connection.path = words[1].decode("latin-1")
        connection.arrived, connection.busy = now, True
        self._open_requests[connection.address] += 1
        connection.in_flight = self._open_requests[connection.address]
        status, data, delay = self._respond(connection.address, connection.path)
        connection.status = status
        if words[0] == b"HEAD":
            data = data[: data.find(b"\r\n\r\n") + 4]
        if delay:
            self._sequence += 1
            heapq.heappush(self._delayed, (now + delay, self._sequence, connection, data))
        else:
            connection.outgoing = data
            self._send(connection)

    def _send_delayed(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            _, _, connection, data = heapq.heappop(self._delayed)
            if connection.busy:
                connection.outgoing = data
                self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(connection)
            return
        connection.outgoing = connection.outgoing[sent:]
        if connection.outgoing:
            self._poll.modify(connection.sock.fileno(), select.EPOLLOUT)
            connection.blocked = True
            return
        if connection.blocked:
            self._poll.modify(connection.sock.fileno(), select.EPOLLIN)
            connection.blocked = False
        self._finish(connection)
        if connection.incoming:
            self._next_request(connection, time.monotonic())

    def _finish(self, connection: _Connection) -> None:
        if not connection.busy:
            return
        connection.busy = False
        self._open_requests[connection.address] -= 1
        ended = time.monotonic()
        self._lines.append(
            f"{connection.arrived:.6f} {ended:.6f} {connection.address} {connection.in_flight} {connection.status} {connection.path}\n"
        )

    def _drop(self, connection: _Connection) -> None:
        """Close; a request that was not answered is logged as it stands."""
        self._finish(connection)
        del self._connections[connection.sock.fileno()]
        connection.sock.close()


def _listen(addresses: list[str], port: int) -> list[socket.socket]:
    """Listen on one port of every address; with port 0 the first address chooses a port and the others take the same."""
    for _ in range(20):
        listeners: list[socket.socket] = []
        chosen = port
        try:
            for address in addresses:
                sock = socket.socket()
                listeners.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # connections inherit it
                sock.bind((address, chosen))
                chosen = sock.getsockname()[1]
                sock.listen(1024)
                sock.setblocking(False)
        except OSError:
            for sock in listeners:
                sock.close()
            if port:
                raise
        else:
            return listeners
    raise OSError("no port is free on all addresses")
