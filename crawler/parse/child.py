"""One worker process as the parent holds it: the process, its socket, and the certain knowledge of its end.

The end is learned from the socket, not from SIGCHLD, which does not reach Twisted under uvloop; the process is then reaped by
asking. A child gets one descriptor, no stdin, and a session of its own, so that a Ctrl-C in the terminal is the parent's alone.
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
from crawler.parse.frames import SOCKET_BUFFER, Answer, AnswerReader, FrameError, Setup, setup_frame

_REAP_INTERVAL: Final = 0.01
_REAP_PATIENCE: Final = 50  # times the interval, before a child without a socket is killed


class ChildReactor(Protocol):
    """What children and their pool need of a reactor."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        """Call later; as in Twisted's IReactorTime."""

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Adopt a connected socket; as in Twisted's IReactorSocket."""


OnAnswer = Callable[[Answer, bytes], None]


class Child:
    """Starts a worker process at once, or raises OSError; `connect` adopts its socket."""

    def __init__(self, reactor: ChildReactor, setup: Setup) -> None:
        self._reactor = reactor
        self._setup = setup
        self._patience = _REAP_PATIENCE
        self._protocol: _AnswerProtocol | None = None
        self._ours, theirs = socket.socketpair()
        with theirs:
            for end in (self._ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
            try:
                self._process = _start(theirs.fileno())
            except OSError:
                self._ours.close()
                raise
        self.pid = self._process.pid

    def connect(self, on_answer: OnAnswer, on_end: Callable[[str], None]) -> None:
        """Adopt the socket and send the setup.

        `on_answer` is called for every answer; `on_end` once, after the process has ended and been reaped, with how it ended:
        ``died with signal 9``, ``exited with status 1``, ``sent a broken answer``.
        """
        self._on_end = on_end
        self._protocol = _AnswerProtocol(on_answer, self._closed)
        with self._ours:
            self._ours.setblocking(False)
            self._reactor.adoptStreamConnection(self._ours.fileno(), socket.AF_UNIX, _OneProtocol(self._protocol))
        self.write([setup_frame(self._setup)])

    def write(self, pieces: list[bytes]) -> None:
        """Send a frame; what the socket does not take now is kept, so the caller limits how much is on its way."""
        if self._protocol is not None and self._protocol.transport is not None:
            self._protocol.transport.writeSequence(pieces)

    def close(self) -> None:
        """Close the socket: a worker that is idle leaves at once, one that parses leaves after its page."""
        if self._protocol is not None and self._protocol.transport is not None:
            self._protocol.transport.abortConnection()

    def kill(self) -> None:
        """Send SIGKILL, unless the process has been reaped."""
        self._process.kill()

    def _closed(self, broken: bool) -> None:
        """Wait for the process to end, for its socket has; the exit status comes a moment later."""
        status = self._process.poll()
        if status is not None:
            self._on_end("sent a broken answer" if broken else _ending(status))
            return
        self._patience -= 1
        if broken or self._patience == 0:
            self._process.kill()
        self._reactor.callLater(_REAP_INTERVAL, self._closed, broken)


class _AnswerProtocol(TwistedProtocol):
    """Turns a worker's bytes into answers, and closes the connection on one that it cannot trust."""

    transport: Any

    def __init__(self, on_answer: OnAnswer, on_closed: Callable[[bool], None]) -> None:
        self._reader = AnswerReader()
        self._on_answer = on_answer
        self._on_closed = on_closed
        self._broken = False

    def dataReceived(self, data: bytes) -> None:
        """Hand on every answer that is complete."""
        if self._broken:
            return
        try:
            for answer, payload in self._reader.feed(data):
                self._on_answer(answer, payload)
        except (FrameError, msgspec.DecodeError):
            self._broken = True
            if self.transport is not None:
                self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002
        """The worker has closed its end, or is gone."""
        self._on_closed(self._broken)


class _OneProtocol(Factory):
    """`adoptStreamConnection` asks a factory for the protocol; there is one already."""

    noisy = False

    def __init__(self, protocol: _AnswerProtocol) -> None:
        self._only = protocol

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol:  # noqa: ARG002
        """Return the one protocol."""
        return self._only


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    """-P keeps the current directory out of the child's import path."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "crawler.parse.worker", str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env=_environment(),
    )


def _ending(status: int) -> str:
    return f"died with signal {-status}" if status < 0 else f"exited with status {status}"


def _environment() -> dict[str, str]:
    """The parent's environment, and where this very package is when it is not installed."""
    environment = dict(os.environ)
    home = Path(crawler.__file__).resolve().parent.parent
    if home.name not in ("site-packages", "dist-packages"):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH", "")]))
    return environment
