"""A shard's process as the conductor holds it: its socket, and the certain knowledge of its end.

The end is learned from the socket; the process is then reaped by asking. A shard has a session of its own: what the terminal signals is
the conductor's alone, and a conductor that dies is learned from the socket, too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

import crawler
from crawler.shards.messages import FROM_SHARD, FrameReader, FromShard, ToShard, frame

PROGRAM: Final = "crawler.cli.shard"
_REAP_INTERVAL: Final = 0.01
_REAP_PATIENCE: Final = 500  # times the interval, before a process without a socket is killed


class ChildReactor(Protocol):
    """What a shard's process needs of the conductor's reactor."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        """Call later; as in Twisted's IReactorTime."""

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Adopt a connected socket; as in Twisted's IReactorSocket."""


class Frames(TwistedProtocol):
    """One end of the socket between a shard and the conductor: frames in, frames out."""

    transport: Any

    def __init__(self, on_frame: Callable[[bytes], object], on_closed: Callable[[], object]) -> None:
        self._reader = FrameReader()
        self._on_frame = on_frame
        self._on_closed = on_closed

    def send(self, message: FromShard | ToShard) -> None:
        """Send a message; what the socket does not take now is kept."""
        self.transport.write(frame(message))

    def dataReceived(self, data: bytes) -> None:
        """Hand on every frame that is complete."""
        for found in self._reader.feed(data):
            self._on_frame(found)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002
        """The other end is closed, or gone."""
        self._on_closed()


class Only(Factory):
    """`adoptStreamConnection` asks a factory for the protocol; there is one already."""

    noisy = False

    def __init__(self, protocol: TwistedProtocol) -> None:
        self._only = protocol

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol:  # noqa: ARG002
        """Return the one protocol."""
        return self._only


class ShardProcess:
    """Starts a shard's process at once, or raises OSError; `connect` adopts its socket."""

    def __init__(self, reactor: ChildReactor) -> None:
        self._reactor = reactor
        self._patience = _REAP_PATIENCE
        self._frames: Frames | None = None
        self._ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno())
            except OSError:
                self._ours.close()
                raise
        self.pid = self._process.pid

    def connect(self, on_message: Callable[[FromShard], object], on_end: Callable[[str], object]) -> None:
        """Listen to it. `on_end` is called once, after it has ended and been reaped, with how: ``died with signal 9``."""
        self._on_end = on_end
        self._on_message = on_message
        self._frames = Frames(self._decode, self._closed)
        with self._ours:
            self._ours.setblocking(False)
            self._reactor.adoptStreamConnection(self._ours.fileno(), socket.AF_UNIX, Only(self._frames))

    def _decode(self, data: bytes) -> None:
        try:
            message = FROM_SHARD.decode(data)
        except msgspec.DecodeError:  # not of our making, or of another version's: its end is told by `_closed`
            self._process.kill()
            return
        self._on_message(message)

    def send(self, message: ToShard) -> None:
        """Send a message; to one that has gone it is lost, as its end tells."""
        if self._frames is not None and self._frames.transport is not None:
            self._frames.send(message)

    def kill(self) -> None:
        """Send SIGKILL, unless the process has been reaped."""
        self._process.kill()

    def _closed(self) -> None:
        """Wait for the process to end, for its socket has; the exit status comes a moment later."""
        status = self._process.poll()
        if status is not None:
            self._on_end(f"died with signal {-status}" if status < 0 else f"exited with status {status}")
            return
        self._patience -= 1
        if self._patience == 0:
            self._process.kill()
        self._reactor.callLater(_REAP_INTERVAL, self._closed)


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    """-P keeps the current directory out of the child's import path."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """The conductor's environment, and where this very package is when it is not installed."""
    environment = dict(os.environ)
    home = Path(crawler.__file__).resolve().parent.parent
    if home.name not in ("site-packages", "dist-packages"):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH", "")]))
    return environment
