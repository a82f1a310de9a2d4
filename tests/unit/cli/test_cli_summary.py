from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from crawler.cli.summary import Summary
from crawler.config import load
from crawler.errors import Exit
from crawler.job import make_job
from crawler.model import Result, Snapshot

EMPTY: dict[str, Any] = {
    "elapsed": 4.0,
    "state": "finished",
    "queued": 0,
    "in_flight": 0,
    "parsing": 0,
    "storing": 0,
    "done": 0,
    "outcomes": {},
    "reasons": {},
    "refused": {},
    "bytes": 0,
    "pages_per_second": 0.0,
    "hosts": 0,
    "waiting_hosts": [],
    "workers": 2,
    "worker_restarts": 0,
    "lag": 0.0,
}


def summary(
    state: str = "finished",
    why: str = "done",
    max_failures: int | None = None,
    pages_before: int = 0,
    outputs: tuple[str, ...] = ("a.csv", "-"),
    **fields: Any,
) -> Summary:
    outcomes = fields.get("outcomes", {})
    snapshot = msgspec.convert({**EMPTY, **fields, "done": sum(outcomes.values())}, Snapshot)
    job = make_job(["https://example.com/"], load(flags={"scope.max_pages": 10}).settings)
    result = Result(state, why, snapshot, outcomes.get("fetched", 0), outcomes.get("failed", 0))
    return Summary(result, job, "my home", outputs=list(outputs), pages_before=pages_before, max_failures=max_failures)


@pytest.mark.parametrize(
    ("state", "why", "outcomes", "max_failures", "code"),
    [
        ("finished", "done", {"fetched": 5}, None, Exit.FINISHED),
        ("finished", "max_pages", {"fetched": 5}, None, Exit.FINISHED),
        ("stopped", "max_time", {"fetched": 5}, None, Exit.FINISHED),
        ("stopped", "signal", {"fetched": 5}, None, Exit.INTERRUPTED),
        ("stopped", "signal", {}, 0, Exit.INTERRUPTED),
        ("finished", "done", {"fetched": 5, "failed": 9}, None, Exit.FINISHED),
        ("finished", "done", {"fetched": 5, "failed": 9}, 9, Exit.FINISHED),
        ("finished", "done", {"fetched": 5, "failed": 9}, 8, Exit.FAILURES),
        ("finished", "done", {"failed": 1}, None, Exit.FAILURES),
        ("finished", "done", {"denied": 1}, None, Exit.FINISHED),
    ],
)
def test_exit_codes(state: str, why: str, outcomes: dict[str, int], max_failures: int | None, code: Exit) -> None:
    assert summary(state, why, max_failures, outcomes=outcomes).exit_code is code


def test_the_exit_codes_are_those_of_the_readme() -> None:
    assert {code.name: code.value for code in Exit} == {
        "FINISHED": 0,
        "FAULT": 1,
        "USAGE": 2,
        "INVALID": 4,
        "UNAVAILABLE": 8,
        "INTERRUPTED": 11,
        "FAILURES": 12,
    }


def test_a_finished_crawl_in_words() -> None:
    outcomes = {"fetched": 1200, "failed": 3, "denied": 2}
    text = summary(outcomes=outcomes, reasons={"dns": 3, "robots": 2}, refused={"scope:host": 9}, pages_before=400, bytes=5_000_000).text()
    assert text.splitlines() == [
        "Finished in 4.0 s.",
        "  fetched         1,200   200 pages/s, 5.0 MB",
        "  denied              2",
        "  failed              3",
        "  reasons:       dns 3, robots 2",
        "  links refused: scope:host 9",
        "Records: my home/records.jsonl (1,205 lines)",
        "         a.csv",
        "Next:    crawl report 'my home' -o report.html",
        "         crawl export 'my home' -o pages.csv",
        "         crawl why 'my home' URL",
    ]


def test_outputs_are_told_without_passwords_and_only_those_that_are_there() -> None:
    outputs = ("pages.csv", "-", "all.wacz", "postgresql://ann:secret@db/crawls", "s3://bucket/pages.jsonl")
    text = summary(outputs=outputs).text()
    assert "         all.wacz\n         postgresql://ann:…@db/crawls\n         s3://bucket/pages.jsonl\n" in text
    assert "secret" not in json.dumps(summary(outputs=outputs).fields())
    assert summary("stopped", "signal", outputs=outputs).fields()["outputs"] == ["pages.csv", "-"]


def test_too_many_failures_are_said() -> None:
    assert summary(outcomes={"fetched": 5, "failed": 9}).complaint() is None
    assert summary(outcomes={"fetched": 5, "failed": 9}, max_failures=8).complaint() == "9 URLs failed, more than --max-failures 8 allows."


@pytest.mark.parametrize(
    ("state", "why", "said"),
    [
        ("finished", "max_pages", "at --max-pages 10: 7 URLs left"),
        ("stopped", "max_time", "as --max-time says: 7 URLs left"),
        ("stopped", "signal", "Interrupted after 4.0 s: 7 URLs left, nothing is lost"),
    ],
)
def test_how_it_ended(state: str, why: str, said: str) -> None:
    assert said in summary(state, why, outcomes={"fetched": 3}, queued=7).text().splitlines()[0]


def test_the_summary_for_programs_is_json() -> None:
    fields = json.loads(json.dumps(summary(outcomes={"fetched": 8}).fields()))
    assert fields["state"] == "finished"
    assert fields["outcomes"] == {"fetched": 8}
    assert fields["records"] == "my home/records.jsonl"
    assert fields["exit_code"] == 0
    assert fields["pages_per_second"] == 2.0


def test_items_and_rules_that_failed_are_told() -> None:
    text = summary(outcomes={"fetched": 5}, items={"book": 40, "author": 2}, faults={"book.price": 3}).text()
    assert "  items:         book 40, author 2\n" in text
    assert "  rules failed:  book.price 3 ('crawl try JOB URL' shows why)\n" in text
    assert "items:" not in summary(outcomes={"fetched": 5}).text()
