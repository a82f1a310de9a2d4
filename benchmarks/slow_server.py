"""Slow web servers in a process of their own: each request is answered a number of seconds after it came.

`SlowServers` listens on loopback addresses of its own, and tells in the end when each request came and when it was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from typing import NamedTuple

BACKLOG = 4096
"""Connections the kernel takes before we do; it cuts that to net.core.somaxconn."""

BODY = b"<!doctype html><title>At last</title>".ljust(1000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Times(NamedTuple):
    """When a request came and when it was answered, in monotonic seconds, which all processes of a machine share."""

    came: float
    answered: float


class SlowServers:
    """Running servers; `urls` are those of their pages, one for each address."""

    def __init__(self, addresses: list[str], seconds: float) -> None:
        command = [sys.executable, __file__, "--seconds", str(seconds), *addresses]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.urls: list[str] = json.loads(self._process.stdout.readline())

    def stop(self) -> list[Times]:
        """Stop the servers, which end with their standard input; return the times of all requests that were answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        times = [Times(*pair) for pair in json.loads(self._process.stdout.readline())]
        self._process.wait(30)
        self._process.stdout.close()
        return times


class Slow(asyncio.Protocol):
    """Answers what comes, after a while; a request is what ends with an empty line."""

    def __init__(self, seconds: float, times: list[Times]) -> None:
        self._seconds = seconds
        self._times = times
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._read.endswith(b"\r\n\r\n"):
            self._read = b""
            asyncio.get_running_loop().call_later(self._seconds, self._answer, time.monotonic())

    def _answer(self, came: float) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)  # type: ignore[attr-defined]
            self._times.append(Times(came, time.monotonic()))


def listen(address: str) -> socket.socket:
    listener = socket.socket()
    listener.bind((address, 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


async def serve(listeners: list[socket.socket], seconds: float) -> list[Times]:
    """Serve until standard input ends."""
    times: list[Times] = []
    loop = asyncio.get_running_loop()
    for listener in listeners:
        await loop.create_server(lambda: Slow(seconds, times), sock=listener, backlog=BACKLOG)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("addresses", nargs="+")
    arguments = parser.parse_args()
    listeners = [listen(address) for address in arguments.addresses]
    print(json.dumps(["http://{}:{}/".format(*listener.getsockname()) for listener in listeners]), flush=True)
    print(json.dumps(asyncio.run(serve(listeners, arguments.seconds))), flush=True)


if __name__ == "__main__":
    main()
