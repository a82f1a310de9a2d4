"""Run ``crawl`` with a fault in its archive or its outputs: ``python dies_in_archive.py POINT COUNT ARGUMENT...``, as `dies_at`."""

from __future__ import annotations

import sys
from typing import Any

from dies_at import wrap

from crawler.cli import main
from crawler.export import places
from crawler.store.archive import Archive

POINTS: dict[str, tuple[Any, str, str]] = {
    "records appended, their line in the index not": (Archive, "_append", "after"),
    "a segment full, not yet closed": (Archive, "_close_segment", "before"),
    "a segment closed, the next not begun": (Archive, "_close_segment", "after"),
    "the next segment begun": (Archive, "_roomy", "after"),
    "lengths and payloads in the transaction": (Archive, "record", "after"),
    "start: segments have their names": (Archive, "_repair", "after"),
    "end: the last segment has its name": (Archive, "close", "after"),
    "an output whole, not yet named": (places, "_sync", "after"),
    "a folder's name free, not yet taken": (places, "_swap", "before"),
}
ONCE = frozenset(("start: segments have their names", "end: the last segment has its name", "a folder's name free, not yet taken"))
"""Points that a run comes to once."""

if __name__ == "__main__":
    wrap(*POINTS[sys.argv[1]], int(sys.argv[2]))
    sys.argv = ["crawl", *sys.argv[3:]]
    main()
