from __future__ import annotations

import pytest

from crawler.model import Fetched, FetchFailed, Outcome, Reason
from crawler.policy.status import classify, outcome_of

URL = "http://h.test/a/b"


def answer(status: int, *headers: tuple[str, str]) -> Fetched:
    return Fetched(URL, status, list(headers), b"", None, 0.0, 0.0)


@pytest.mark.parametrize("status", [200, 201, 203, 204, 206, 299])
def test_success(status: int) -> None:
    assert classify(answer(status)).outcome is Outcome.FETCHED


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (404, "status 404 Not Found"),
        (410, "status 410 Gone"),
        (500, "status 500 Internal Server Error"),
        (999, "status 999"),
        (0, "status 0"),
        (101, "status 101 Switching Protocols"),
        (304, "status 304 to a request without validator"),
        (305, "status 305 Use Proxy"),
        (399, "status 399"),
    ],
)
def test_http_error(status: int, phrase: str) -> None:
    meant = classify(answer(status, ("location", "/elsewhere")))
    assert (meant.outcome, meant.reason, meant.detail, meant.redirect_to) == (Outcome.FAILED, Reason.HTTP_ERROR, phrase, None)


def test_not_modified_needs_a_validator() -> None:
    assert classify(answer(304), conditional=True).outcome is Outcome.NOT_MODIFIED


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("http://other.test/x#frag", "http://other.test/x"),
        ("c", "http://h.test/a/c"),
        ("/c d", "http://h.test/c%20d"),
        ("//Other.TEST", "http://other.test/"),
        ("?q=1", "http://h.test/a/b?q=1"),
        ("  /c\t", "http://h.test/c"),
        ("https:\\\\other.test\\x", "https://other.test/x"),
    ],
)
def test_redirected(status: int, location: str, target: str) -> None:
    meant = classify(answer(status, ("location", location)))
    assert (meant.outcome, meant.reason, meant.redirect_to) == (Outcome.REDIRECTED, None, target)


@pytest.mark.parametrize(
    "location", ["", "  ", "javascript:alert(1)", "file:///etc/passwd", "http://", "http://[x/", "#top", "/a/b", "http://h.test:80/a/./b"]
)
def test_redirect_without_usable_target(location: str) -> None:
    meant = classify(answer(302, ("location", location)))
    assert (meant.outcome, meant.reason, meant.redirect_to) == (Outcome.FAILED, Reason.REDIRECT, None)
    assert meant.detail


def test_redirect_without_location() -> None:
    meant = classify(answer(301))
    assert (meant.outcome, meant.reason, meant.detail) == (Outcome.FAILED, Reason.REDIRECT, "status 301 without Location")


@pytest.mark.parametrize("reason", list(Reason))
def test_failures_keep_their_reason(reason: Reason) -> None:
    meant = classify(FetchFailed(URL, reason, "why", None, 0.0, 0.0, status=200))
    assert (meant.reason, meant.detail) == (reason, "why")
    denied = {Reason.ADDRESS, Reason.ROBOTS, Reason.ROBOTS_UNREACHABLE}
    expected = Outcome.DENIED if reason in denied else Outcome.SKIPPED if reason is Reason.CONTENT_TYPE else Outcome.FAILED
    assert meant.outcome is expected
    assert outcome_of(reason) is expected
