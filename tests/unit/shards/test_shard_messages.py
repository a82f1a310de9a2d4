"""Frames between conductor and shards: whatever the pieces in which they come."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from crawler.shards.messages import TO_SHARD, Delivery, Drain, FrameReader, Grant, frame
from crawler.shards.sums import EMPTY, sum_counters, sum_snapshots
from crawler.store.counters import Counters
from crawler.store.outbox import Parcel

MESSAGES = [Grant(7), Delivery(2, [Parcel(1, 0, True, '[1,"http://é.example/"]')]), Drain(0.0)]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
def test_frames_in_pieces(size: int) -> None:
    data = b"".join(map(frame, MESSAGES))
    reader = FrameReader()
    found = [TO_SHARD.decode(piece) for start in range(0, len(data), size) for piece in reader.feed(data[start : start + size])]
    assert found == MESSAGES


def test_figures_add_up_and_the_worst_lag_is_the_crawls() -> None:
    one = replace(EMPTY, queued=2, lag=0.5, outcomes={"fetched": 3}, waiting_hosts=[("a", 1.0, 0)])
    two = replace(EMPTY, queued=5, lag=0.1, outcomes={"fetched": 4, "failed": 1}, waiting_hosts=[("b", 2.0, 1)])
    both = sum_snapshots([one, two])
    assert (both.queued, both.lag, both.outcomes) == (7, 0.5, {"fetched": 7, "failed": 1})
    assert both.waiting_hosts == [("b", 2.0, 1), ("a", 1.0, 0)]
    counters = sum_counters([Counters(admitted=2, elapsed=3.0, refused={"x": 1}), Counters(admitted=1, elapsed=1.0, refused={"x": 1})])
    assert (counters.admitted, counters.elapsed, counters.refused) == (3, 3.0, {"x": 2})
