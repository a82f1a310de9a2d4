"""``crawl status``: how a crawl stands, also while it runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

import click
import msgspec

from crawler.cli.quantities import format_bytes, format_count, format_duration, plural
from crawler.errors import Exit
from crawler.model import Outcome
from crawler.shards.layout import records_of
from crawler.shards.reader import open_reader
from crawler.store.reader import Status

_SEEDS_SHOWN: Final = 3


@click.command()
@click.argument("home", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(home: str, as_json: bool) -> Exit:
    """Show how the crawl in the folder HOME stands. Works while it runs and disturbs nothing."""
    reader = open_reader(Path(home))
    try:
        status = reader.status()
    finally:
        reader.close()
    if as_json:
        fields = msgspec.to_builtins(status) | {"done": status.counters.done, "records": str(records_of(Path(home)))}
        fields |= {name: os.fsencode(fields[name]).decode("utf-8", "replace") for name in ("home", "records")}  # JSON has no other bytes
        click.echo(msgspec.json.encode(fields).decode())
    else:
        click.echo("\n".join(status_lines(status, home)))
    return Exit.FINISHED


def status_lines(status: Status, home: str) -> list[str]:
    """Return the status for people."""
    counters = status.counters
    more = f" and {len(status.seeds) - _SEEDS_SHOWN} more" if len(status.seeds) > _SEEDS_SHOWN else ""
    seeds = " ".join(status.seeds[:_SEEDS_SHOWN]) + more
    rate = f", {counters.outcomes.get(Outcome.FETCHED, 0) / counters.elapsed:.0f} pages/s" if counters.elapsed > 1 else ""
    lines = [
        _row("state", _state(status)),
        _row("seeds", seeds),
        _row("done", f"{plural(counters.done, 'URL')}, {format_bytes(counters.bytes)}, in {format_duration(counters.elapsed)}{rate}"),
        _row("queued", format_count(status.queued)),
    ]
    for title, counts in (
        ("outcomes", counters.outcomes),
        ("reasons", counters.reasons),
        ("statuses", counters.statuses),
        ("items", counters.items),
        ("rules failed", counters.faults),
        ("links refused", counters.refused),
    ):
        lines += _count_rows(title, counts)
    lines.append(_row("retries", format_count(counters.retries)))
    lines.append(_row("records", str(records_of(Path(home)))))
    lines += [_row("output", f"{path} ({format_bytes(length)})") for path, length in status.outputs.items()]
    return [*lines, *_next_step(status, home)]


def _row(title: str, text: str) -> str:
    return f"{title:<14}{text}"


def _state(status: Status) -> str:
    if status.state == "running":
        return f"running (pid {status.pid})"
    if status.state == "stopped":
        return "stopped before its end: the same command goes on"
    if status.state == "finished" and status.queued:
        return "finished as far as asked: with a higher --max-pages the same command goes on"
    return status.state


def _count_rows(title: str, counts: dict[str, int]) -> list[str]:
    ranked = sorted((item for item in counts.items() if item[1]), key=lambda item: (-item[1], item[0]))
    return [f"{title if index == 0 else '':<14}{format_count(count):>8}  {name}" for index, (name, count) in enumerate(ranked)]


def _next_step(status: Status, home: str) -> list[str]:
    if status.state != "stopped":
        return []
    seeds = " ".join(shlex.quote(seed) for seed in status.seeds[:_SEEDS_SHOWN])
    more = " …" if len(status.seeds) > _SEEDS_SHOWN else ""
    return [_row("to go on", f"crawl run {seeds}{more} --dir {shlex.quote(home)}  (and the options it was begun with)")]
