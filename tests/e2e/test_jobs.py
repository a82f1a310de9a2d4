"""``crawl run --job`` and ``crawl job`` as their users meet them: what wins over what, where things are looked for, what is told."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import pytest
from conftest import CRAWL, Crawl, Read, Site, environment

JOB = """
seeds = ["{url}"]
outputs = ["pages.jsonl"]
home = "home"
[scope]
max_pages = 4
[politeness]
delay = 0
per_host = 16
[parse]
workers = 1
"""


def write(folder: Path, url: str, more: str = "", name: str = "site.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(JOB.format(url=url) + more)
    return folder / name


def test_a_job_says_what_options_would_and_options_win(site: Site, crawl: Crawl, tmp_path: Path, read_records: Read) -> None:
    server = site("generated", "--pages", 30)
    job = write(tmp_path / "jobs", server.url)
    done = crawl("run", "--job", job)
    assert done.code == 0, done
    assert len(read_records(tmp_path / "pages.jsonl")) == 4, "outputs and home are of the folder where the command is run"
    assert (tmp_path / "home" / "records.jsonl").is_file()
    again = crawl("run", "--job", job, "--max-pages", 9)
    assert again.code == 0, again
    assert len(read_records(tmp_path / "pages.jsonl")) == 9, "a resumed crawl, with another budget"
    other = crawl("run", f"{server.url}p/7.html", "--job", job, "--dir", "other", "-o", "other.csv", env={"CRAWL_SCOPE__MAX_PAGES": "2"})
    assert other.code == 0, other
    assert len((tmp_path / "other.csv").read_text().splitlines()) == 3, "the environment wins over the job"
    seeds = {record["url"] for record in read_records(tmp_path / "other" / "records.jsonl") if record["via"] == "seed"}
    assert seeds <= {server.url, f"{server.url}p/7.html"}
    assert f"{server.url}p/7.html" in seeds, "URLs of the command line are seeds, too"


def test_the_home_is_named_after_the_job(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 3)
    job = write(tmp_path, server.url, name="tiny site.toml")
    job.write_text(job.read_text().replace('home = "home"\n', ""))
    assert crawl("run", "--job", job).code == 0
    assert (tmp_path / "tiny site.crawl" / "records.jsonl").is_file()


def test_seeds_on_standard_input(site: Site, tmp_path: Path, read_records: Read) -> None:
    server = site("generated", "--pages", 3)
    job = write(tmp_path, server.url)
    job.write_text('seeds_file = "-"\n' + job.read_text().replace(f'seeds = ["{server.url}"]\n', ""))
    done = subprocess.run(
        [*CRAWL, "run", "--job", str(job)], input=f"# seeds\n{server.url}\n".encode(), env=environment(tmp_path), cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert [record["via"] for record in read_records(tmp_path / "pages.jsonl")].count("seed") == 1


def test_credentials_by_site_are_read_from_files_beside_the_job_and_told_to_nobody(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 3)
    origin = server.url.rstrip("/")
    job = write(tmp_path / "jobs", server.url, f'[fetch.sites."{origin}"]\nuser = "ann"\npassword = "file:secret.txt"\n')
    (tmp_path / "jobs" / "secret.txt").write_text("correct-horse\n")
    done = crawl("run", "--job", job, "-vv")
    assert done.code == 0, done
    assert "correct-horse" not in done.stderr + done.stdout
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert b"file:" in kept
    assert b"correct-horse" not in kept, "the home has the secret's name alone"


def test_hosts_by_pattern_have_their_own_pace(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server = site("generated", "--pages", 5, "--hosts", 2)
    more = '[politeness.hosts."127.0.0.2"]\nper_host = 1\ndelay = 0.3\n'
    job = write(tmp_path, server.url, more)
    job.write_text(job.read_text().replace("max_pages = 4", "max_pages = 40"))
    done = crawl("run", "--job", job, server.url.replace("127.0.0.1", "127.0.0.2"))
    assert done.code == 0, done
    slow = [hit.arrived for hit in server.wait_for_hits(12) if hit.address == "127.0.0.2"]
    fast = [hit.arrived for hit in server.hits() if hit.address == "127.0.0.1"]
    assert len(slow) >= 5
    assert min(later - earlier for earlier, later in itertools.pairwise(slow)) > 0.29
    assert max(fast) - min(fast) < max(slow) - min(slow)


def test_every_mistake_is_told_before_anything_begins(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "books.toml").write_text('seeds = ["htp://a.example/"]\n\n[politeness]\ndealy = 2\n[extract.book.fields]\ntitle = "h1["\n')
    for command in (("run", "--job", "books.toml"), ("job", "check", "books.toml")):
        done = crawl(*command)
        assert done.code == 4, done
        lines = done.error_lines
        assert [line.removeprefix("crawl: ").split(": ")[0] for line in lines] == ["books.toml:1", "books.toml:4", "books.toml:6"], done
        assert "did you mean politeness.delay?" in lines[1]
    assert not list(tmp_path.glob("*.crawl")), "nothing was begun"


def test_a_job_to_begin_with(crawl: Crawl, tmp_path: Path) -> None:
    made = crawl("job", "new")
    assert made.code == 0, made
    assert "crawl run --job job.toml" in made.stdout
    good = crawl("job", "check", "job.toml")
    assert good.stdout == "job.toml: good: 1 seed, 3 settings, 1 output\n"
    before = (tmp_path / "job.toml").read_text()
    again = crawl("job", "new")
    assert again.code == 2
    assert "exists already" in again.stderr
    assert (tmp_path / "job.toml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("job", "new", "job.json"), 2, "give a name that ends in .toml"),
        (("job", "new", "absent/job.toml"), 2, "cannot be written"),
        (("job", "check", "absent.toml"), 4, "'crawl job new absent.toml' writes one"),
        (("run", "--job", "absent.toml"), 4, "'crawl job new absent.toml' writes one"),
        (("job", "chek", "a.toml"), 2, "No such command 'chek'"),
    ],
)
def test_what_cannot_be(crawl: Crawl, arguments: tuple[str, ...], code: int, part: str) -> None:
    done = crawl(*arguments)
    assert done.code == code, done
    assert part in done.stderr


def test_the_schema_is_json(crawl: Crawl) -> None:
    schema = json.loads(crawl("job", "schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "politeness" in schema["properties"]
