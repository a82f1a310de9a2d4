"""Which report fits where standard error goes."""

from __future__ import annotations

import os
import sys

from crawler.cli.report import JsonLines, Quiet, Report


def choose_report(*, quiet: bool, as_json: bool, streaming: bool = False) -> Report:
    """Return the report that fits where standard error goes.

    `streaming`: records go to standard output; where that is the same terminal, a live view would write over them.
    """
    if quiet or sys.stderr is None:
        return Quiet()
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    if as_json or not terminal:
        return JsonLines(sys.stderr)
    from crawler.cli.view import LiveView

    return LiveView(live=not (streaming and sys.stdout.isatty()))
