"""Forty mistakes that people make in a job file: each is told with its line, its key and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from crawler.cli.job_files import load_job_file
from crawler.errors import Exit, InvalidConfig


class Case(NamedTuple):
    text: str
    place: str  # "line: key", as the message begins after the file's name
    remedy: str


SEEDS = 'seeds = ["https://example.org/"]\n'
BOOK = SEEDS + "[extract.book]\n"
FIELDS = BOOK + "[extract.book.fields]\n"
SITE = SEEDS + '[fetch.sites."https://example.org"]\n'

MISTAKES = {
    "a setting misspelt": Case(SEEDS + "[politeness]\ndealy = 2\n", "3: politeness.dealy", "did you mean politeness.delay?"),
    "a section misspelt": Case(SEEDS + "[politness]\ndelay = 2\n", "2: politness", "did you mean politeness?"),
    "a key misspelt": Case('seed = ["https://example.org/"]\n', "1: seed", "did you mean seeds?"),
    "a setting in the wrong section": Case(SEEDS + "[scope]\ndelay = 2\n", "3: scope.delay", "put it under [politeness]"),
    "a setting without its section": Case(SEEDS + "max_pages = 9\n", "2: max_pages", "put it under [scope]"),
    "a key below a section": Case('[scope]\nseeds = ["https://a.example/"]\n', "2: scope.seeds", "put it at the top of the file"),
    "a section that is a value": Case(SEEDS + "scope = 3\n", "2: scope", "write [scope] on a line of its own"),
    "text for a number": Case(
        SEEDS + '[politeness]\ndelay = "2s"\n', "3: politeness.delay", "a number of at least 0, not text, as in delay = 0.25"
    ),
    "a number for text": Case(
        SEEDS + "[politeness]\nuser_agent = 1\n", "3: politeness.user_agent", 'not a number, as in user_agent = "Crawl/'
    ),
    "a word for true": Case(SEEDS + '[scope]\nsitemaps = "yes"\n', "3: scope.sitemaps", "true or false, not text, as in sitemaps = true"),
    "out of range": Case(SEEDS + "[politeness]\nper_host = 0\n", "3: politeness.per_host", "of at least 1, not 0, as in per_host = 2"),
    "below zero": Case(SEEDS + "[scope]\ndepth = -1\n", "3: scope.depth", "a whole number of at least 0, not -1"),
    "a fraction for a whole": Case(
        SEEDS + "[fetch]\nretries = 1.5\n", "3: fetch.retries", "a whole number of at least 0, not a number, as in"
    ),
    "not one of the words": Case(SEEDS + '[scope]\nscope = "hots"\n', "3: scope.scope", "did you mean host?"),
    "a text for a list": Case(SEEDS + "[scope]\nexclude = 'x'\n", "3: scope.exclude", "must be a list of texts, not text"),
    "a regular expression": Case(
        SEEDS + "[scope]\ninclude = [\n  '/a',\n  '*.pdf',\n]\n", "5: scope.include[1]", "is written with \\ before it"
    ),
    "backslashes in double quotes": Case(SEEDS + '[scope]\ninclude = ["\\.pdf$"]\n', "3: not TOML", "in single quotes"),
    "a key twice": Case(SEEDS + "[scope]\ndepth = 1\ndepth = 2\n", "4: not TOML", "the key stands twice; keep one"),
    "text without quotes": Case(SEEDS + "[scope]\nscope = host\n", "3: not TOML", "text stands in quotes"),
    "a bracket left open": Case(SEEDS + "[extract.book.fields\n", "2: not TOML", "close the bracket"),
    "a seed of another kind": Case(
        'seeds = [\n  "https://a.example/",\n  "ftp://a.example/",\n]\n', "3: seeds[1]", "begin with http:// or https://"
    ),
    "a seed that is a path": Case('seeds = ["/docs/"]\n', "1: seeds[0]", "write it like https://example.com/path"),
    "a seed twice": Case('seeds = ["https://a.example", "A.example/"]\n', "1: seeds[1]", "is seeds[0] already; leave one out"),
    "a seed that is kept out": Case(
        SEEDS + "[scope]\nexclude = ['example']\n", "1: seeds[0]", "kept out by scope.exclude: 'example' is found"
    ),
    "seeds that are no list": Case('seeds = "https://example.org/"\n', "1: seeds", 'as in seeds = ["https://example.org/"]'),
    "a seeds' file that is not there": Case('seeds_file = "absent.txt"\n', "1: seeds_file", "counts from the job file's folder"),
    "an unknown format": Case(SEEDS + 'outputs = ["a.jsonl", "a.xlsx"]\n', "2: outputs[1]", "the extension names the format: .jsonl"),
    "an output twice": Case(SEEDS + 'outputs = ["a.csv", "a.csv"]\n', "2: outputs[1]", "is outputs[0] already; leave one out"),
    "a folder without its slash": Case(SEEDS + 'outputs = ["pages.md"]\n', "2: outputs[0]", "end its name with a slash: pages.md/"),
    "an item type misspelt": Case(
        SEEDS + 'outputs = [{ path = "b.csv", items = "bok" }]\n[extract.book.fields]\nt = "h1"\n', "2: outputs[0]", "did you mean book?"
    ),
    "a password in clear": Case(
        SITE + 'user = "ann"\npassword = "hunter2"\n', '4: fetch.sites."https://example.org".password', "give env:NAME"
    ),
    "a password's file": Case(
        SITE + 'user = "ann"\npassword = "file:absent"\n',
        '4: fetch.sites."https://example.org".password',
        "counts from the job file's folder",
    ),
    "a secret for every host": Case(
        SEEDS + '[fetch.headers]\nAuthorization = "Basic hunter2"\n',
        "3: fetch.headers.Authorization",
        'under [fetch.sites."https://example.org"]',
    ),
    "a site that is none": Case(
        SEEDS + '[fetch.sites."example org"]\nuser = "a"\n', '2: fetch.sites."example org"', 'write it like "example.org"'
    ),
    "a host with a port": Case(
        SEEDS + '[politeness.hosts."example.org:80"]\ndelay = 1\n', '2: politeness.hosts."example.org:80"', "leave the port out"
    ),
    "a host's key misspelt": Case(
        SEEDS + '[politeness.hosts."a.b"]\nper_hots = 1\n', '3: politeness.hosts."a.b".per_hots', "did you mean per_host?"
    ),
    "an item without fields": Case(BOOK + 'each = "li"\n', "2: extract.book", "add a table [extract.book.fields]"),
    "a field's type misspelt": Case(
        FIELDS + 'price = { css = ".p", type = "flaot" }\n', "4: extract.book.fields.price.type", "did you mean 'float'?"
    ),
    "a selector that is none": Case(FIELDS + 'title = "h1["\n', "4: extract.book.fields.title", "CSS"),
    "a hook that is not there": Case('hook = "absent.py"\n' + SEEDS, "1: hook", "counts from the job file's folder"),
}


def told(file: Path) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        load_job_file(str(file))
    assert caught.value.exit_code is Exit.INVALID
    return str(caught.value).splitlines()


def test_there_are_forty() -> None:
    assert len(MISTAKES) == 40


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_its_remedy(name: str, tmp_path: Path) -> None:
    case, file = MISTAKES[name], tmp_path / "books.toml"
    file.write_text(case.text)
    lines = told(file)
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{file}:{case.place}: "), lines[0]
    assert case.remedy in lines[0], lines[0]
    assert "hunter2" not in lines[0], "a secret"


def test_all_of_them_at_once_are_all_told(tmp_path: Path) -> None:
    """Those that can stand in one file: the sections of all, one after another."""
    names = [
        name
        for name, case in MISTAKES.items()
        if "\n[scope]\n" in case.text and ": scope." in case.place and "scope.seeds" not in case.place
    ]
    file = tmp_path / "many.toml"
    file.write_text(SEEDS + "[scope]\n" + "".join(MISTAKES[name].text.partition("[scope]\n")[2] for name in names))
    lines = told(file)
    assert len(lines) == len(names) >= 6
    for name in names:
        assert any(MISTAKES[name].remedy in line for line in lines), name
