"""Hosts that cannot be reached: pauses that double, an end after ten in a row, and any answer as a fresh start."""

from __future__ import annotations

import pytest

from crawler.model import Fetched, FetchFailed, Reason
from crawler.policy.outage import FAILURES_UNTIL_DOWN, LONGEST_PAUSE, MOST_HOSTS, Outages


def failed(reason: Reason = Reason.CONNECT, detail: str = "connection refused") -> FetchFailed:
    return FetchFailed("http://a/", reason, detail, None, 0.0, 0.1)


ANSWER = Fetched("http://a/", 500, [], b"", "127.0.0.1", 0.0, 0.1)


def test_pauses_double_up_to_the_longest() -> None:
    outages = Outages(1.0)
    assert [outages.learn("a", failed()) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_host_is_given_up_after_enough_failures_in_a_row() -> None:
    outages = Outages(1.0)
    for number in range(FAILURES_UNTIL_DOWN):
        assert outages.given_up("a") is None, number
        outages.learn("a", failed(Reason.DNS, "no such name"))
    assert outages.given_up("a") == (Reason.HOST_DOWN, "10 failures in a row, the last: no such name")
    assert outages.given_up("b") is None


@pytest.mark.parametrize("answer", [ANSWER, failed(Reason.TIMEOUT), failed(Reason.TLS_HANDSHAKE), failed(Reason.BAD_HTTP)])
def test_whatever_shows_that_somebody_is_there_ends_the_row(answer: Fetched | FetchFailed) -> None:
    outages = Outages(1.0)
    for _ in range(FAILURES_UNTIL_DOWN - 1):
        outages.learn("a", failed())
    assert outages.learn("a", answer) == 0
    assert outages.learn("a", failed()) == 0  # the first of a new row
    assert outages.learn("a", failed()) == 1
    assert outages.given_up("a") is None


def test_hosts_are_counted_apart() -> None:
    outages = Outages(1.0)
    for _ in range(FAILURES_UNTIL_DOWN - 1):
        outages.learn("a", failed())
        outages.learn("b", failed())
    outages.learn("b", ANSWER)
    outages.learn("a", failed())
    outages.learn("b", failed())
    assert outages.given_up("a") is not None
    assert outages.given_up("b") is None


def test_the_detail_stays_short() -> None:
    outages = Outages(1.0)
    for _ in range(FAILURES_UNTIL_DOWN):
        outages.learn("a", failed(detail="x" * 5000))
    found = outages.given_up("a")
    assert found is not None
    assert len(found[1]) == 300


def test_what_is_remembered_is_bounded_and_the_latest_stay() -> None:
    outages = Outages(1.0)
    for number in range(MOST_HOSTS + 10):
        outages.learn(f"h{number}", failed())
    assert len(outages._failing) == MOST_HOSTS
    assert outages.learn("h0", failed()) == 0  # forgotten: the first of a new row
    assert outages.learn(f"h{MOST_HOSTS}", failed()) == 1


def test_an_answer_that_comes_late_does_not_bring_back_a_host_that_was_given_up() -> None:
    outages = Outages(1.0)
    for _ in range(FAILURES_UNTIL_DOWN):
        outages.learn("a", failed())
    outages.learn("a", ANSWER)
    assert outages.given_up("a") is not None
