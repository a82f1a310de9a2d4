"""The live view on a terminal. Everything is `Text`: nothing that came from the web is read as markup."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from crawler.cli.quantities import format_bytes, format_count, format_duration
from crawler.cli.report import clean
from crawler.model import Snapshot

REFRESH: Final = 0.25
"""Seconds between two pictures."""

_BARS: Final = "▁▂▃▄▅▆▇█"
_HISTORY: Final = 24
_SAMPLE: Final = 4  # pictures per bar
_NAMES: Final = 4  # reasons, rules or hosts shown by name
OUTCOME_STYLES: Final = {
    "fetched": "green",
    "redirected": "cyan",
    "not_modified": "cyan",
    "denied": "yellow",
    "failed": "red",
    "skipped": "magenta",
}
NOTE_STYLES: Final = {"log": "yellow", "stall": "dim", "failures": "red"}
_STATES: Final = {
    "running": "crawling",
    "draining": "stopping: waiting for requests in flight",
    "closing": "closing",
    "stopped": "stopped",
    "finished": "finished",
}


class LiveView:
    """A few lines at the foot of the terminal; notes scroll above them."""

    def __init__(self, *, live: bool = True, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._show = live
        self._live: Live | None = None
        self._loop: Any = None
        self._rates: deque[float] = deque(maxlen=_HISTORY)
        self._pictures = 0

    def note(self, event: str, message: str, **fields: Any) -> None:  # noqa: ARG002 - the fields are for programs
        """Print the message above the view."""
        style = NOTE_STYLES.get(event, "")
        with self._while_terminal_lasts():
            for line in message.splitlines():
                self._console.print(Text(clean(line), style=style), soft_wrap=True)

    @contextlib.contextmanager
    def _while_terminal_lasts(self) -> Iterator[None]:
        """A terminal that was closed takes nothing any more: that is no reason to stop, nor to try again."""
        try:
            yield
        except OSError:
            self._live = None
            self._console.quiet = True

    def watch(self, reactor: Any, snapshot: Callable[[], Snapshot]) -> None:
        """Show the view and draw it again four times a second."""
        if not self._show:
            return
        from twisted.internet.task import LoopingCall

        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
        with self._while_terminal_lasts():
            self._live.start()
        self._loop = LoopingCall(lambda: self._draw(snapshot()))
        self._loop.clock = reactor
        self._loop.start(REFRESH, now=True)

    def _draw(self, snapshot: Snapshot) -> None:
        if self._pictures % _SAMPLE == 0:
            self._rates.append(snapshot.pages_per_second)
        self._pictures += 1
        if self._live is not None:
            with self._while_terminal_lasts():
                self._live.update(render(snapshot, list(self._rates)), refresh=True)

    def close(self) -> None:
        """Take the view away."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._live is not None:
            with self._while_terminal_lasts():
                self._live.stop()
            self._live = None


def render(snapshot: Snapshot, rates: list[float]) -> Group:
    """Return the view of one moment."""
    lines = [_headline(snapshot, rates), _work(snapshot), _outcomes(snapshot.outcomes)]
    lines += [_counts(name, counts) for name, counts in (("reasons", snapshot.reasons), ("links refused", snapshot.refused)) if counts]
    lines += [_hosts(snapshot), _engine_room(snapshot)]
    for line in lines:
        line.no_wrap = True
        line.overflow = "ellipsis"
    return Group(*lines)


def _headline(snapshot: Snapshot, rates: list[float]) -> Text:
    return Text.assemble(
        (format_duration(snapshot.elapsed), "bold"),
        f"  {_STATES.get(snapshot.state, snapshot.state)}  ",
        (sparkline(rates), "green"),
        (f"  {snapshot.pages_per_second:.0f} pages/s", "bold"),
        f"  {format_bytes(snapshot.bytes)}",
    )


def _work(snapshot: Snapshot) -> Text:
    return Text.assemble(
        ("done ", "dim"),
        (format_count(snapshot.done), "bold"),
        ("  queued ", "dim"),
        format_count(snapshot.queued),
        ("  in flight ", "dim"),
        format_count(snapshot.in_flight),
        ("  hosts ", "dim"),
        format_count(snapshot.hosts),
    )


def _outcomes(outcomes: Mapping[str, int]) -> Text:
    text = Text()
    for name, style in OUTCOME_STYLES.items():
        if outcomes.get(name):
            text.append(f"{name} ", "dim").append(f"{format_count(outcomes[name])}  ", style)
    return text


def _counts(title: str, counts: Mapping[str, int]) -> Text:
    return Text.assemble((f"{title}: ", "dim"), clean(format_counts(counts, _NAMES)))


def _hosts(snapshot: Snapshot) -> Text:
    text = Text.assemble(("slowest hosts: ", "dim"))
    shown = [f"{clean(name)} {_wait(seconds)}" for name, seconds, _ in snapshot.waiting_hosts[:_NAMES]]
    return text.append(", ".join(shown) or "none")


def _wait(seconds: float) -> str:
    return f"in {format_duration(seconds)}" if seconds >= 0.05 else "now"


def _engine_room(snapshot: Snapshot) -> Text:
    lag = f"{snapshot.lag * 1000:.0f} ms"
    text = Text.assemble(
        ("parsing ", "dim"),
        f"{snapshot.parsing} on {snapshot.workers} workers",
        ("  storing ", "dim"),
        format_count(snapshot.storing),
        ("  reactor lag ", "dim"),
        (lag, "yellow" if snapshot.lag > 0.1 else ""),
    )
    if snapshot.worker_restarts:
        text.append(f"  workers replaced {snapshot.worker_restarts}", "yellow")
    return text


def format_counts(counts: Mapping[str, int], most: int) -> str:
    """Return ``robots 12, dns 3, 2 more``: the largest first."""
    ranked = sorted(((count, name) for name, count in counts.items() if count), key=lambda item: (-item[0], item[1]))
    shown = [f"{name} {format_count(count)}" for count, name in ranked[:most]]
    if len(ranked) > most:
        shown.append(f"{len(ranked) - most} more")
    return ", ".join(shown)


def sparkline(values: list[float]) -> str:
    """Return one bar per value, the highest of them full."""
    top = max(values, default=0.0)
    if top <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 1) + 0.5))] for value in values)
