"""What a job asks of pages beyond links and metadata, as the parse workers are told."""

from __future__ import annotations

import msgspec

from crawler.job import Job
from crawler.model import Fetched, FetchFailed
from crawler.parse.frames import ToArchive, Wanted


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
