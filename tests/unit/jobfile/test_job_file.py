"""A job file that is right, in both languages; how its parts are read; what happens to one that is no file, or no job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crawler.cli.job_files import load_job_file
from crawler.config import load
from crawler.errors import InvalidConfig
from crawler.extract.rules import Field, FollowRule, ItemRule
from crawler.jobfile.read import read_job_file

TOML = """
seeds = ["https://example.org/", "Example.net"]
seeds_file = "more.txt"
outputs = ["pages.jsonl", { path = "books.parquet", items = "book", partition = "host" }, "db.sqlite?items=book"]
home = "shop"

[scope]
depth = 3
include = ['\\.html$']
[politeness]
hosts."*.example.org" = { per_host = 1, delay = 2 }
[fetch]
cookie_file = "cookies.txt"
[fetch.sites."https://example.org"]
user = "ann"
password = "file:secret.txt"
headers = { Cookie = "env:COOKIE", X-A = "1" }
[fetch.sites."b.example"]
bearer = "file:/etc/hostname"

[extract.book]
when = "/b/"
each = "article"
fields = { title = "h3", price = { css = ".p", type = "float", required = true } }
[[follow]]
css = "li.next a"
next = true
"""


def write(folder: Path, text: str = TOML, name: str = "books.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "more.txt").write_text("# more\nhttps://c.example/\n\nd.example/x\n")
    (folder / "cookies.txt").write_text("")
    (folder / "secret.txt").write_text("hunter2")
    (folder / name).write_text(text)
    return folder / name


def test_all_that_a_job_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    job = load_job_file(str(write(folder)))
    assert job.seeds == ["https://example.org/", "Example.net", "https://c.example/", "https://d.example/x"]
    assert not job.seeds_from_stdin
    assert job.outputs == ["pages.jsonl", "books.parquet?items=book&partition=host", "db.sqlite?items=book"]
    assert job.default_home == "shop"
    sites = job.values["fetch.sites"]
    assert sites["https://example.org"]["password"] == f"file:{folder}/secret.txt", "what a job names is looked for beside it"
    assert sites["https://example.org"]["headers"] == {"Cookie": "env:COOKIE", "X-A": "1"}
    assert sites["b.example"]["bearer"] == "file:/etc/hostname"
    assert job.values["fetch.cookie_file"] == str(folder / "cookies.txt")
    assert job.extraction is not None
    price = Field(css=".p", type="float", required=True)
    assert job.extraction.items == {"book": ItemRule(fields={"title": "h3", "price": price}, when="/b/", each="article")}
    assert job.extraction.follow == [FollowRule(css="li.next a", next=True)]


def test_the_settings_stand_between_the_configuration_file_and_the_environment(tmp_path: Path) -> None:
    job = load_job_file(str(write(tmp_path / "jobs")))
    config = tmp_path / "crawl.toml"
    config.write_text("[scope]\ndepth = 9\nmax_pages = 9\ntraps = false\n")
    environment = {"CRAWL_SCOPE__SITEMAPS": "false", "CRAWL_SCOPE__INCLUDE": "['e']"}
    loaded = load(file=config, job=("books.toml", job.values), environment=environment, flags={"scope.max_pages": 5})
    scope = loaded.settings.scope
    assert (scope.depth, scope.max_pages, scope.traps, scope.sitemaps, scope.include) == (3, 5, False, False, ["e"])
    assert loaded.origins["scope.depth"] == "books.toml: scope.depth"
    assert loaded.settings.politeness.hosts["*.example.org"].delay == 2.0


def test_json_says_the_same(tmp_path: Path) -> None:
    import tomllib

    toml = load_job_file(str(write(tmp_path / "jobs")))
    text = json.dumps(tomllib.loads(TOML), indent=2)
    other = load_job_file(str(write(tmp_path / "jobs", text, "books.json")))
    for part in ("seeds", "outputs", "home", "values", "extraction"):
        assert getattr(toml, part) == getattr(other, part)


def test_mistakes_in_json_have_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{\n "seeds": ["https://a.example/"],\n "scope": {\n  "depth": "x",\n  "depth": 1\n },\n "scope": {}\n}')
    with pytest.raises(InvalidConfig) as caught:
        load_job_file(str(file))
    assert str(caught.value).splitlines() == [
        f"{file}:5: scope.depth: stands twice; keep one",
        f"{file}:7: scope: stands twice; keep one",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", None, ": there is no such file; 'crawl job new {file}' writes one to begin with"),
        ("a.toml", b"seeds = ['\xff']", ": not UTF-8: byte 10 cannot be read; save it as UTF-8"),
        ("a.toml", b"a = " + b"[" * 100_000, ": not a job file: brackets are nested too deeply"),
        ("a.json", b"[" * 100_000, ": not a job file: brackets are nested too deeply"),
        ("a.json", b"[]", ': a job is an object, as in {{"seeds": ["https://example.org/"]}}'),
        (
            "a.json",
            b"{\n'a': 1}",
            ":2: not JSON: Expecting property name enclosed in double quotes (column 1); keys and text in double quotes",
        ),
    ],
)
def test_what_is_no_job_file(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidConfig) as caught:
        read_job_file(file)
    assert str(caught.value) == f"{file}{message.format(file=file)}"


def test_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read: Is a directory"):
        read_job_file(tmp_path)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("def parse(page):\n  yield {}\n", None),
        ("from other import parse\n", None),
        ("def parse(page)\n  yield {}\n", "hooks.py, line 1: not Python: expected ':'; correct that line"),
        ("from rules import *\n", None),  # what that brings is known when it is loaded
        ("try:\n  from fast import parse\nexcept ImportError:\n  from slow import parse\n", None),
        ("parse: object = print\n", None),
        ("one, parse = 1, print\n", None),
        ("def prase(page):\n  yield {}\n", "hooks.py has no function parse(page); add one that yields items and links"),
    ],
)
def test_a_hook_is_looked_at_without_being_run(tmp_path: Path, hook: str, message: str | None) -> None:
    (tmp_path / "hooks.py").write_text(hook)
    file = tmp_path / "a.toml"
    file.write_text('hook = "hooks.py"\noutputs = [{ path = "a.csv", items = "whatever it yields" }]\n')
    if message is None:
        job = read_job_file(file, output_items=lambda _: "thing")
        assert job.extraction is not None
        assert job.extraction.hook == str(tmp_path / "hooks.py")
        return
    with pytest.raises(InvalidConfig) as caught:
        read_job_file(file)
    assert str(caught.value) == f"{file}:1: hook: {message}"


def test_seeds_may_come_from_standard_input_and_the_home_from_the_name(tmp_path: Path) -> None:
    file = tmp_path / "news.toml"
    file.write_text('seeds_file = "-"\n')
    job = read_job_file(file)
    assert job.seeds == []
    assert job.seeds_from_stdin
    assert job.default_home == "news.crawl"
    assert job.extraction is None


def test_mistakes_in_a_list_of_seeds_have_its_lines(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("https://a.example/\n# none:\nhttp://\n")
    (tmp_path / "a.toml").write_text('seeds_file = "seeds.txt"\n')
    with pytest.raises(InvalidConfig, match=r"a\.toml:1: seeds_file: .*seeds\.txt, line 3: 'http://': not a URL"):
        read_job_file(tmp_path / "a.toml")


WRONG_SETTINGS: dict[str, tuple[str, Any]] = {
    "fetch.accept[1]": ("accept = ['text/html', 'html']", 'write one as in "text/html"'),
    "fetch.headers.Host": ("headers = { Host = 'a' }", "is set by the crawler itself"),
    "fetch.headers.x-a": ("headers = { X-A = 'a', x-a = 'b' }", "join the values with commas"),
    "fetch.cookie_file": ("cookie_file = 'absent'", "there is no file"),
    "fetch.proxies.all": ("proxies = { all = 'socks5://ann:hunter2@127.0.0.1:1' }", "a password is named, not written"),
    "fetch.proxies.ftp": ("proxies = { ftp = 'http://127.0.0.1:1' }", "there are http, https and all"),
    "fetch.proxy_password": ("proxy_password = 'hunter2'", "give env:NAME"),
    "fetch.no_proxy[0]": ("no_proxy = ['a b']", "write example.org"),
    "fetch.allow_addresses[1]": ("allow_addresses = [3, '10.0.0.0/33']", "10.0.0.0/33"),
    "fetch.insecure[0]": ("insecure = ['https://a.b/']", "write a host as in test.example.org"),
    'fetch.sites."https://ann:…@a.b".user': ("sites.'https://ann:hunter2@a.b' = { user = 3 }", "must be text, not a number"),
}


@pytest.mark.parametrize("key", WRONG_SETTINGS)
def test_what_types_cannot_say(tmp_path: Path, key: str) -> None:
    text, remedy = WRONG_SETTINGS[key]
    (tmp_path / "a.toml").write_text(f"[fetch]\n{text}\n")
    with pytest.raises(InvalidConfig) as caught:
        read_job_file(tmp_path / "a.toml")
    line = next(line for line in str(caught.value).splitlines() if f":2: {key}: " in line)
    assert remedy in line
    assert "hunter2" not in str(caught.value)
