from __future__ import annotations

from crawler.cli.status import status_lines
from crawler.store.counters import Counters
from crawler.store.reader import Status


def test_items_and_rules_that_failed_are_told_the_most_frequent_first() -> None:
    counters = Counters(items={"author": 2, "book": 4000}, faults={"book.price": 3})
    lines = status_lines(Status("h", "finished", None, ["https://example.com/"], 0, counters, {}), "h")
    place = lines.index("items            4,000  book")
    assert lines[place + 1 : place + 3] == ["                     2  author", "rules failed         3  book.price"]
    bare = status_lines(Status("h", "finished", None, [], 0, Counters(), {}), "h")
    assert not [line for line in bare if line.startswith(("items", "rules failed"))]
