from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import FetchSettings
from crawler.model import Fetched, FetchFailed, Reason
from crawler.policy.retry import Retry, host_pause, next_attempt, retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
SETTINGS = FetchSettings(retries=3, retry_delay=1.0, max_retry_after=3600.0)


def answer(status: int, *retry_after_values: str) -> Fetched:
    return Fetched("http://h.test/", status, [("retry-after", value) for value in retry_after_values], b"", None, 0.0, 0.0)


def failure(reason: Reason) -> FetchFailed:
    return FetchFailed("http://h.test/", reason, "", None, 0.0, 0.0)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522, 524])
def test_retryable_statuses(status: int) -> None:
    assert next_attempt(answer(status), 1, SETTINGS, NOW) is not None


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 410, 451, 501, 505, 521, 999])
def test_final_statuses(status: int) -> None:
    assert next_attempt(answer(status, "5"), 1, SETTINGS, NOW) is None


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons(reason: Reason) -> None:
    retryable = {Reason.CONNECT, Reason.DNS, Reason.TIMEOUT, Reason.TRUNCATED, Reason.TLS_HANDSHAKE, Reason.TLS}
    assert (next_attempt(failure(reason), 1, SETTINGS, NOW) is not None) == (reason in retryable)


@pytest.mark.parametrize(("attempts", "wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, None)])
def test_back_off_doubles_until_the_attempts_are_used_up(attempts: int, wait: float | None) -> None:
    again = next_attempt(failure(Reason.TIMEOUT), attempts, SETTINGS, NOW)
    assert again == (Retry(wait) if wait is not None else None)


@pytest.mark.parametrize(
    ("delay", "attempts", "wait"), [(1.0, 7, 60.0), (1.0, 90_000, 60.0), (100.0, 1, 100.0), (100.0, 5, 100.0), (0.25, 3, 1.0)]
)
def test_back_off_is_capped(delay: float, attempts: int, wait: float) -> None:
    settings = FetchSettings(retries=100_000, retry_delay=delay)
    assert next_attempt(failure(Reason.CONNECT), attempts, settings, NOW) == Retry(wait)


def test_no_retries() -> None:
    assert next_attempt(failure(Reason.CONNECT), 1, FetchSettings(retries=0), NOW) is None


@pytest.mark.parametrize(
    ("values", "wait"),
    [
        (["30"], 30.0),
        ([" 30 "], 30.0),
        (["0"], 0.0),
        (["1.5"], 1.5),
        (["1e9"], None),
        (["1000000000"], 1e9),
        (["9" * 5000], float("inf")),
        (["-1"], None),
        ([""], None),
        (["soon"], None),
        (["٣"], None),  # a digit, but not one of HTTP's
        (["Wed, 21 Oct 2015 07:28:30 GMT"], 30.0),
        (["Wednesday, 21-Oct-15 07:28:30 GMT"], 30.0),
        (["Wed Oct 21 07:28:30 2015"], 30.0),
        (["Wed, 21 Oct 2015 07:28:00 GMT"], 0.0),
        (["Wed, 21 Oct 2015 07:00:00 GMT"], 0.0),  # past
        (["Wed, 21 Oct 2015 09:28:30 +0200"], 30.0),
        (["Wed, 99 Oct 2015 07:28:30 GMT"], None),
        (["10", "20"], 20.0),
        (["junk", "20"], 20.0),
        ([], None),
    ],
)
def test_retry_after(values: list[str], wait: float | None) -> None:
    assert retry_after(values, NOW) == wait


@pytest.mark.parametrize(
    ("got", "pause"),
    [
        (answer(429, "30"), 30.0),
        (answer(503, "30"), 30.0),
        (answer(503, "1000000000"), 3600.0),
        (answer(503, "9" * 400), 3600.0),
        (answer(503, "Fri, 31 Dec 9999 23:59:59 GMT"), 3600.0),
        (answer(503), 0.0),
        (answer(503, "junk"), 0.0),
        (answer(429), 1.0),
        (answer(429, "junk"), 1.0),
        (answer(429, "0"), 0.0),
        (answer(500, "30"), 0.0),
        (answer(200, "30"), 0.0),
        (failure(Reason.TIMEOUT), 0.0),
        (FetchFailed("http://h.test/", Reason.TRUNCATED, "", None, 0.0, 0.0, 503, [("retry-after", "7")]), 7.0),
    ],
)
def test_host_pause(got: Fetched | FetchFailed, pause: float) -> None:
    assert host_pause(got, NOW, SETTINGS) == pause


def test_the_longer_of_back_off_and_retry_after_counts() -> None:
    assert next_attempt(answer(503, "30"), 1, SETTINGS, NOW) == Retry(30.0, whole_host=True)
    assert next_attempt(answer(503, "1"), 3, SETTINGS, NOW) == Retry(4.0, whole_host=True)
    assert next_attempt(answer(503), 1, SETTINGS, NOW) == Retry(1.0)
    assert next_attempt(answer(429), 1, SETTINGS, NOW) == Retry(1.0, whole_host=True)


def test_the_host_waits_also_when_the_page_is_given_up() -> None:
    assert next_attempt(answer(429, "30"), 4, SETTINGS, NOW) is None
    assert host_pause(answer(429, "30"), NOW, SETTINGS) == 30.0


@given(st.lists(st.text() | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,6} \d+:\d+:\d+ [-+\w]{0,6}"), max_size=3))
def test_any_garbage_is_a_bounded_wait(values: list[str]) -> None:
    assert 0.0 <= host_pause(answer(503, *values), NOW, SETTINGS) <= SETTINGS.max_retry_after
