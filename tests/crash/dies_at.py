"""Run ``crawl`` with a fault: ``python dies_at.py POINT COUNT ARGUMENT...`` dies by SIGKILL when it reaches POINT for the COUNT-th time.

The points are the steps of a commit and of the repair at start; the product knows nothing of them, they are wrapped here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from crawler.cli import main
from crawler.frontier.sqlite import SqliteFrontier
from crawler.store.commit import Writer
from crawler.store.home import Home
from crawler.store.outputs import OutputFile

POINTS: dict[str, tuple[type, str, str]] = {
    "before the files are appended to": (Writer, "_append", "before"),
    "between one file and the next": (OutputFile, "append", "after"),
    "in the middle of a line": (OutputFile, "append", "torn"),
    "appended, not yet synced": (Writer, "_append", "after"),
    "one file synced, not the next": (OutputFile, "sync", "after"),
    "files synced, no transaction yet": (Writer, "_sync_files", "after"),
    "transaction open, nothing in it": (Writer, "_apply", "before"),
    "outcomes written, links not": (SqliteFrontier, "finish", "after"),
    "links written, counters not": (Writer, "_apply", "after"),
    "lengths written, counters not": (Writer, "_store_lengths", "after"),
    "everything written, not committed": (Writer, "_commit", "before"),
    "committed, nobody told": (Writer, "_commit", "after"),
    "told in the reactor": (Writer, "_acknowledge", "after"),
    "a retry noted": (SqliteFrontier, "postpone", "after"),
    "start: files being cut back": (OutputFile, "open", "before"),
    "start: files cut back": (Home, "open_files", "after"),
    "start: job adopted": (Home, "adopt", "after"),
    "end: everything closed": (Home, "close", "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner: type, name: str, when: str, count: int) -> None:
    original: Callable[..., Any] = getattr(owner, name)
    left = [count]

    def wrapped(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and when == "before":
            die()
        if left[0] == 0 and when == "torn":
            output, data = arguments
            original(output, data[: len(data) // 2])
            die()
        result = original(*arguments, **named)
        if left[0] == 0:
            die()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    wrap(*POINTS[sys.argv[1]], int(sys.argv[2]))
    sys.argv = ["crawl", *sys.argv[3:]]
    main()
