"""The record of a visit: what is told of a URL, put together from its task, its answer and what was found in its page."""

from __future__ import annotations

from crawler.config import StoreSettings
from crawler.model import Extras, Fetched, FetchFailed, Parsed, Record, Task, joined_headers, media_type, timestamp
from crawler.policy.status import Classified


def make_record(
    task: Task,
    classified: Classified,
    *,
    answer: Fetched | FetchFailed | None,
    parsed: Parsed | None,
    robots: list[str],
    wall: float,
) -> Record:
    """Return the record of `task`; `wall` (seconds since the epoch) is its time where nothing was asked for."""
    started = answer.started_at if answer is not None else wall
    parsed_ok = parsed if parsed is not None and parsed.reason is None else None
    return Record(
        url=task.url,
        outcome=classified.outcome,
        reason=classified.reason,
        detail=classified.detail or (parsed_ok.remarks() if parsed_ok else None),
        status=answer.status if answer is not None else None,
        fetched_at=timestamp(started),
        elapsed_ms=round(answer.elapsed * 1000) if answer is not None else None,
        depth=task.depth,
        via=task.via,
        referrer=task.referrer,
        redirect_to=classified.redirect_to,
        ip=answer.ip if answer is not None else None,
        content_type=media_type(answer.headers) if answer is not None else None,
        charset=parsed_ok.charset if parsed_ok else None,
        bytes=parsed_ok.bytes if parsed_ok else None,
        digest=parsed_ok.digest if parsed_ok else None,
        title=parsed_ok.title if parsed_ok else None,
        description=parsed_ok.description if parsed_ok else None,
        language=parsed_ok.language if parsed_ok else None,
        canonical=parsed_ok.canonical if parsed_ok else None,
        robots=robots,
        attempts=task.attempts + (answer is not None),
    )


def has_extras(settings: StoreSettings) -> bool:
    """Say whether records carry more than every record does."""
    return settings.record_headers or settings.record_links or settings.record_anchors or settings.simhash or settings.text != "off"


def with_extras(
    record: Record, settings: StoreSettings, answer: Fetched | FetchFailed | None, parsed: Parsed | None, extras: Extras | None
) -> Record:
    """Return `record` with what the settings ask for beyond what every record carries."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    if settings.record_headers and answer is not None:
        values["headers"] = joined_headers(answer.headers)
    if settings.record_links and parsed is not None:
        needed = extras.requisites if extras is not None else []
        values["links"] = list(dict.fromkeys(link.url for link in [*parsed.links, *needed]))
    if extras is not None:
        values["text"] = extras.text
        values["simhash"] = None if extras.simhash is None else f"{extras.simhash:016x}"
        if settings.record_anchors:
            values["anchors"], values["fragments"] = extras.anchors, extras.fragments
    return Record(**values)
