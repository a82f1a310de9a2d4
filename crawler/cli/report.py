"""What a command tells while it works: a live view on a terminal, JSON lines elsewhere, nothing when quiet. All on standard error."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TextIO

import click
import msgspec

from crawler.model import Snapshot

PROGRESS_INTERVAL: Final = 5.0
"""Seconds between progress lines."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Report(Protocol):
    """Where a command's news go."""

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Tell of one event; `message` is for people, `fields` for programs."""

    def watch(self, reactor: Any, snapshot: Callable[[], Snapshot]) -> None:
        """Show progress from now on, read from `snapshot()` in the reactor's thread."""

    def close(self) -> None:
        """End the progress; notes may follow."""


def clean(text: str) -> str:
    """Return text from the web without characters that a terminal would act upon."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text).replace("\n", " ").replace("\t", " ")


def complain(message: str) -> None:
    """Write a message to standard error, each line marked as ours."""
    click.echo("\n".join(f"crawl: {clean(line)}" for line in message.splitlines() or [""]), err=True)


class Quiet:
    """Tells nothing."""

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Drop the event, unless it tells of failures or of a fault."""
        if event == "failures" or (event == "log" and fields.get("level") in ("error", "critical")):
            complain(message)

    def watch(self, reactor: Any, snapshot: Callable[[], Snapshot]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonLines:
    """One JSON object a line: ``{"event": …, "time": …, "message": …}``."""

    def __init__(self, stream: TextIO, wall: Callable[[], float] = time.time, interval: float = PROGRESS_INTERVAL) -> None:
        self._stream = stream
        self._wall = wall
        self._interval = interval
        self._loop: Any = None

    def note(self, event: str, message: str, **fields: Any) -> None:
        """Write the event."""
        self._write({"event": event, "time": round(self._wall(), 3), **({"message": message} if message else {}), **fields})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            text = _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", json.dumps(line, ensure_ascii=False))
            self._stream.write(text + "\n")
            self._stream.flush()
        except OSError:  # nobody listens any more: that is no reason to stop crawling
            self.close()

    def watch(self, reactor: Any, snapshot: Callable[[], Snapshot]) -> None:
        """Write a progress line every few seconds."""
        from twisted.internet.task import LoopingCall

        self._loop = LoopingCall(lambda: self.note("progress", "", **msgspec.to_builtins(snapshot())))
        self._loop.clock = reactor
        self._loop.start(self._interval, now=False)

    def close(self) -> None:
        """Stop writing progress."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
