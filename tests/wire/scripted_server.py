"""A server on loopback that says what a test tells it to, byte by byte, and notes what it saw."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

Step = bytes | float | str
Script = list[Step]
"""What is done on a request: bytes are written, a number of seconds waited, "close", "reset", "deaf" or "endless" done."""


class Conversation(Protocol):
    """One connection; `requests` are the heads received over it."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.requests: list[bytes] = []
        self.lost: Deferred[float] = Deferred()
        self.open = True
        self.written = 0
        self._buffer = b""
        self._timers: list[Any] = []

    def connectionMade(self) -> None:
        self.server.conversations.append(self)
        self._run(self.server.greeting, 0)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self.requests.append(head)
            self._run(self.server.script_for(self, head), 0)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.open = False
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self.lost.callback(reactor.seconds())

    def _run(self, script: Script, position: int) -> None:
        while self.open and position < len(script):
            step = script[position]
            position += 1
            if isinstance(step, bytes):
                self.written += len(step)
                self.transport.write(step)
            elif isinstance(step, str):
                getattr(self, f"_{step}")()
            else:
                self._timers.append(reactor.callLater(step, self._run, script, position))
                return

    def _close(self) -> None:
        self.transport.loseConnection()

    def _reset(self) -> None:
        self.transport.abortConnection()

    def _deaf(self) -> None:
        self.transport.pauseProducing()

    def _endless(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.written += 65536
        self.transport.write(b"x" * 65536)

    def stopProducing(self) -> None:
        pass


class ScriptedServer:
    """Scripts by path; a list of scripts is used up request by request, the last one staying."""

    def __init__(self, scripts: dict[str, Script | list[Script]], greeting: Script) -> None:
        self.scripts = scripts
        self.greeting = greeting
        self.conversations: list[Conversation] = []
        self.port = 0

    @property
    def requests(self) -> list[bytes]:
        return [request for one in self.conversations for request in one.requests]

    def script_for(self, conversation: Conversation, head: bytes) -> Script:
        scripts = self.scripts[head.split(b" ")[1].decode()]
        if scripts and isinstance(scripts[0], list):
            return scripts.pop(0) if len(scripts) > 1 else scripts[0]  # type: ignore[return-value]
        return scripts  # type: ignore[return-value]

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serving(
    scripts: dict[str, Script | list[Script]], greeting: Script | None = None, listen: Callable[..., Any] | None = None
) -> Iterator[ScriptedServer]:
    """Serve until the block ends; `listen(factory)` replaces plain TCP on a free port. No traceback may be logged meanwhile."""
    logged: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            logged.append(formatEvent(event) + str(event.get("log_failure", "")))

    globalLogPublisher.addObserver(observe)
    server = ScriptedServer(scripts, greeting or [])
    factory = Factory.forProtocol(lambda: Conversation(server))
    factory.noisy = False
    port = listen(factory) if listen else reactor.listenTCP(0, factory, interface="127.0.0.1")
    server.port = port.getHost().port
    try:
        yield server
    finally:
        port.stopListening()
        for conversation in server.conversations:
            if conversation.open:
                conversation.transport.abortConnection()
        gc.collect(1)  # an error nobody looked at is logged when its Deferred goes
        globalLogPublisher.removeObserver(observe)
    assert not logged


def answer(body: bytes = b"hello", status: str = "200 OK", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
