"""What an answer means: exactly one outcome, with a reason when it is not ``fetched``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from msgspec import Struct

from crawler import url as urls
from crawler.model import Fetched, FetchFailed, Outcome, Reason

REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})
"""Statuses whose Location is followed (RFC 9110 section 15.4; 304, 305 and 306 redirect nowhere)."""

_OUTCOMES: Final = {
    Reason.CONTENT_TYPE: Outcome.SKIPPED,
    Reason.ADDRESS: Outcome.DENIED,
    Reason.ROBOTS: Outcome.DENIED,
    Reason.ROBOTS_UNREACHABLE: Outcome.DENIED,
}


class Classified(Struct, frozen=True):
    """The meaning of an answer. `redirect_to` is canonical and set for ``redirected`` alone."""

    outcome: Outcome
    reason: Reason | None = None
    detail: str | None = None
    redirect_to: str | None = None


_FETCHED: Final = Classified(Outcome.FETCHED)


def outcome_of(reason: Reason) -> Outcome:
    """Return the outcome of a URL that ends for `reason`: denied, skipped, else failed."""
    return _OUTCOMES.get(reason, Outcome.FAILED)


def classify(answer: Fetched | FetchFailed, *, conditional: bool = False) -> Classified:
    """Return what `answer` means. `conditional`: the request had a validator, so 304 is an answer to it."""
    if isinstance(answer, FetchFailed):
        return Classified(outcome_of(answer.reason), answer.reason, answer.detail)
    status = answer.status
    if 200 <= status <= 299:
        return _FETCHED
    if status in REDIRECTS:
        return _redirected(answer)
    if status == 304 and conditional:
        return Classified(Outcome.NOT_MODIFIED)
    return Classified(Outcome.FAILED, Reason.HTTP_ERROR, _describe(status))


def _redirected(answer: Fetched) -> Classified:
    location = (answer.header("location") or "").strip()
    if not location:
        return _bad_redirect(f"status {answer.status} without Location")
    target = urls.canonicalise(location, answer.url)
    if target is None:
        return _bad_redirect(f"Location is not an http URL: {location[:200]!r}")
    if target == answer.url:
        return _bad_redirect("redirects to itself")
    return Classified(Outcome.REDIRECTED, redirect_to=target)


def _bad_redirect(detail: str) -> Classified:
    return Classified(Outcome.FAILED, Reason.REDIRECT, detail)


def _describe(status: int) -> str:
    if status == 304:
        return "status 304 to a request without validator"
    try:
        return f"status {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
