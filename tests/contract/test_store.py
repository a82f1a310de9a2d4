"""The home and its writer with real files, threads, processes: durable before acknowledged, whole or not at all, repaired on reopening."""

from __future__ import annotations

import contextlib
import json
import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from open_store import Store, ended, found, record, store
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from crawler.errors import CrawlError, StoreError
from crawler.store.home import is_locked
from crawler.store.operations import Admission, HostPause, Postponement, Refill, StateChange
from crawler.store.outputs import JsonLines, StreamOutput
from crawler.store.reader import HomeReader
from crawler.store.refused import Refusal
from crawler.url import fingerprint

START = (-(1 << 62), 0)


def lines(path: Path) -> list[str]:
    return [json.loads(line)["url"] for line in path.read_bytes().splitlines()]


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes of any file fail, as those on a full disk do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- commits ---------------------------------------------------------------------------------------------------------


async def test_what_is_acknowledged_is_in_files_and_database(tmp_path: Path) -> None:
    async with store(tmp_path / "h", [tmp_path / "o.jsonl", tmp_path / "o.csv"]) as one:
        (task,) = await one.admit(1)
        await one.finish(task, links=[2, 3], title="T")
        reader = HomeReader(tmp_path / "h")
        assert [found.url for found in reader.records()] == ["http://a/1"]
        assert (reader.status().queued, reader.status().counters.outcomes, reader.status().counters.bytes) == (2, {"fetched": 1}, 10)
        assert reader.known("http://a/1").record == record("http://a/1", title="T")
        assert reader.known("http://a/2").state == "queued"
        assert {path: (tmp_path / path).stat().st_size for path in ("o.jsonl", "o.csv")} == {
            Path(path).name: length for path, length in reader.status().outputs.items()
        }
        reader.close()
        assert lines(tmp_path / "o.jsonl") == lines(tmp_path / "h" / "records.jsonl") == ["http://a/1"]
        assert [task.url for task in one.committed[-1].tasks] == ["http://a/2", "http://a/3"]


async def test_operations_are_acknowledged_in_order_after_what_they_brought(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_pages=3) as one:
        heard: list[object] = []
        one.writer.on_committed = lambda committed: heard.append(len(committed.tasks))
        waiting = [one.writer.submit(Admission([found(number)], [])) for number in range(7)]
        for number, done in enumerate(waiting):
            done.addCallback(lambda _, number=number: heard.append(f"ack {number}"))
        one.writer.hurry()
        await gatherResults(waiting)
        assert heard == [3, "ack 0", "ack 1", "ack 2", 3, "ack 3", "ack 4", "ack 5", 1, "ack 6"]
        assert one.writer.backlog == 0


async def test_a_batch_waits_for_more_until_it_is_full_or_its_time_is_up(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=0.3, commit_pages=1000) as one:
        started = time.monotonic()
        first = one.writer.submit(Admission([found(1)], []))
        second: Deferred[Any] = Deferred()
        reactor.callLater(0.05, lambda: one.writer.submit(Admission([found(2)], [])).chainDeferred(second))
        await gatherResults([first, second])
        assert 0.25 < time.monotonic() - started < 1.5
        assert len(one.committed) == 1


async def test_a_url_whose_fingerprint_another_one_has_is_known_with_its_attempts(tmp_path: Path) -> None:
    second = found(2)
    first = msgspec.structs.replace(found(1), key=second.key)
    async with store(tmp_path / "h") as one:
        done = one.writer.submit(Admission([first, second], []))
        one.writer.hurry()
        await done
        tasks = {task.url: task for task in one.committed[-1].tasks}
        assert tasks[second.url].key != second.key
        again = one.writer.submit(Postponement(tasks[second.url], 2, 0.0))
        one.writer.hurry()
        await again
        reader = HomeReader(tmp_path / "h")
        assert [(reader.known(one.url).state, reader.known(one.url).attempts) for one in (first, second)] == [
            ("unknown", None),
            ("queued", 2),
        ]
        reader.close()


async def test_a_hurry_commits_at_once(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=30.0) as one:
        started = time.monotonic()
        await one.admit(1)
        assert time.monotonic() - started < 5


async def test_reads_do_not_wait_for_a_batch(tmp_path: Path) -> None:
    async with store(tmp_path / "h", commit_interval=30.0) as one:
        tasks = await one.admit(1, 2, 3)
        heard: list[str] = []
        write = one.writer.submit(ended(tasks[0]))
        write.addCallback(lambda _: heard.append("write"))
        read = one.writer.submit(Refill("a", START, 2))
        rows, complete = await read
        assert heard == []
        assert ([task for task, _ in rows], complete) == (tasks[:2], False)
        one.writer.hurry()
        await write
        rows, complete = await one.writer.submit(Refill("a", START, 9))
        assert ([task for task, _ in rows], complete) == (tasks[1:], True)


async def test_closing_commits_what_is_queued_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    one = Store(tmp_path / "h", commit_interval=30.0)
    done = one.writer.submit(Admission([found(1)], []))
    assert is_locked(tmp_path / "h") is not None
    await one.writer.close()
    assert done.called
    assert is_locked(tmp_path / "h") is None
    one.writer._thread.join(5)
    assert not one.writer._thread.is_alive()
    async with store(tmp_path / "h") as again:
        rows, _ = await again.writer.submit(Refill("a", START, 9))
        assert [task.url for task, _ in rows] == ["http://a/1"]


async def test_every_kind_of_operation_survives_a_reopening(tmp_path: Path) -> None:
    async with store(tmp_path / "h") as one:
        first, second = await one.admit(1, 2)
        refusal = Refusal(fingerprint("http://b/"), "http://b/", "scope:host", "http://a/1")
        operations = [
            Postponement(first, 1, 777.0),
            HostPause("a", 888.0),
            StateChange("stopped", "signal", 1.5),
            Admission([], [refusal, refusal], "http://a", b"{}"),
        ]
        done = gatherResults([one.writer.submit(operation) for operation in operations])
        one.writer.hurry()
        await done
    reader = HomeReader(tmp_path / "h")
    status, known = reader.status(), reader.known("http://b/")
    assert (status.state, status.counters.elapsed, status.counters.retries) == ("stopped", 1.5, 1)
    assert (known.state, known.rule, known.referrer) == ("refused", "scope:host", "http://a/1")
    assert status.counters.refused["scope:host"] == 1  # the same link twice is one
    assert (reader.robots("http://a"), reader.known("http://c/").state) == (b"{}", "unknown")
    reader.close()
    async with store(tmp_path / "h") as again:
        assert again.home.resumed
        rows, _ = await again.writer.submit(Refill("a", START, 9))
        assert rows == [(first.postponed(1), 777.0), (second, 0)]


async def test_lines_stream_out_after_their_commit(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    one = Store(tmp_path / "h")

    def write(data: bytes) -> None:
        with sqlite3.connect(tmp_path / "h" / "crawl.sqlite") as other:
            done = other.execute("SELECT count(*) FROM done").fetchone()[0]
        other.close()
        seen.append((json.loads(data)["url"], done))

    one.writer.streams.append(StreamOutput(JsonLines(), write))
    (task,) = await one.admit(1)
    await one.finish(task)
    await one.writer.close()
    assert seen == [("http://a/1", 1)]


async def test_a_reader_that_has_gone_ends_the_crawl_but_loses_nothing(tmp_path: Path) -> None:
    def write(_: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    async with store(tmp_path / "h") as one:
        one.writer.streams.append(StreamOutput(JsonLines(), write))
        (task,) = await one.admit(1)
        with pytest.raises(StoreError, match="standard output: Broken pipe"):
            await unpacked(one.finish(task))
    assert lines(tmp_path / "h" / "records.jsonl") == ["http://a/1"]
    async with store(tmp_path / "h") as again:
        assert (await again.writer.submit(Refill("a", START, 9)))[0] == []


async def unpacked(awaitable: Any) -> None:
    """Await a gatherResults and raise the error inside."""
    try:
        await awaitable
    except Exception as error:
        raise getattr(error, "subFailure", None).value if hasattr(error, "subFailure") else error from None


# -- a full disk, and faults of ours ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["records.jsonl", "crawl.sqlite-wal"])
async def test_a_full_disk_refuses_the_batch_whole(tmp_path: Path, what: str) -> None:
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as one:
        tasks = await one.admit(*range(1, 9))
        await one.finish(*tasks[:2], title="x" * (100_000 if what == "records.jsonl" else 10))
        before = one.writer.counters.copy()
        with no_file_above((tmp_path / "h" / what).stat().st_size + 50):
            with pytest.raises(StoreError, match=str(tmp_path)):
                await unpacked(one.finish(*tasks[2:5], title="y" * (1000 if what == "records.jsonl" else 1)))
            with pytest.raises(StoreError):
                await unpacked(one.finish(tasks[5]))  # whatever comes after it is refused, too
        with pytest.raises(StoreError):
            await unpacked(one.finish(tasks[6]))
        assert one.writer.counters == before
        assert one.writer.backlog == 0
    reader = HomeReader(tmp_path / "h")
    assert [found.url for found in reader.records()] == [task.url for task in tasks[:2]]
    assert reader.status().queued == 6
    reader.close()
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as again:
        rows, _ = await again.writer.submit(Refill("a", START, 99))
        assert [task for task, _ in rows] == tasks[2:]
        await again.finish(*tasks[2:])
    expected = [task.url for task in tasks]
    assert lines(tmp_path / "h" / "records.jsonl") == lines(tmp_path / "o.jsonl") == expected


async def test_a_fault_of_ours_is_told_and_stops_nothing_else(tmp_path: Path) -> None:
    class Faulty(JsonLines):
        def encode(self, records: Any) -> bytes:
            raise ValueError("a bug")

    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as one:
        (task,) = await one.admit(1)
        one.home.outputs[0].encoder = Faulty()
        with pytest.raises(CrawlError, match="internal error while storing: ValueError"):
            await unpacked(one.finish(task))
        one.writer.submit(StateChange("stopped")).addErrback(lambda failure: failure.trap(CrawlError) and None)
    async with store(tmp_path / "h", [tmp_path / "o.jsonl"]) as again:
        assert [task for task, _ in (await again.writer.submit(Refill("a", START, 9)))[0]] == [task]
    assert (tmp_path / "o.jsonl").read_bytes() == b""
