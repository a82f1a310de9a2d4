"""The sections of a job file, which are those of `crawler.config`: what their types cannot say, told by path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any, Final

import msgspec

from crawler.config import DEFAULTS, SECTIONS, FetchSettings, SiteSettings, defaults
from crawler.errors import UsageError
from crawler.fetch.guard import parse_network
from crawler.fetch.proxy import read_proxies
from crawler.fetch.sites import SECRET_HEADERS, BadSite, SiteRule, field_problem
from crawler.fetch.unverified import parse_host_pattern
from crawler.jobfile.lines import Path
from crawler.jobfile.mistakes import Mistake, nearest
from crawler.jobfile.shapes import table_mistakes
from crawler.policy.host_limits import host_pattern

Section = dict[str, Any]

_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/(?:[\w!#$&^.+-]+|\*)|\*/\*", re.ASCII)
_SECRET: Final = re.compile(r"(?:env|file):.+", re.DOTALL)
_IN_CLEAR: Final = "a secret is named, not written: give env:NAME, an environment variable, or file:PATH, a file that holds it"


def settings_mistakes(document: dict[str, Any], folder: File) -> Iterator[Mistake]:
    """Yield what is wrong with the sections of a job file; `folder` is where the files that they name are looked for."""
    for section in SECTIONS:
        table = document.get(section)
        if table is None:
            continue
        if not isinstance(table, dict):
            yield Mistake((section,), f"must be a table: write [{section}] on a line of its own, and its settings below")
            continue
        known = {key: value for key, value in table.items() if key in getattr(DEFAULTS, section).__struct_fields__}
        yield from (_unknown(section, key) for key in table if key not in known)
        wrong = list(table_mistakes(known, type(getattr(DEFAULTS, section)), (section,), "setting"))
        yield from wrong
        bad = {mistake.path for mistake in wrong}
        for key, value in known.items():
            path: Path = (section, key)
            if path in _CHECKS and path not in bad and value is not None:
                yield from _CHECKS[path](_without(value, path, bad), path, folder)


def _without(value: Any, path: Path, bad: set[Path]) -> Any:
    """Return a list or a table without those parts whose types are wrong already; the others keep their places."""
    entries = {at[len(path)] for at in bad if len(at) > len(path) and at[: len(path)] == path}
    if path == ("politeness", "hosts"):  # looked at by its keys alone
        return value
    if isinstance(value, list):
        return [None if number in entries else item for number, item in enumerate(value)]
    return {key: item for key, item in value.items() if key not in entries} if isinstance(value, dict) else value


def _unknown(section: str, key: str) -> Mistake:
    """Say where the setting that was probably meant is: a right name may stand in a wrong section."""
    known = [f"{other}.{name}" for other, keys in defaults().items() for name in keys]
    elsewhere = next((dotted for dotted in known if dotted.partition(".")[2] == key), None)
    if elsewhere is not None:
        return Mistake((section, key), f"unknown setting; it is {elsewhere}: put it under [{elsewhere.partition('.')[0]}]")
    near = nearest(f"{section}.{key}", known)
    return Mistake((section, key), f"unknown setting; did you mean {near}?" if near else "unknown setting; 'crawl config show' lists all")


def patterns(value: list[str | None], path: Path, _folder: File) -> Iterator[Mistake]:
    """Yield the regular expressions of a list that are none."""
    for number, pattern in enumerate(value):
        try:
            re.compile(pattern or "")
        except (re.error, OverflowError, RecursionError) as error:
            message = error.msg if isinstance(error, re.error) else "too large"
            where = f" at position {error.pos}" if isinstance(error, re.error) and error.pos is not None else ""
            remedy = "it is searched in the whole URL; a character with a meaning of its own, as ? or (, is written with \\ before it"
            yield Mistake((*path, number), f"{pattern!r} is not a regular expression: {message}{where}; {remedy}")


def _parsed(parse: Callable[[str], object]) -> Callable[[Any, Path, File], Iterator[Mistake]]:
    """Return a check of each text in a list, or each key of a table, by a function that raises ValueError."""

    def check(value: list[str | None] | dict[str, Any], path: Path, _folder: File) -> Iterator[Mistake]:
        for key, text in enumerate(value) if isinstance(value, list) else [(key, key) for key in value]:
            try:
                if text is not None:
                    parse(text)
            except ValueError as error:
                yield Mistake((*path, key), str(error))

    return check


def _media_type(text: str) -> None:
    if not _TYPE.fullmatch(text):
        raise ValueError(f'{text!r} is not a media type; write one as in "text/html", or "image/*"')


def _headers(value: dict[str, str], path: Path, _folder: File) -> Iterator[Mistake]:
    seen: set[str] = set()
    for name, text in value.items():
        lower = name.lower()
        if lower in SECRET_HEADERS:
            site = '[fetch.sites."https://example.org"]'
            yield Mistake((*path, name), f"would go to every host; give it to its site, in headers under {site}, as env:NAME or file:PATH")
        elif (problem := field_problem(name, text)) is not None:
            yield Mistake((*path, name), problem)
        elif lower in seen:
            yield Mistake((*path, name), "stands twice, in other letters; join the values with commas")
        seen.add(lower)


def _sites(value: dict[str, Section], path: Path, folder: File) -> Iterator[Mistake]:
    for pattern, table in value.items():
        site = (*path, pattern)
        try:
            SiteRule(pattern, msgspec.convert(table, SiteSettings), lambda _reference: "unread")
        except BadSite as error:
            at = [error.key] if error.key.count(".") == 0 else list(error.key.split(".", 1))
            yield Mistake((*site, *filter(None, at)), str(error))
        for keys, reference in site_secrets(table):
            yield from _secret_file(reference, (*site, *keys), folder)


def site_secrets(site: Section) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the places in a site's settings that name secrets, and what they name."""
    for key in ("password", "bearer"):
        if site.get(key) is not None:
            yield (key,), site[key]
    for name, value in site.get("headers", {}).items():
        if name.lower() in SECRET_HEADERS:
            yield ("headers", name), value


def _proxy_password(value: str, path: Path, folder: File) -> Iterator[Mistake]:
    if not _SECRET.fullmatch(value):
        yield Mistake(path, _IN_CLEAR)
    yield from _secret_file(value, path, folder)


def _secret_file(reference: str, path: Path, folder: File) -> Iterator[Mistake]:
    kind, _, name = reference.partition(":")
    if kind == "file" and name:
        yield from _there(name, path, folder)


def _there(name: str, path: Path, folder: File) -> Iterator[Mistake]:
    if not beside(folder, name).is_file():
        yield Mistake(path, f"there is no file {beside(folder, name)}; a path counts from the job file's folder")


def _proxies(value: dict[str, str], path: Path, _folder: File) -> Iterator[Mistake]:
    for scheme, proxy in value.items():
        try:
            read_proxies(msgspec.structs.replace(DEFAULTS.fetch, proxies={scheme: proxy}), {})
        except UsageError as error:
            yield Mistake((*path, scheme), str(error).removeprefix("fetch.proxies (--proxy): "))


def _no_proxy(value: list[str | None], path: Path, _folder: File) -> Iterator[Mistake]:
    for number, entry in enumerate(value):
        try:
            read_proxies(FetchSettings(no_proxy=[entry] if entry is not None else []), {})
        except UsageError as error:
            yield Mistake((*path, number), str(error).removeprefix("fetch.no_proxy (--no-proxy): "))


_CHECKS: Final[dict[Path, Callable[[Any, Path, File], Iterator[Mistake]]]] = {
    ("scope", "include"): patterns,
    ("scope", "exclude"): patterns,
    ("politeness", "hosts"): _parsed(host_pattern),
    ("fetch", "accept"): _parsed(_media_type),
    ("fetch", "headers"): _headers,
    ("fetch", "sites"): _sites,
    ("fetch", "cookie_file"): _there,
    ("fetch", "proxies"): _proxies,
    ("fetch", "proxy_password"): _proxy_password,
    ("fetch", "no_proxy"): _no_proxy,
    ("fetch", "allow_addresses"): _parsed(parse_network),
    ("fetch", "insecure"): _parsed(parse_host_pattern),
}
"""What is looked at once the types are right."""


def settings_values(document: dict[str, Any], folder: File) -> dict[str, Any]:
    """Return the settings of a job file without mistakes, by ``section.key``; files that they name count from `folder`."""
    values = {
        f"{section}.{key}": value for section in SECTIONS for key, value in (document.get(section) or {}).items() if value is not None
    }
    if "fetch.cookie_file" in values:
        values["fetch.cookie_file"] = str(beside(folder, values["fetch.cookie_file"]))
    if "fetch.proxy_password" in values:
        values["fetch.proxy_password"] = _beside(folder, values["fetch.proxy_password"])
    if "fetch.sites" in values:
        values["fetch.sites"] = {pattern: _placed(site, folder) for pattern, site in values["fetch.sites"].items()}
    return values


def _placed(site: Section, folder: File) -> Section:
    placed = {**site, **({"headers": dict(site["headers"])} if "headers" in site else {})}
    for keys, reference in site_secrets(site):
        inner = placed["headers"] if len(keys) > 1 else placed
        inner[keys[-1]] = _beside(folder, reference)
    return placed


def _beside(folder: File, reference: str) -> str:
    kind, _, name = reference.partition(":")
    return f"file:{beside(folder, name)}" if kind == "file" else reference


def beside(folder: File, name: str) -> File:
    """Return the file that a job file in `folder` names."""
    try:
        return folder / File(name).expanduser()
    except RuntimeError:  # ~ of nobody
        return folder / name
