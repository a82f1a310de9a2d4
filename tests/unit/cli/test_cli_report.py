from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from twisted.internet.task import Clock

from crawler.cli.crawling import Stalls, innermost_line
from crawler.cli.report import JsonLines, clean
from crawler.cli.view import LiveView, format_counts, render, sparkline
from crawler.model import Snapshot

SNAPSHOT = Snapshot(
    elapsed=75.0,
    state="running",
    queued=1200,
    in_flight=12,
    parsing=3,
    storing=4,
    done=3400,
    outcomes={"fetched": 3380, "failed": 20},
    reasons={"dns": 20},
    refused={"scope:host": 7, "depth": 0},
    bytes=42_000_000,
    pages_per_second=181.6,
    hosts=3,
    waiting_hosts=[("[bold]evil.example\x1b[31m", 2.3, 1)],
    workers=2,
    worker_restarts=1,
    lag=0.003,
)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_progress_is_one_object_a_line_at_the_interval() -> None:
    clock, stream = Clock(), io.StringIO()
    report = JsonLines(stream, wall=lambda: 1000.5, interval=5.0)
    report.note("start", "Crawling\nnow", seeds=1)
    report.watch(clock, lambda: SNAPSHOT)
    clock.pump([1.0] * 11)
    report.close()
    clock.pump([1.0] * 11)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["start", "progress", "progress"]
    assert lines[0] == {"event": "start", "time": 1000.5, "message": "Crawling\nnow", "seeds": 1}
    assert lines[1]["queued"] == 1200
    assert lines[1]["outcomes"] == SNAPSHOT.outcomes


def test_a_reader_of_progress_that_went_away_does_not_stop_the_crawl() -> None:
    clock = Clock()
    report = JsonLines(Broken(), interval=5.0)
    report.watch(clock, lambda: SNAPSHOT)
    clock.pump([5.0, 5.0])
    assert not clock.getDelayedCalls()


def drawn(console: Console) -> str:
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def console() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False, markup=False, emoji=False)


def test_the_view_shows_what_counts_and_obeys_nothing_from_the_web() -> None:
    target = console()
    target.print(render(SNAPSHOT, [1.0, 2.0]))
    text = drawn(target)
    for part in (
        "1 min 15 s",
        "182 pages/s",
        "42.0 MB",
        "1,200",
        "3,380",
        "dns 20",
        "scope:host 7",
        "2 workers",
        "3 ms",
        "in 2.3 s",
    ):
        assert part in text
    assert "[bold]evil.example\ufffd[31m" in text
    assert "\x1b[31mevil" not in text
    assert "depth" not in text, "rules that refused nothing are left out"


def test_the_view_is_drawn_four_times_a_second_and_taken_away() -> None:
    clock, target, asked = Clock(), console(), []
    view = LiveView(console=target)
    view.watch(clock, lambda: asked.append(1) or SNAPSHOT)  # type: ignore[func-returns-value]
    clock.pump([0.25] * 8)
    view.note("stopping", "Stopping \x1b]0;title\x07 now")
    view.close()
    clock.pump([0.25] * 8)
    assert len(asked) == 9
    assert "Stopping \ufffd]0;title\ufffd now" in drawn(target)
    assert drawn(target).rstrip("\n").count("\x1b[?25l") == drawn(target).count("\x1b[?25h") == 1, "the cursor comes back"


class Closing(io.StringIO):
    """A terminal that is closed after so many writes."""

    left = 0

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("writes", [0, 1, 5])
def test_a_terminal_that_was_closed_does_not_stop_the_crawl(writes: int) -> None:
    clock, stream = Clock(), Closing()
    stream.left = writes
    view = LiveView(console=Console(file=stream, width=100, force_terminal=True))
    view.note("start", "Crawling")
    view.watch(clock, lambda: SNAPSHOT)
    clock.pump([0.25] * 8)
    view.note("stopping", "Stopping")
    view.close()
    view.note("summary", "Done")
    assert not clock.getDelayedCalls()
    assert stream.left < 0


def test_json_lines_escape_what_a_terminal_would_act_upon() -> None:
    stream = io.StringIO()
    JsonLines(stream).note("failure", "http://a\x9b31m\x1b[2J\u202eb\x7fü")
    assert stream.getvalue().removesuffix("\n").isprintable()
    assert json.loads(stream.getvalue())["message"] == "http://a\x9b31m\x1b[2J\u202eb\x7fü"


def test_counts_are_ranked_and_cut() -> None:
    assert format_counts({"a": 1, "b": 3, "c": 0, "d": 1, "e": 1}, 2) == "b 3, a 1, 2 more"
    assert sparkline([0.0, 5.0, 10.0]) == "▁▅█"
    assert sparkline([0.0]) == "▁"


def test_text_from_the_web_is_cleaned() -> None:
    assert clean("a\x1b[2J\u202eb\nc\td") == "a\ufffd[2J\ufffdb c d"


STACK = """  File "/lib/twisted/internet/base.py", line 900, in mainLoop
    self.doIteration(t)
  File "/opt/site-packages/crawler/visit.py", line 120, in store
    slow()
  File "/lib/json/decoder.py", line 3, in decode
    pass
"""


def test_a_stall_is_told_with_our_innermost_line_and_not_too_often() -> None:
    clock, stream = Clock(), io.StringIO()
    stalls = Stalls(JsonLines(stream), clock.seconds, stacks=False)
    for _ in range(12):
        stalls(0.25, STACK)
        clock.advance(1)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["the reactor stalled for 250 ms in visit.py:120 store"] * 3
    assert (stalls.count, stalls.longest) == (12, 0.25)
    assert innermost_line("") == "code that was over before it could be seen"
