"""A crawl by several processes: the same records as by one, budgets kept, and nothing lost or doubled whoever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Crawl, Read, Running, Site, Spawn
from warcio.archiveiterator import ArchiveIterator

from crawler.store.outbox import owner_of

HOSTS = 40
KILLS = int(os.environ.get("CRAWL_TEST_KILLS", "10"))
SEED = int(os.environ.get("CRAWL_TEST_SEED", str(random.randrange(1 << 30))))
UNSURE = {"fetched_at", "elapsed_ms", "depth", "via", "referrer"}
"""Times, and the path on which a URL was found first: that depends on which answer came first, by one process or by several."""

SHAPE = ("--hosts", HOSTS, "--missing-every", 7, "--redirect-every", 5)


def by_url(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {record["url"]: {name: value for name, value in record.items() if name not in UNSURE} for record in records}
    assert len(found) == len(records), "a URL has two records"
    return found


def command(url: str, folder: Path, name: str, processes: int, *more: object) -> list[object]:
    outputs = ["-o", folder / f"{name}.jsonl"]
    polite = ["--scope", "any", "--delay", 0, "--allow-address", "127.0.0.0/8", "--workers", processes]
    return ["run", url, "--dir", folder / name, *outputs, *polite, "--processes", processes, *more]


def homes(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*"))


def test_three_processes_write_the_records_of_one(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", *SHAPE, "--pages", 20)
    one, three = (crawl(*command(server.url, tmp_path, name, count)) for name, count in (("one", 1), ("three", 3)))
    assert (one.code, three.code) == (0, 0), three
    found = by_url(read_records(tmp_path / "three.jsonl"))
    assert found == by_url(read_records(tmp_path / "one.jsonl"))
    assert len(found) > HOSTS * 20
    server.stop()
    hits = [(hit.address, hit.path) for hit in server.hits() if hit.path != "/robots.txt"]
    assert len(hits) == 2 * len(set(hits)), "some page was asked for twice in one crawl"

    shards = homes(tmp_path / "three")
    assert [shard.name for shard in shards] == ["shard-0", "shard-1", "shard-2"]
    for number, shard in enumerate(shards):
        hosts = {record["url"].split("/")[2].partition(":")[0] for record in read_records(shard / "records.jsonl")}
        assert hosts
        assert {owner_of(host, 3) for host in hosts} == {number}


def test_items_and_archives_of_all_processes_are_exported_as_one(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", *SHAPE, "--pages", 10)
    job = tmp_path / "job.toml"
    job.write_text("[extract.page.fields]\nurl_of_page = { url = true }\nname = 'title'\n")
    finished = crawl(*command(server.url, tmp_path, "two", 2), "--job", job, "--archive")
    assert finished.code == 0, finished
    found = [json.loads(line)["url"] for line in (tmp_path / "two.jsonl").read_text().splitlines() if '"fetched"' in line]
    assert crawl("export", tmp_path / "two", "--items", "page", "-o", tmp_path / "items.jsonl").code == 0
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert sorted(item["url"] for item in items) == sorted(found)
    assert crawl("export", tmp_path / "two", "-o", tmp_path / "all.warc.gz").code == 0
    with (tmp_path / "all.warc.gz").open("rb") as file:
        kept = [record.rec_headers.get_header("WARC-Target-URI") for record in ArchiveIterator(file) if record.rec_type == "request"]
    assert set(found) <= set(kept)
    assert len(kept) == len(set(kept))


def test_reading_commands_see_one_crawl(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", *SHAPE, "--pages", 5)
    line = command(server.url, tmp_path, "two", 2)
    assert crawl(*line).code == 0
    records = read_records(tmp_path / "two.jsonl")
    status = json.loads(crawl("status", tmp_path / "two", "--json").stdout)
    assert (status["state"], status["queued"], status["done"]) == ("finished", 0, len(records))
    assert status["outputs"] == {str(tmp_path / "two.jsonl"): (tmp_path / "two.jsonl").stat().st_size}
    exported = crawl("export", tmp_path / "two")
    assert by_url([json.loads(row) for row in exported.stdout.splitlines()]) == by_url(records)
    for record in (records[0], records[-1]):
        answer = json.loads(crawl("why", tmp_path / "two", record["url"], "--json").stdout)
        assert answer["known"]["record"]["url"] == record["url"]

    (tmp_path / "two.jsonl").unlink()
    again = crawl(*line, "-o", tmp_path / "more.csv")
    assert again.code == 0
    assert "nothing_to_do" in again.stderr
    assert read_records(tmp_path / "two.jsonl") == records
    assert (tmp_path / "more.csv").read_text().count("http://127.0.0.1:") >= 1


def test_seeds_that_are_sent_on_extend_the_scope_of_all(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("forwarding", "--hosts", 20)
    seeds = server.urls(20)[::2]
    options = ["--delay", 0, "--allow-address", "127.0.0.0/8"]
    for name, count in (("one", 1), ("four", 4)):
        done = crawl("run", *seeds, "--dir", tmp_path / name, "-o", tmp_path / f"{name}.jsonl", *options, "--processes", count)
        assert done.code == 0, done
    found = by_url(read_records(tmp_path / "four.jsonl"))
    assert found == by_url(read_records(tmp_path / "one.jsonl"))
    assert len(found) == 10 + 10 * 10
    assert sum(record["outcome"] == "denied" for record in found.values()) == 10


@pytest.mark.parametrize("limit", [1, 7, 150])
def test_budget_of_pages_is_kept_to_the_page(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path, limit: int) -> None:
    server = site("generated", *SHAPE, "--pages", 20)
    done = crawl(*command(server.url, tmp_path, "home", 3, "--max-pages", limit))
    assert done.code == 0, done
    assert json.loads(done.stderr.splitlines()[-1])["why"] == "max_pages"
    first = by_url(read_records(tmp_path / "home.jsonl"))
    assert sum(record["outcome"] == "fetched" for record in first.values()) == limit
    assert "nothing_to_do" in crawl(*command(server.url, tmp_path, "home", 3, "--max-pages", limit)).stderr
    more = crawl(*command(server.url, tmp_path, "home", 3, "--max-pages", limit + 40))
    assert more.code == 0, more
    second = by_url(read_records(tmp_path / "home.jsonl"))
    assert sum(record["outcome"] == "fetched" for record in second.values()) == limit + 40
    assert first.items() <= second.items()


def test_budget_beyond_all_pages_ends_with_all(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", HOSTS, "--pages", 5)
    done = crawl(*command(server.url, tmp_path, "home", 3, "--max-pages", HOSTS * 5 + 1))
    assert json.loads(done.stderr.splitlines()[-1])["why"] == "done"
    assert len(read_records(tmp_path / "home.jsonl")) == HOSTS * 5


def test_budget_of_a_host(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", HOSTS, "--pages", 20)
    assert crawl(*command(server.url, tmp_path, "home", 3, "--max-pages-per-host", 4)).code == 0
    assert len(read_records(tmp_path / "home.jsonl")) == HOSTS * 4


def test_budget_of_time_and_going_on(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", HOSTS, "--pages", 20, "--latency", 0.1)
    done = crawl(*command(server.url, tmp_path, "home", 2, "--max-time", 3, "--concurrency", 8))
    assert done.code == 0, done
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["why"], summary["state"]) == ("max_time", "stopped")
    assert 0 < len(read_records(tmp_path / "home.jsonl")) < HOSTS * 20
    assert crawl(*command(server.url, tmp_path, "home", 2, "--concurrency", 64)).code == 0
    assert len(by_url(read_records(tmp_path / "home.jsonl"))) == HOSTS * 20


def test_a_signal_drains_all_and_leaves_no_output(site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--hosts", HOSTS, "--pages", 20, "--latency", 0.1)
    line = command(server.url, tmp_path, "home", 2, "--concurrency", 8)
    running = spawn_crawl(*line)
    wait_for_pages(server.log, 60, running)
    running.signal(signal.SIGTERM)
    stopped = running.wait(20)
    assert stopped.code == 11, stopped
    assert not (tmp_path / "home.jsonl").exists()
    assert json.loads(crawl("status", tmp_path / "home", "--json").stdout)["state"] == "stopped"
    assert crawl(*command(server.url, tmp_path, "home", 2)).code == 0
    assert len(by_url(read_records(tmp_path / "home.jsonl"))) == HOSTS * 20


def wait_for_pages(log: Path, count: int, running: Running) -> None:
    """Wait until the server has answered so many requests, or the crawl has ended."""
    deadline = time.monotonic() + 60
    while running.running and log.read_text().count("\n") < count:
        assert time.monotonic() < deadline, "the crawl makes no progress"
        time.sleep(0.01)


def kill_one(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_killed_anywhere_again_and_again(site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    print("CRAWL_TEST_SEED", SEED)
    chance = random.Random(SEED)
    server = site("generated", *SHAPE, "--pages", 20, "--latency", 0.05)
    line = command(server.url, tmp_path, "home", 3)
    killed = 0
    for kill in range(KILLS):
        running = spawn_crawl(*line, "--concurrency", 12)
        time.sleep(chance.uniform(0.3, 1.3))
        shards = running.children()
        victim = kill % 3
        if victim == 0 or not shards:  # the conductor: its shards leave by themselves
            running.kill()
        elif victim == 1:  # one shard: the run ends, and says why
            kill_one(chance.choice(shards))
            ended = running.wait(20)
            if ended.code != 0:
                assert ended.code == 11, ended
                assert "run the same command again" in ended.stderr
        else:  # all at once, as a power cut would
            for pid in [running.pid, *shards]:
                kill_one(pid)
            running.wait(20)
        killed += not (tmp_path / "home.jsonl").exists()
    assert killed > KILLS // 2, "the crawl was over too soon to be tested"
    last = crawl(*line, timeout=300)
    assert last.code == 0, last
    whole = crawl(*command(server.url, tmp_path, "whole", 1), timeout=300)
    assert whole.code == 0, whole
    found, expected = by_url(read_records(tmp_path / "home.jsonl")), by_url(read_records(tmp_path / "whole.jsonl"))
    assert found.keys() == expected.keys()
    assert [(url, record, expected[url]) for url, record in found.items() if record != expected[url]] == []


@pytest.mark.parametrize(
    "options",
    [("--depth", 2), ("--cookies",), ("-o", "-"), ("--profile", "p"), ("--concurrency", 1)],
    ids=lambda options: options[0],
)
def test_what_cannot_be_exact_is_refused(crawl: Crawl, tmp_path: Path, options: tuple[object, ...]) -> None:
    done = crawl("run", "http://127.0.0.1:9/", "--dir", tmp_path / "home", "--processes", 2, *options)
    assert done.code == 2
    assert (
        f"does not go with {' '.join(map(str, options)) if options[0] == '-o' else options[0]}".replace("-o -", "--output -") in done.stderr
    )
    assert not (tmp_path / "home").exists()


def test_another_number_of_processes_is_another_crawl(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("generated", "--pages", 5)
    assert crawl(*command(server.url, tmp_path, "home", 2)).code == 0
    for count in (1, 3):
        refused = crawl(*command(server.url, tmp_path, "home", count))
        assert refused.code == 2
        assert "--processes 2 goes on with it" in refused.stderr
        again = crawl(*command(server.url, tmp_path, "home", count, "--fresh", "--overwrite"))
        assert again.code == 0, again
        assert len(read_records(tmp_path / "home.jsonl")) == 5
        if count == 1:
            assert crawl(*command(server.url, tmp_path, "home", 2, "--fresh", "--overwrite")).code == 0
    assert crawl("run", server.url, "--dir", tmp_path / "single").code == 0
    refused = crawl("run", server.url, "--dir", tmp_path / "single", "--processes", 2)
    assert refused.code == 2
    assert "by one process" in refused.stderr


def test_a_file_of_others_is_not_replaced(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 3)
    (tmp_path / "home.jsonl").write_text("mine\n")
    refused = crawl(*command(server.url, tmp_path, "home", 2))
    assert refused.code == 2
    assert (tmp_path / "home.jsonl").read_text() == "mine\n"
    assert crawl(*command(server.url, tmp_path, "home", 2, "--overwrite")).code == 0
    assert (tmp_path / "home.jsonl").read_text().count("\n") == 3
