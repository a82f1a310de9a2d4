"""Whether a failed fetch deserves another attempt, and how long the URL or its whole host is left alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

from crawler.config import FetchSettings
from crawler.model import Fetched, FetchFailed, Reason

RETRY_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504, 522, 524})
RETRY_REASONS: Final = frozenset({Reason.CONNECT, Reason.DNS, Reason.TIMEOUT, Reason.TRUNCATED, Reason.TLS_HANDSHAKE, Reason.TLS})
"""A server that is busy closes connections, in a TLS handshake too; a certificate will be the same in a second."""
LONGEST_BACK_OFF: Final = 60.0
"""Seconds; only Retry-After, or a `retry_delay` above it, asks for more."""

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MAX_DOUBLINGS: Final = 30
_MAX_HEADER: Final = 100  # characters; an HTTP-date has 29


class Retry(Struct, frozen=True):
    """Try again after `after` seconds; `whole_host`: its other URLs wait as long."""

    after: float
    whole_host: bool = False


def next_attempt(answer: Fetched | FetchFailed, attempts_made: int, settings: FetchSettings, wall_now: float) -> Retry | None:
    """Return when to try again, or None: this answer is final.

    `attempts_made` counts the fetch that `answer` belongs to, so it is 1 the first time. The wait doubles with each attempt
    and does not vary at random: the hosts' own queues keep the attempts apart. `wall_now`: seconds since the epoch.
    """
    if attempts_made > settings.retries or not _is_retryable(answer):
        return None
    doublings = min(max(attempts_made - 1, 0), _MAX_DOUBLINGS)
    back_off = min(settings.retry_delay * 2**doublings, max(LONGEST_BACK_OFF, settings.retry_delay))
    pause = host_pause(answer, wall_now, settings)
    return Retry(max(back_off, pause), whole_host=pause > 0)


def host_pause(answer: Fetched | FetchFailed, wall_now: float, settings: FetchSettings) -> float:
    """Return for how many seconds the answering host wants to be left alone; 0 when it does not say.

    Status 429 and 503 with Retry-After (RFC 9110 section 10.2.3) ask for it, up to `max_retry_after`; 429 without a usable
    Retry-After asks for `retry_delay`. It holds also when the page itself is out of attempts.
    """
    if answer.status not in (429, 503):
        return 0.0
    asked = retry_after([value for name, value in answer.headers if name == "retry-after"], wall_now)
    if asked is None:
        asked = settings.retry_delay if answer.status == 429 else 0.0
    return min(asked, settings.max_retry_after)


def retry_after(values: list[str], wall_now: float) -> float | None:
    """Return the longest valid wait, in seconds and not negative, that Retry-After headers ask for; None when none is valid."""
    waits = [wait for value in values if (wait := _parse_retry_after(value.strip(), wall_now)) is not None]
    return max(waits, default=None)


def _parse_retry_after(value: str, wall_now: float) -> float | None:
    if _SECONDS.fullmatch(value):
        return float(value)  # never raises: too many digits give infinity
    if len(value) > _MAX_HEADER:
        return None
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, (date - datetime.fromtimestamp(wall_now, UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _is_retryable(answer: Fetched | FetchFailed) -> bool:
    if isinstance(answer, FetchFailed):
        return answer.reason in RETRY_REASONS
    return answer.status in RETRY_STATUSES
