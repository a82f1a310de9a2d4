"""A crowd of hosts on loopback: some are healthy, the others stall, drip or bomb; one thread, epoll.

    python tests/sites/evil_crowd.py --port 0 --healthy 100 --evil 2000 --pages 20

Healthy hosts are 127.1.0.1, 127.1.0.2 and so on, evil ones 127.2.0.1 and so on, each of the next kind. Log lines are those of
`loopback.py`, for healthy hosts alone.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from select import EPOLLIN, epoll
from typing import Final

DRIP_INTERVAL: Final = 0.5  # seconds
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
BOMB: Final = gzip.compress(b" " * 5_000_000)


def address(network: int, number: int) -> str:
    """Return the address of host `number` (from 0) of 127.`network`."""
    return f"127.{network}.{number // 250}.{number % 250 + 1}"


def page(path: str, pages: int) -> bytes:
    """Return a healthy page; the first links to all others."""
    links = "".join(f"<a href=/p/{number}>{number}</a>" for number in range(1, pages)) if path == "/" else ""
    body = f"<!doctype html><title>{path}</title>{links}{'<p>healthy' * 50}".encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Crowd:
    """All hosts on one port."""

    def __init__(self, healthy: int, evil: int, pages: int, port: int, log: Path) -> None:
        self._pages = pages
        self._poll = epoll()
        self._listeners: dict[int, tuple[socket.socket, str, int]] = {}  # socket, address, kind; the kinds 0, 1, 2 are evil
        self._connections: dict[int, tuple[socket.socket, str, int]] = {}
        self._dripping: dict[int, socket.socket] = {}
        self._log = log.open("a", encoding="utf-8", buffering=1)
        hosts: Iterator[tuple[str, int]] = ((address(1, number), 3) for number in range(healthy))
        for name, kind in [*hosts, *((address(2, number), number % 3) for number in range(evil))]:
            listener = socket.create_server((name, port), backlog=16)
            listener.setblocking(False)
            port = listener.getsockname()[1]
            self._listeners[listener.fileno()] = (listener, name, kind)
            self._poll.register(listener, EPOLLIN)
        self.port = port

    def serve(self) -> None:
        """Serve until the process is ended."""
        next_drip = 0.0
        while True:
            for number, _ in self._poll.poll(DRIP_INTERVAL):
                if number in self._listeners:
                    self._accept(*self._listeners[number])
                else:
                    self._read(*self._connections[number])
            if time.monotonic() >= next_drip:
                next_drip = time.monotonic() + DRIP_INTERVAL
                for sock in list(self._dripping.values()):
                    self._send(sock, b"x")

    def _accept(self, listener: socket.socket, name: str, kind: int) -> None:
        sock, _ = listener.accept()
        sock.setblocking(False)
        self._connections[sock.fileno()] = (sock, name, kind)
        self._poll.register(sock, EPOLLIN)

    def _read(self, sock: socket.socket, name: str, kind: int) -> None:
        arrived = time.monotonic()
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close(sock)
        elif kind == 3:
            path = data.split(b" ", 2)[1].decode()
            self._send(sock, page(path, self._pages))
            self._log.write(f"{arrived:.6f} {time.monotonic():.6f} {name} 1 200 {path}\n")
        elif kind == 1:
            self._send(sock, HEAD + b"Content-Length: 1000000\r\n\r\n")
            self._dripping[sock.fileno()] = sock
        elif kind == 2:
            self._send(sock, HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)

    def _send(self, sock: socket.socket, data: bytes) -> None:
        try:
            sock.sendall(data)  # fits the kernel's buffer
        except OSError:
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        self._dripping.pop(sock.fileno(), None)
        if self._connections.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock)
            sock.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    parser.add_argument("--healthy", type=int, default=100)
    parser.add_argument("--evil", type=int, default=2000)
    parser.add_argument("--pages", type=int, default=20, help="of each healthy host")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    crowd = Crowd(options.healthy, options.evil, options.pages, options.port, options.log)
    print(crowd.port, flush=True)
    crowd.serve()


if __name__ == "__main__":
    main()
