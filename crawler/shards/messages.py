"""What the conductor and the shards say to each other: length-prefixed msgpack, decoded into typed structs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from crawler.job import Job
from crawler.model import Result, Snapshot
from crawler.store.outbox import Parcel

_PREFIX: Final = 4  # bytes of a frame's length, big-endian


class Begin(Struct, frozen=True, tag=True):
    """To a shard, first: open your home. The job's budgets are the conductor's; its concurrency and workers are this shard's share."""

    job: Job
    folder: str
    number: int
    processes: int
    verbosity: int


class Ready(Struct, frozen=True, tag=True):
    """From a shard: the home is open and holds so many pages already."""

    pages: int


class Start(Struct, frozen=True, tag=True):
    """To a shard, when all are ready: crawl. `pages` is how many more may be fetched; None: any number."""

    pages: int | None


class Handing(Struct, frozen=True, tag=True):
    """From a shard: rows of its outbox, all for shard `target`."""

    target: int
    parcels: list[Parcel]


class Delivery(Struct, frozen=True, tag=True):
    """To a shard: the same rows, as they come from shard `sender`."""

    sender: int
    parcels: list[Parcel]


class Taken(Struct, frozen=True, tag=True):
    """From a shard: rows of `sender`'s outbox are durable here."""

    sender: int
    numbers: list[int]


class Delivered(Struct, frozen=True, tag=True):
    """To a shard: these rows of its outbox have been taken."""

    numbers: list[int]


class Quiet(Struct, frozen=True, tag=True):
    """From a shard: nothing left to do, after `heard` messages. `starved`: for want of pages; else `spare` pages are given back."""

    heard: int
    starved: bool
    spare: int


class Grant(Struct, frozen=True, tag=True):
    """To a shard: so many more pages may be fetched."""

    pages: int


class Recall(Struct, frozen=True, tag=True):
    """To a shard: give back what you can do without; another one starves."""


class Spare(Struct, frozen=True, tag=True):
    """From a shard: so many pages are given back."""

    pages: int


class Finish(Struct, frozen=True, tag=True):
    """To a shard: it is over everywhere."""


class Drain(Struct, frozen=True, tag=True):
    """To a shard: stop within `timeout` seconds; 0: at once."""

    timeout: float


class Progress(Struct, frozen=True, tag=True):
    """From a shard: how it stands."""

    snapshot: Snapshot


class Note(Struct, frozen=True, tag=True):
    """From a shard: news for the user, as in `cli.report.Report.note`."""

    event: str
    message: str
    fields: dict[str, Any]


class Ended(Struct, frozen=True, tag=True):
    """From a shard, last: its result, or the error that ended it."""

    result: Result | None
    error: str = ""
    exit_code: int = 0


FromShard = Ready | Handing | Taken | Quiet | Spare | Progress | Note | Ended
ToShard = Begin | Start | Delivery | Delivered | Grant | Recall | Finish | Drain

_ENCODER: Final = msgspec.msgpack.Encoder()
FROM_SHARD: Final = msgspec.msgpack.Decoder(FromShard)
TO_SHARD: Final = msgspec.msgpack.Decoder(ToShard)


def frame(message: FromShard | ToShard) -> bytes:
    """Return a message as it is sent."""
    data = _ENCODER.encode(message)
    return len(data).to_bytes(_PREFIX, "big") + data


class FrameReader:
    """Cuts a stream into the frames that came whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in bytes; yield each frame that is complete, without its prefix."""
        held = self._held
        held += data
        start = 0
        while len(held) - start >= _PREFIX:
            end = start + _PREFIX + int.from_bytes(held[start : start + _PREFIX], "big")
            if len(held) < end:
                break
            yield bytes(held[start + _PREFIX : end])
            start = end
        del held[:start]
