"""A job: what one crawl is asked to do, validated and frozen. The same job resumes the same crawl."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from crawler import url as urls
from crawler.config import Settings, setting
from crawler.errors import UsageError
from crawler.extract.rules import Extraction
from crawler.secret import without_password

SAME_JOB: Final = (
    "scope.scope",
    "scope.include",
    "scope.exclude",
    "scope.depth",
    "scope.sitemaps",
    "scope.traps",
    "scope.requisites",
    "scope.probe_external",
    "scope.near_duplicates",
    "politeness.robots",
    "politeness.nofollow",
    "store.text",
    "store.archive",
)
"""Settings that decide which URLs belong to the crawl, or what is kept of each page: a resumed crawl must have them as it began."""

_SEEDS_SHOWN: Final = 6  # of both lists together


class Job(Struct, frozen=True):
    """Seeds (canonical, in order, each once), settings, and what is taken from pages."""

    seeds: list[str]
    settings: Settings
    extraction: Extraction | None = None


def make_job(seeds: list[str], settings: Settings, extraction: Extraction | None = None) -> Job:
    """Validate and freeze a job; `extraction` was checked by `extract.check`.

    Raises UsageError naming the seed or the pattern that cannot be used.
    """
    if not seeds:
        raise UsageError("no URL given: name at least one, as in: crawl run https://example.com/")
    canonical: dict[str, None] = {}
    for seed in seeds:
        canonical[canonical_seed(seed)] = None
    for option in ("include", "exclude"):
        for pattern in getattr(settings.scope, option):
            try:
                re.compile(pattern)
            except re.error as error:
                where = f" at position {error.pos}" if error.pos is not None else ""
                raise UsageError(
                    f"--{option} {pattern!r}: not a regular expression: {error.msg}{where}; patterns are searched in the whole URL"
                ) from error
    return Job(list(canonical), settings, extraction)


def canonical_seed(seed: str) -> str:
    """Return a seed in canonical form; a name without scheme gets ``https://``, as browsers do.

    Raises UsageError when it is no http or https URL.
    """
    text = seed.strip()
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or re.match(r"[^/:@\s]+:\d+(?:[/?#]|$)", text):
        text = f"https://{text}"
    if re.match(r"/(?!/)|///", seed.strip()):  # a path: the URL standard would take its first name for a host
        raise UsageError(f"{seed!r}: not a URL; write it like https://example.com/path")
    canonical = urls.canonicalise(text)
    if canonical is None:
        shown = without_password(seed)
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
        if scheme and scheme[1].lower() not in ("http", "https"):
            raise UsageError(f"{shown!r}: scheme {scheme[1]!r} cannot be crawled; URLs begin with http:// or https://")
        raise UsageError(f"{shown!r}: not a URL; write it like https://example.com/path")
    return canonical


def differences(before: Job, now: Job) -> list[str]:
    """Say in which ways `now` would crawl another set of URLs than `before` (empty: it is the same crawl)."""
    found = []
    if before.seeds != now.seeds:
        found.append(_other_seeds(before.seeds, now.seeds))
    for dotted in SAME_JOB:
        old, new = setting(before.settings, dotted), setting(now.settings, dotted)
        if old != new:
            found.append(f"{dotted.partition('.')[2]}: {old!r} then, {new!r} now")
    if before.extraction != now.extraction:
        found.append("extraction rules: others than it began with")
    return found


def _other_seeds(before: list[str], now: list[str]) -> str:
    """Say how two lists of seeds differ; of long ones, only the first difference."""
    if len(before) + len(now) <= _SEEDS_SHOWN:
        return f"seeds: {' '.join(before)} then, {' '.join(now)} now"
    then, new = set(before), set(now)
    more = next((seed for seed in now if seed not in then), None)
    fewer = next((seed for seed in before if seed not in new), None)
    changes = [f"{seed} is {what}" for seed, what in ((more, "new"), (fewer, "missing")) if seed is not None]
    return f"seeds: {len(before)} then, {len(now)} now, {' and '.join(changes) or 'in another order'}"
