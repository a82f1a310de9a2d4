"""Figures of several shards as one crawl's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from crawler.model import Snapshot
from crawler.store.counters import Counters

_LARGEST: Final = frozenset(("elapsed", "lag", "lag_p99"))
"""Figures of which the worst shard's is the crawl's."""
_WAITING_SHOWN: Final = 10

EMPTY: Final = Snapshot(
    elapsed=0.0,
    state="running",
    queued=0,
    in_flight=0,
    parsing=0,
    storing=0,
    done=0,
    outcomes={},
    reasons={},
    refused={},
    bytes=0,
    pages_per_second=0.0,
    hosts=0,
    waiting_hosts=[],
    workers=0,
    worker_restarts=0,
    lag=0.0,
)


def sum_snapshots(snapshots: list[Snapshot]) -> Snapshot:
    """Return how the shards stand together; there is at least one."""
    first, *others = snapshots
    values = msgspec.structs.asdict(first)
    for other in others:
        for name, value in msgspec.structs.asdict(other).items():
            values[name] = _together(name, values[name], value)
    values["waiting_hosts"] = sorted(values["waiting_hosts"], key=lambda host: -host[1])[:_WAITING_SHOWN]
    return Snapshot(**values)


def sum_counters(counters: Iterable[Counters]) -> Counters:
    """Return the totals of all shards; the time is that of the shard that ran longest."""
    values = msgspec.structs.asdict(Counters())
    for other in counters:
        for name, value in msgspec.structs.asdict(other).items():
            values[name] = _together(name, values[name], value)
    return Counters(**values)


def _together(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *(key for key in other if key not in one))}
    if isinstance(one, str):
        return one
    return max(one, other) if name in _LARGEST else one + other
