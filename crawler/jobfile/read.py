"""From a job file to a `JobFile`, or to every mistake in it: each with the file, the line, the key and what to write instead."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path as File
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from crawler.config import DEFAULTS, SECTIONS
from crawler.errors import InvalidConfig
from crawler.extract.read import read_extraction
from crawler.extract.rules import Extraction, Problem
from crawler.jobfile.hook import hook_mistakes
from crawler.jobfile.lines import Lines, json_lines, toml_lines
from crawler.jobfile.mistakes import Mistake, dotted, meant, there_are
from crawler.jobfile.outputs import NO_PATH, OutputItems, read_outputs
from crawler.jobfile.seeds import STANDARD_INPUT, read_seeds
from crawler.jobfile.settings import settings_mistakes, settings_values

KEYS: Final = ("seeds", "seeds_file", "outputs", "home", *SECTIONS, "extract", "follow", "hook")
"""What a job file may hold at its outermost level."""
OUTERMOST: Final = ("seeds", "seeds_file", "outputs", "home", "hook")
"""Those of them that are no tables: in TOML they must stand before the first."""
SelectorProblems = Callable[[Extraction], list[Problem]]

_REMEDIES: Final = {
    "Unescaped '\\'": "write text with backslashes, as regular expressions have, in single quotes",
    "Invalid value": 'text stands in quotes, as in scope = "host"',
    "Cannot overwrite a value": "the key stands twice; keep one",
    "Cannot declare": "the table stands twice; put all of it below one heading",
    "Duplicate inline table key": "the key stands twice; keep one",
    "Expected '='": "a line is a key, an equals sign and a value, as in depth = 5",
    "Invalid statement": "a line is a key, an equals sign and a value, as in depth = 5",
    "Expected newline": "one key a line; text with quotes in it stands in single quotes",
    "Illegal character": "a text in quotes ends on its line; close the quotes",
    "Unterminated string": "close the quotes",
    "Unclosed": "close the bracket",
    "Expected ']'": "close the bracket, and put names with dots or slashes in quotes",
}
"""What usually helps, by what the TOML parser says."""


class JobFile(Struct, frozen=True):
    """What a job file says, without mistakes."""

    path: File
    seeds: list[str]  # as they were given, those of the seeds' file last
    seeds_from_stdin: bool  # more of them are to come on standard input
    outputs: list[str]  # names with their options: "books.parquet?items=book"
    home: str | None
    values: dict[str, Any]  # settings by "section.key"
    extraction: Extraction | None

    @property
    def default_home(self) -> str:
        """The crawl's home where the job names none: the file's name, ``books.crawl`` for ``books.toml``."""
        return self.home or f"{self.path.stem}.crawl"


def read_job_file(path: File, *, output_items: OutputItems | None = None, selector_problems: SelectorProblems | None = None) -> JobFile:
    """Return what a job file says: TOML, or JSON if its name ends in ``.json``.

    `output_items` and `selector_problems` look into what cannot be judged here. Raises InvalidConfig with all mistakes, one a line.
    """
    text = _text(path)
    document, lines = _json(path, text) if path.suffix.lower() == ".json" else _toml(path, text)
    reading = _Reading(path, document, lines)
    job = reading.job(output_items, selector_problems)
    if reading.mistakes:
        raise InvalidConfig("\n".join(reading.told()))
    return job


def _text(path: File) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise InvalidConfig(f"{path}: there is no such file; 'crawl job new {path}' writes one to begin with") from error
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{path}: not UTF-8: byte {error.start} cannot be read; save it as UTF-8") from error


def _toml(path: File, text: str) -> tuple[dict[str, Any], Lines]:
    try:
        return tomllib.loads(text), toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", place)
        line, column = (found[1], f" (column {found[2]})") if found else (str(len(text.splitlines())), "")
        remedy = next((remedy for begin, remedy in _REMEDIES.items() if said.startswith(begin)), "see https://toml.io")
        raise InvalidConfig(f"{path}:{line}: not TOML: {said}{column}; {remedy}") from error
    except RecursionError as error:
        raise InvalidConfig(f"{path}: not a job file: brackets are nested too deeply") from error


def _json(path: File, text: str) -> tuple[dict[str, Any], Lines]:
    try:
        document, lines = json.loads(text), json_lines(text)
    except json.JSONDecodeError as error:
        raise InvalidConfig(
            f"{path}:{error.lineno}: not JSON: {error.msg} (column {error.colno}); keys and text in double quotes"
        ) from error
    except RecursionError as error:
        raise InvalidConfig(f"{path}: not a job file: brackets are nested too deeply") from error
    if not isinstance(document, dict):
        raise InvalidConfig(f'{path}: a job is an object, as in {{"seeds": ["https://example.org/"]}}')
    return document, lines


class _Reading:
    """One document, and the mistakes found in it so far."""

    def __init__(self, path: File, document: dict[str, Any], lines: Lines) -> None:
        self.mistakes: list[Mistake] = [Mistake(key, "stands twice; keep one", line) for key, line in lines.twice]
        self._path = path
        self._document = document
        self._lines = lines

    def job(self, output_items: OutputItems | None, selector_problems: SelectorProblems | None) -> JobFile:
        document, folder = self._document, self._path.parent
        self._note(self._unknown_keys())
        self._note(settings_mistakes(document, folder))
        seeds, wrong = read_seeds(document, folder)
        self._note(wrong)
        hook = document.get("hook")
        is_path = not (isinstance(hook, str) and "\0" in hook)
        self._note([] if is_path else [Mistake(("hook",), NO_PATH)])
        extraction, problems = read_extraction(document if is_path else {**document, "hook": None}, folder)
        self._note(self._placed(problems))
        unloadable = list(hook_mistakes(document, extraction))
        self._note(unloadable)
        looked_into = replace(extraction, hook=None) if unloadable else extraction
        if not problems and selector_problems is not None and looked_into:
            self._note(self._placed(selector_problems(looked_into)))
        outputs, wrong = read_outputs(document, extraction, output_items)
        self._note(wrong)
        home = self._home()
        values = {} if self.mistakes else settings_values(document, folder)
        from_stdin = document.get("seeds_file") == STANDARD_INPUT
        return JobFile(self._path, seeds, from_stdin, outputs, home, values, extraction if extraction else None)

    def told(self) -> Iterator[str]:
        """Yield the mistakes as lines, in the order of the file."""
        lines = [(mistake.line or self._lines.find(mistake.path) or 0, mistake) for mistake in self.mistakes]
        for line, (path, message, _) in sorted(lines, key=lambda pair: pair[0]):
            misplaced = message.startswith("unknown") and len(path) > 1 and path[-1] in OUTERMOST
            said = f"{path[-1]} belongs to no table: put it at the top of the file, before the first [section]" if misplaced else message
            yield ": ".join(filter(None, (f"{self._path}:{line}" if line else str(self._path), dotted(path), said)))

    def _note(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes += mistakes

    def _unknown_keys(self) -> Iterator[Mistake]:
        for key in self._document:
            if key in KEYS:
                continue
            section = next((name for name in SECTIONS if key in getattr(DEFAULTS, name).__struct_fields__), None)
            what = "section" if isinstance(self._document[key], dict) else "key"
            if section is not None:
                yield Mistake((key,), f"unknown key; it is {section}.{key}: put it under [{section}]")
            else:
                yield Mistake((key,), f"unknown {what}; {meant(key, KEYS, there_are(KEYS))}")

    def _placed(self, problems: Iterable[Problem]) -> Iterator[Mistake]:
        """Yield problems of the extraction rules with their paths as keys; their own are joined with dots."""
        known = {re.sub(r"\.\[", "[", ".".join(f"[{p}]" if isinstance(p, int) else p for p in path)): path for path in self._lines.of}
        told: set[str] = set()
        for problem in problems:
            if problem.path.endswith(".fields") and problem.path.removesuffix(".fields") in told:
                continue  # what is not there has no mistakes of its own
            told.add(problem.path)
            name, missing = problem.path, ""
            while name and name not in known:
                name, dot, last = name.rpartition(".")
                missing = f"{last}.{missing}" if dot and missing else last
            path = known.get(name, ())
            yield Mistake((*path, *filter(None, missing.split("."))) if path else tuple(problem.path.split(".")), problem.message)

    def _home(self) -> str | None:
        home = self._document.get("home")
        if home is None or (isinstance(home, str) and home and "\0" not in home):
            return home
        self.mistakes.append(Mistake(("home",), 'must be the name of a folder, as in home = "books.crawl"'))
        return None
