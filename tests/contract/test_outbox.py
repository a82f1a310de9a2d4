"""What belongs to other processes: kept in the transaction that found it, read in order, forgotten when it was taken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.frontier.sqlite import Candidate
from crawler.model import Kind, Via
from crawler.store.outbox import Arrival, Outbox, hands_on, owner_of, stored_extensions
from crawler.store.schema import connect
from crawler.url import fingerprint, host

OURS, THEIRS, THIRD = (next(f"http://h{n}.example/" for n in range(99) if owner_of(f"h{n}.example", 3) == number) for number in range(3))


def link(url: str, via: Via = Via.LINK, depth: int = 1) -> Candidate:
    return Candidate(fingerprint(url), url, host(url), Kind.PAGE, via, depth, 0, "http://from.example/é")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "crawl.sqlite", create=True)
    yield connection
    connection.close()


def test_owners_are_the_same_for_ever() -> None:
    assert [owner_of(name, 4) for name in ("example.com", "example.org", "127.0.0.1", "xn--bcher-kva.example")] == [3, 1, 0, 2]


def test_ours_stays_and_the_rest_waits_in_order(database: sqlite3.Connection) -> None:
    outbox = Outbox(database, 0, 3)
    found = [link(OURS), link(THEIRS), link(THIRD), link(THEIRS + "2"), link(THEIRS)]
    assert outbox.divert(found) == [link(OURS)]
    parcels = outbox.read(0, 10)
    assert [(parcel.target, parcel.candidate()) for parcel in parcels] == [(1, link(THEIRS)), (2, link(THIRD)), (1, link(THEIRS + "2"))]
    assert outbox.read(parcels[0].id, 1) == parcels[1:2]
    assert hands_on(database, THEIRS)
    assert not hands_on(database, OURS)
    outbox.forget([parcel.id for parcel in parcels])
    assert outbox.read(0, 10) == []
    outbox.divert([link(THEIRS + "3")])
    assert outbox.read(parcels[-1].id, 10)[0].candidate() == link(THEIRS + "3"), "a number was given twice"


def test_nothing_of_a_transaction_that_failed(database: sqlite3.Connection) -> None:
    outbox = Outbox(database, 0, 3)
    database.execute("BEGIN IMMEDIATE")
    outbox.divert([link(THEIRS)])
    database.execute("ROLLBACK")
    assert Outbox(database, 0, 3).read(0, 10) == []


def test_what_extends_the_scope_goes_to_all(database: sqlite3.Connection) -> None:
    outbox = Outbox(database, 0, 3)
    outbox.is_seed = {OURS, THEIRS}.__contains__
    sent_on = [link(OURS, Via.REDIRECT, 0), link(THEIRS, Via.REDIRECT, 0), link(THIRD, Via.REDIRECT, 0), link(OURS + "x", Via.REDIRECT, 1)]
    assert [candidate.url for candidate in outbox.divert(sent_on)] == [OURS, OURS + "x"]
    assert sorted((parcel.target, parcel.extends, parcel.candidate().url) for parcel in outbox.read(0, 10)) == sorted(
        [(1, True, OURS), (2, True, OURS), (1, True, THEIRS), (2, True, THEIRS), (2, False, THIRD)]
    )
    assert sorted(outbox.extensions()) == sorted([OURS, THEIRS])


def test_arrivals_are_taken_as_they_are(database: sqlite3.Connection) -> None:
    outbox = Outbox(database, 0, 3)
    assert outbox.take_in([Arrival([link(OURS)], [THIRD], True), "another operation"]) == [link(OURS)]
    assert stored_extensions(database) == [THIRD]
    assert outbox.read(0, 10) == []
