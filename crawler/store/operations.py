"""What is submitted to the writer: each operation is durable as a whole or not at all."""

from __future__ import annotations

from msgspec import Struct

from crawler.frontier.sqlite import Candidate
from crawler.frontier.window import Place
from crawler.model import Extras, Fetched, FetchFailed, Record, Task
from crawler.store.outbox import Arrival, Aside
from crawler.store.refused import Refusal


class Completion(Struct, frozen=True):
    """The end of a URL: its outcome, its record, the links it brought. One transaction holds all of it."""

    task: Task
    record: Record
    candidates: list[Candidate]
    refused: list[Refusal]
    scope_grew: bool = False  # its target is a redirect that extended the scope
    extras: Extras | None = None  # items among them
    answer: Fetched | FetchFailed | None = None  # for the archive


class Postponement(Struct, frozen=True):
    """A URL that will be tried again: attempts made, and the wall time before which it waits."""

    task: Task
    attempts: int
    not_before: float


class Admission(Struct, frozen=True):
    """Links that come from no page: seeds, or the sitemaps of a robots.txt, whose entry is kept in the same transaction."""

    candidates: list[Candidate]
    refused: list[Refusal]
    origin: str = ""
    robots: bytes = b""  # JSON of policy.robots.RobotsEntry


class HostPause(Struct, frozen=True):
    """A host asked for rest until a wall time."""

    host: str
    until: float


class StateChange(Struct, frozen=True):
    """The crawl's own state: ``running``, ``stopped``, ``finished``; why; and seconds of this run to be added to the total."""

    state: str
    why: str = ""
    elapsed: float = 0.0


class Refill(Struct, frozen=True):
    """A read: what the queue of `host` holds beyond `after`."""

    host: str
    after: Place
    limit: int


Operation = Completion | Postponement | Admission | Arrival | HostPause | StateChange | Refill | Aside
