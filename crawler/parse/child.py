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
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

import crawler
from crawler.parse.frames import SOCKET_BUFFER, Answer, AnswerReader, FrameError, Setup, setup_frame

_READ: Final = 64 * 1024
_IOVECS: Final = 64  # pieces given to the kernel at once; it takes 1024 at most
_REAP_INTERVAL: Final = 0.01
_REAP_PATIENCE: Final = 50  # times the interval, before a child without a socket is killed


class ChildReactor(Protocol):
    """What children and their pool need of a reactor."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        """Call later; as in Twisted's IReactorTime."""

    def addReader(self, reader: Any) -> None:
        """Watch a descriptor; this and the others as in Twisted's IReactorFDSet."""

    def addWriter(self, writer: Any) -> None:
        """Watch a descriptor until more can be written."""

    def removeReader(self, reader: Any) -> None:
        """Watch no longer."""

    def removeWriter(self, writer: Any) -> None:
        """Watch no longer."""


OnAnswers = Callable[[list[tuple[Answer, bytes]]], None]


class Child:
    """Starts a worker process at once, or raises OSError; `connect` takes its socket into use."""

    def __init__(self, reactor: ChildReactor, setup: Setup) -> None:
        self._reactor = reactor
        self._setup = setup
        self._patience = _REAP_PATIENCE
        self._wire: _Wire | None = None
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

    def connect(self, on_answers: OnAnswers, on_end: Callable[[str], None]) -> None:
        """Have the reactor watch the socket, and send the setup.

        `on_answers` is called with the answers that came together, one at least; `on_end` once, after the process has ended and
        been reaped, with how it ended: ``died with signal 9``, ``exited with status 1``, ``sent a broken answer``.
        """
        self._on_end = on_end
        self._wire = _Wire(self._reactor, self._ours, on_answers, self._closed)
        self.write([setup_frame(self._setup)])

    def write(self, pieces: list[bytes]) -> None:
        """Send a frame; what the socket does not take now is kept, so the caller limits how much is on its way."""
        if self._wire is not None:
            self._wire.write(pieces)

    def close(self) -> None:
        """Close the socket: a worker that is idle leaves at once, one that parses leaves after its page."""
        if self._wire is not None:
            self._wire.close()

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


@implementer(IReadWriteDescriptor)
class _Wire:
    """The parent's end of the socket, watched by the reactor: what is written leaves at once, and later only what did not fit.

    A transport of Twisted's would write a turn later, from a copy, and ask to be told when it may: twice the time for each page.
    """

    def __init__(self, reactor: ChildReactor, sock: socket.socket, on_answers: OnAnswers, on_closed: Callable[[bool], None]) -> None:
        """`on_closed` is called once, when the worker has closed its end or this one was closed: for an answer that it cannot trust?"""
        self._reactor = reactor
        self._sock = sock
        self._on_answers = on_answers
        self._on_closed = on_closed
        self._answers = AnswerReader()
        self._unsent: list[bytes] = []
        self._open = True
        sock.setblocking(False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return the descriptor, -1 once it is closed."""
        return self._sock.fileno()

    def logPrefix(self) -> str:
        """Say who it is, to Twisted's log."""
        return "parse worker"

    def write(self, pieces: list[bytes]) -> None:
        """Send, or keep, all of it; what is written to a worker that has gone is lost, and `on_closed` follows."""
        if not self._open:
            return
        if self._unsent:
            self._unsent += pieces
            return
        self._unsent = self._send(pieces)
        if self._unsent:
            self._reactor.addWriter(self)

    def doWrite(self) -> None:
        """The socket takes more."""
        self._unsent = self._send(self._unsent[:_IOVECS]) + self._unsent[_IOVECS:]
        if not self._unsent:
            self._reactor.removeWriter(self)

    def doRead(self) -> None:
        """Hand on every answer that is complete."""
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        answers: list[tuple[Answer, bytes]] = []
        try:
            for answer in self._answers.feed(data):
                answers.append(answer)  # not in one go: what came before a broken one is kept
        except FrameError:
            self._hand_on(answers)
            self.close(broken=True)
        else:
            self._hand_on(answers)

    def _hand_on(self, answers: list[tuple[Answer, bytes]]) -> None:
        try:
            if answers:
                self._on_answers(answers)
        except (FrameError, msgspec.DecodeError):
            self.close(broken=True)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002
        """The reactor stops, or sees that the worker is gone."""
        self.close()

    def close(self, *, broken: bool = False) -> None:
        """Close it, once."""
        if not self._open:
            return
        self._open = False
        self._unsent.clear()
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._sock.close()
        self._reactor.callLater(0, self._on_closed, broken)

    def _send(self, pieces: list[bytes]) -> list[bytes]:
        """Return what the socket did not take."""
        try:
            sent = self._sock.sendmsg(pieces)
        except BlockingIOError:
            return pieces
        except OSError:  # the other end is closed: the next read tells
            return []
        for index, piece in enumerate(pieces):
            if sent < len(piece):
                return [piece[sent:], *pieces[index + 1 :]]
            sent -= len(piece)
        return []


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
