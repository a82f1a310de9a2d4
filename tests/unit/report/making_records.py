"""Records made by hand."""

from __future__ import annotations

import hashlib
from typing import Any

from crawler.model import Outcome, Reason, Record, Via

ORIGIN = "http://h.test"


def record(path: str, **given: Any) -> Record:
    """Return a record of a fetched page, with what is `given` in place of the usual."""
    usual: dict[str, Any] = dict.fromkeys(Record.__struct_fields__)
    body = str(given.pop("body", path)).encode()
    usual |= {
        "url": f"{ORIGIN}{path}",
        "outcome": Outcome.FETCHED,
        "status": 200,
        "fetched_at": "2026-01-02T03:04:05.678Z",
        "elapsed_ms": 10,
        "depth": 1,
        "via": Via.LINK,
        "content_type": "text/html",
        "charset": "utf-8",
        "bytes": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        "robots": [],
        "attempts": 1,
    }
    return Record(**{**usual, **given})


def failed(path: str, reason: Reason = Reason.HTTP_ERROR, **given: Any) -> Record:
    """Return a record of a URL that failed."""
    usual = {"outcome": Outcome.FAILED, "reason": reason, "status": 404, "detail": "status 404 Not Found", "bytes": None, "digest": None}
    return record(path, **{**usual, **given})


def redirected(path: str, target: str, **given: Any) -> Record:
    """Return a record of a redirect."""
    usual = {"outcome": Outcome.REDIRECTED, "status": 301, "redirect_to": f"{ORIGIN}{target}", "bytes": None, "digest": None}
    return record(path, **{**usual, **given})


def urls(*paths: str) -> list[str]:
    """Return paths as URLs of the host that `record` knows."""
    return [f"{ORIGIN}{path}" for path in paths]
