"""`crawl batch` as people run it: a thousand answers to a thousand URLs, streams, files, signals, mistakes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import CRAWL, Crawl, Finished, Read, Site, Spawn, environment

FAST = ("--delay", 0, "--per-host", 64)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


def events(done: Finished, name: str) -> list[dict]:
    return [event for event in map(json.loads, done.stderr.splitlines()) if event["event"] == name]


def listed(tmp_path: Path, urls: list[str]) -> Path:
    file = tmp_path / "urls.txt"
    file.write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_thousand_urls_of_which_fifty_fail_in_ten_ways(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    good = site("generated", "--pages", 950)
    evil = site("evil", "--good", 1)
    failing = {
        "http_error": [f"{evil.url}404/a{number}" for number in range(5)],
        "timeout": [f"{evil.url}hang?{number}" for number in range(5)],
        "truncated": [f"{evil.url}short?{number}" for number in range(5)],
        "bad_http": [f"{evil.url}nothttp?{number}" for number in range(5)],
        "bad_encoding": [f"{evil.url}rot13?{number}" for number in range(5)],
        "redirect": [f"{evil.url}badredirect?{number}" for number in range(5)],
        "robots": [f"{evil.url}forbidden?{number}" for number in range(5)],
        "address": [f"{evil.url}redirectprivate?{number}" for number in range(5)],
        "connect": [f"http://127.0.0.9:{evil.port}/{number}" for number in range(5)],
        "bad_url": [f"ftp://127.0.0.1/{number}" for number in range(5)],
    }
    urls = [good.url if number == 0 else f"{good.url}p/{number}.html" for number in range(950)]
    expected: dict[str, str | None] = dict.fromkeys(urls)
    for way, (reason, bad) in enumerate(failing.items()):
        for number, url in enumerate(bad):
            urls.insert((way + 10 * number) * 20, url)
            expected[url] = reason
    assert len(urls) == len(expected) == 1000

    began = time.monotonic()
    done = crawl("batch", "-f", listed(tmp_path, urls), *FAST, "--timeout", 2, "--retries", 0)
    assert time.monotonic() - began < 60
    assert done.code == 12, done
    records = lines(done.stdout)
    assert [record["url"] for record in records] == urls
    assert [record["reason"] for record in records] == [expected[url] for url in urls]
    assert Counter(record["outcome"] for record in records) == {"fetched": 950, "failed": 40, "denied": 10}
    assert [record["title"] for record in records if record["outcome"] == "fetched"] == [
        f"Page {number} of 127.0.0.1" for number in range(950)
    ]

    named = events(done, "failure")
    assert [(event["url"], event["reason"]) for event in named] == [(url, expected[url]) for url in urls if expected[url]]
    assert all(event["detail"] for event in named)
    (summary,) = events(done, "summary")
    assert summary["reasons"] == dict.fromkeys(failing, 5)
    assert (summary["answered"], summary["fetched"], summary["failed"]) == (1000, 950, 50)
    assert "Traceback" not in done.stderr
    hits = Counter(hit.path for hit in evil.hits())
    assert hits["/robots.txt"] == 1
    assert not [path for path in hits if path.startswith("/forbidden")]


def test_all_fetched_ends_with_zero_and_says_so(site: Site, crawl: Crawl) -> None:
    good = site("generated", "--pages", 5)
    done = crawl("batch", f"{good.url}p/3.html", good.url, f"{good.url}moved/1", *FAST)
    assert done.code == 0, done
    records = lines(done.stdout)
    assert [record["title"].split(" of ")[0] for record in records] == ["Page 3", "Page 0", "Page 2"]
    assert [record["redirect_to"] for record in records] == [None, None, f"{good.url}p/2.html"]
    assert [record["via"] for record in records] == ["seed"] * 3
    assert events(done, "summary")[0]["message"] == "3 of 3 URLs fetched"
    assert events(done, "failure") == []


def test_answers_stream_while_the_list_is_still_being_written(site: Site, tmp_path: Path) -> None:
    good = site("generated", "--pages", 5)
    command = [*CRAWL, "batch", "-f", "-", "--delay", "0", "-q"]
    with subprocess.Popen(command, env=environment(tmp_path), cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for number in (1, 2, 3):
            process.stdin.write(f"{good.url}p/{number}.html\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["title"].startswith(f"Page {number} ")
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(20) == 0


def test_a_url_that_comes_again_is_fetched_once(site: Site, crawl: Crawl) -> None:
    good = site("generated", "--pages", 5)
    done = crawl("batch", good.url, f"{good.url}p/1.html", good.url, f"{good.url}#x", *FAST)
    assert [record["url"] for record in lines(done.stdout)] == [good.url, f"{good.url}p/1.html", good.url, good.url]
    assert Counter(hit.path for hit in good.wait_for_hits(3)) == {"/": 1, "/p/1.html": 1, "/robots.txt": 1}


def test_records_go_to_a_file_when_one_is_named(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    good = site("generated", "--pages", 5)
    done = crawl("batch", good.url, "-o", "out.jsonl", "--record-headers", "--record-links", *FAST)
    assert (done.code, done.stdout) == (0, "")
    (record,) = read_records(tmp_path / "out.jsonl")
    assert record["headers"]["content-type"] == "text/html; charset=utf-8"
    assert f"{good.url}p/1.html" in record["links"]
    again = crawl("batch", good.url, "-o", "out.jsonl", *FAST)
    assert again.code == 2
    assert "--overwrite" in again.stderr
    assert crawl("batch", good.url, "-o", "out.jsonl", "--overwrite", *FAST).code == 0
    assert read_records(tmp_path / "out.jsonl")[0]["headers"] is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []


def test_bodies_go_to_standard_output_in_order(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    good = site("generated", "--pages", 50)
    urls = [f"{good.url}p/{number}.html" for number in range(1, 40)]
    done = crawl("batch", *urls, f"{good.url}none", "--body", "-o", "out.jsonl", *FAST, "--concurrency", 4)
    assert done.code == 12
    assert [part.split(" of ")[0] for part in done.stdout.split("<title>Page ")[1:]] == [str(number) for number in range(1, 40)]
    assert sum(record["bytes"] or 0 for record in read_records(tmp_path / "out.jsonl")) == len(done.stdout.encode())


def test_each_page_is_saved_to_a_file_of_its_own(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    good = site("generated", "--pages", 50)
    urls = [f"{good.url}p/{number}.html" for number in range(1, 30)]
    done = crawl("batch", *urls, f"{good.url}none", good.url, urls[0], "--save", "pages", *FAST)
    assert done.code == 12
    saved = {path.name: path.read_text() for path in (tmp_path / "pages").iterdir()}
    assert len(saved) == 31
    records = lines(done.stdout)
    for number, record in enumerate(records, 1):
        names = [name for name in saved if name.startswith(f"{number:05d}-127.0.0.1-{good.port}-")]
        assert len(names) == (record["outcome"] == "fetched")
        for name in names:
            assert f"<title>{record['title']}</title>" in saved[name]
            assert len(saved[name].encode()) == record["bytes"]
    assert f"00031-127.0.0.1-{good.port}-index.html" in saved
    assert saved[f"00032-127.0.0.1-{good.port}-1.html"] == saved[f"00001-127.0.0.1-{good.port}-1.html"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no URL", "--urls-file"]),
        (["-f", "absent.txt"], ["absent.txt", "No such file"]),
        (["-f", "."], ["--urls-file .", "directory"]),
        (["http://127.0.0.1:1/", "-o", "out.xlsx"], ["out.xlsx", ".jsonl"]),
        (["http://127.0.0.1:1/", "-o", "absent/out.csv"], ["absent", "does not exist"]),
        (["http://127.0.0.1:1/", "--body", "-o", "-"], ["--body", "--output"]),
        (["http://127.0.0.1:1/", "--save", "/dev/null"], ["--save /dev/null"]),
        (["http://127.0.0.1:1/", "--concurrency", "0"], ["--concurrency"]),
        (["http://127.0.0.1:1/", "--header", "Host: x"], ["--header Host"]),
        (["http://127.0.0.1:1/", "--depth", "1"], ["--depth"]),
    ],
)
def test_mistakes_are_told_in_one_line(crawl: Crawl, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = crawl("batch", *arguments)
    assert done.code == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_a_signal_ends_it_with_what_is_complete(site: Site, spawn_crawl: Spawn, read_records: Read, tmp_path: Path) -> None:
    good = site("generated", "--pages", 500)
    urls = [f"{good.url}p/{number}.html" for number in range(1, 400)]
    running = spawn_crawl("batch", "-f", listed(tmp_path, urls), "-o", tmp_path / "out.jsonl", "--delay", 0.05)
    while not (parts := list(tmp_path.glob(".out.jsonl.*.part"))) or not parts[0].stat().st_size:
        assert running.running
        time.sleep(0.05)
    workers = running.children()
    running.signal(signal.SIGINT)
    done = running.wait(15)
    assert done.code == 11, done
    assert not (tmp_path / "out.jsonl").exists()
    records = read_records(parts[0])
    assert [record["url"] for record in records] == urls[: len(records)]
    (event,) = events(done, "interrupted")
    assert event["answered"] == len(records)
    assert str(parts[0]) in event["message"]
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_a_reader_that_leaves_ends_it(site: Site, tmp_path: Path) -> None:
    good = site("generated", "--pages", 5000)
    file = listed(tmp_path, [f"{good.url}p/{number}.html" for number in range(1, 5000)])
    command = [*CRAWL, "batch", "-f", str(file), *map(str, FAST), "-q"]
    with subprocess.Popen(command, env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["outcome"] == "fetched"
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


def test_a_full_disk_is_told_and_leaves_no_half_file_under_the_name(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    good = site("generated", "--pages", 5)
    program = """
import resource, signal, sys
from crawler.cli import execute
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.exit(execute(sys.argv[1:]))
"""
    urls = [f"{good.url}p/{number}.html" for number in range(1, 5)] * 10
    command = [sys.executable, "-c", program, "batch", "-o", "out.jsonl", *urls, *map(str, FAST)]
    done = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8, done.stderr
    assert "--output out.jsonl: cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.slow
def test_a_list_longer_than_the_look_ahead_takes_no_more_memory(spawn_crawl: Spawn, tmp_path: Path) -> None:
    """URLs that are none need no network: what is measured is what the list itself costs."""
    peaks = []
    for count in (40_000, 200_000):
        file = listed(tmp_path, [f"ftp://example.com/{number}" for number in range(count)])
        running = spawn_crawl("batch", "-f", file, "-q", "-o", f"{count}.jsonl")
        peak = 0
        while running.running:
            peak = max(peak, high_water(running.pid))
            time.sleep(0.02)
        assert running.wait().code == 12
        with (tmp_path / f"{count}.jsonl").open(encoding="utf-8") as records:
            assert [json.loads(record)["url"] for record in records][-1] == f"ftp://example.com/{count - 1}"
        peaks.append(peak)
    assert peaks[0] > 10_000
    assert peaks[1] < 1.15 * peaks[0]


def high_water(pid: int) -> int:
    """Return the most memory that a process had at once, in kB; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
