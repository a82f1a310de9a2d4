"""The seeds of a job: in the file itself and in a file of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any, Final

from crawler.errors import UsageError
from crawler.job import canonical_seed
from crawler.jobfile.mistakes import Mistake
from crawler.jobfile.settings import beside

STANDARD_INPUT: Final = "-"
"""The seeds' file that is read when the crawl begins, and not before."""

_LIST: Final = 'must be a list of URLs, as in seeds = ["https://example.org/"]'


def read_seeds(document: dict[str, Any], folder: File) -> tuple[list[str], list[Mistake]]:
    """Return the seeds as they are written, those of the file that ``seeds_file`` names last, and what is wrong with them."""
    given = document.get("seeds", [])
    if not isinstance(given, list):
        return [], [Mistake(("seeds",), _LIST)]
    mistakes = list(_mistakes(given, document))
    seeds = [seed for seed in given if isinstance(seed, str)]
    name = document.get("seeds_file")
    if name is None or name == STANDARD_INPUT:
        return seeds, mistakes
    if not isinstance(name, str):
        return seeds, [*mistakes, Mistake(("seeds_file",), 'must be the path of a file, or "-" for standard input')]
    more, wrong = _of_file(beside(folder, name))
    return seeds + more, mistakes + wrong


def _mistakes(seeds: list[Any], document: dict[str, Any]) -> Iterator[Mistake]:
    before: dict[str, int] = {}
    for number, seed in enumerate(seeds):
        path = ("seeds", number)
        if not isinstance(seed, str):
            yield Mistake(path, 'must be a URL in quotes, as in "https://example.org/"')
            continue
        try:
            url = canonical_seed(seed)
        except UsageError as error:
            yield Mistake(path, str(error))
            continue
        if url in before:
            yield Mistake(path, f"{url} is seeds[{before[url]}] already; leave one out")
        elif (pattern := _excluding(url, document)) is not None:
            yield Mistake(path, f"{url} is kept out by scope.exclude: {pattern!r} is found in it; change one of them")
        before.setdefault(url, number)


def _excluding(url: str, document: dict[str, Any]) -> str | None:
    """Return the pattern that keeps a seed out, if one does."""
    scope = document.get("scope")
    exclude = scope.get("exclude") if isinstance(scope, dict) else None
    for pattern in exclude if isinstance(exclude, list) else []:
        try:
            if re.search(pattern, url):
                return str(pattern)
        except (re.error, TypeError, OverflowError, RecursionError):  # told where the pattern stands
            continue
    return None


def _of_file(file: File) -> tuple[list[str], list[Mistake]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "not UTF-8 text, or no path"
        return [], [Mistake(("seeds_file",), f"{file} cannot be read: {reason}; a path counts from the job file's folder")]
    seeds, mistakes = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            seeds.append(canonical_seed(line))
        except UsageError as error:
            mistakes.append(Mistake(("seeds_file",), f"{file}, line {number}: {error}"))
    return seeds, mistakes
