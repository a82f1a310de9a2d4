"""What a job asks of pages beyond links and metadata, as the parse workers are told."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred

from crawler.job import Job
from crawler.model import Fetched, FetchFailed, Parsed
from crawler.parse.frames import ToArchive, ToParse, Wanted
from crawler.parse.pool import Parse


def wanted_of(job: Job) -> Wanted | None:
    """Return what the parse workers are to gather for `job`; None: links and metadata alone."""
    store, scope = job.settings.store, job.settings.scope
    wanted = Wanted(
        archive=store.archive,
        text=store.text,
        extractor=store.extractor,
        simhash=store.simhash or scope.near_duplicates == "skip",
        anchors=store.record_anchors,
        requisites=scope.requisites,
        extraction=msgspec.json.encode(job.extraction) if job.extraction else b"",
    )
    return None if wanted == Wanted() else wanted


def to_archive(answer: Fetched | FetchFailed) -> ToArchive | None:
    """Return what an archive keeps of an exchange beside its body, or None when no head of an answer arrived."""
    if answer.exchange is None:
        return None
    return ToArchive(answer.ip, answer.started_at, answer.exchange, None if isinstance(answer, Fetched) else answer.reason)


def archiving(parse: Parse) -> Parse:
    """Return `parse` for an archive that holds every answer: that of a page which no worker survives is made into records alone."""

    def parse_or_archive(page: ToParse, *, doubtful: bool = False) -> Deferred[Parsed]:
        parsed = parse(page, doubtful=doubtful)
        return parsed if page.exchange is None or page.archive_only else parsed.addCallback(archive_unparsed, page, doubtful)

    def archive_unparsed(parsed: Parsed, page: ToParse, doubtful: bool) -> Parsed | Deferred[Parsed]:
        if parsed.reason is None or (parsed.extras is not None and parsed.extras.archived is not None):
            return parsed
        records = parse(replace(page, archive_only=True), doubtful=doubtful)
        return records.addCallback(lambda archived: replace(parsed, extras=archived.extras))

    return parse_or_archive
