"""``crawl demo`` as a newcomer meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crawl, Finished, Read

DEMO = ("demo", "--dir", "demo.crawl")


def last_event(done: Finished, event: str) -> dict[str, object]:
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    found: dict[str, object] = [line for line in lines if line["event"] == event][-1]
    return found


def test_it_comes_to_exactly_what_the_site_is_made_for_and_starts_over_by_itself(crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    for _ in range(2):
        done = crawl(*DEMO, cwd=tmp_path)
        assert done.code == 0, done
        assert done.stdout == ""
        told = last_event(done, "demo")
        assert told["deviations"] == []
        assert "robots.txt forbids" in str(told["message"])
    records = read_records(tmp_path / "demo.crawl" / "records.jsonl")
    assert len(records) == len({record["url"] for record in records}) == last_event(done, "summary")["done"]


@pytest.mark.parametrize("reactor", ["select", "poll", "epoll", "asyncio", "uvloop"])
def test_it_is_the_same_on_every_reactor(crawl: Crawl, reactor: str, tmp_path: Path) -> None:
    done = crawl(*DEMO, "--reactor", reactor, cwd=tmp_path)
    assert done.code == 0, done
    assert last_event(done, "demo")["deviations"] == []


def test_another_crawl_is_not_started_over(crawl: Crawl, site: object, tmp_path: Path) -> None:
    home = tmp_path / "precious"
    made = crawl("run", "http://127.0.0.1:9/", "--dir", home, "--retries", "0", "-q")
    assert made.code == 12, made
    before = (home / "records.jsonl").read_bytes()
    refused = crawl("demo", "--dir", home)
    assert refused.code == 2
    assert refused.error_lines == [f"crawl: {home} holds a crawl that is not the demo's; choose another --dir"]
    assert (home / "records.jsonl").read_bytes() == before


def test_the_explanations_commands_work(crawl: Crawl, tmp_path: Path) -> None:
    told = str(last_event(crawl(*DEMO, cwd=tmp_path), "demo")["message"])
    commands = [line.split()[1:] for line in told.splitlines() if line.startswith("    crawl ")]
    answers = [crawl(*command, cwd=tmp_path) for command in commands]
    assert [answer.code for answer in answers] == [0, 0]
    assert "denied (robots)" in answers[0].stdout
    assert "refused by trap:repeated_segments" in answers[1].stdout
