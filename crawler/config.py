"""Every setting, its default and its limits; `config/default.toml` says the same and a test holds them equal.

Precedence: command-line flag > environment (``CRAWL_SECTION__KEY``) > job file > configuration file > default. `load`
returns the values together with the origin of each, so that ``crawl config show`` can print both.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from crawler.errors import InvalidConfig

# The upper limits keep numbers exact in SQLite and in JSON, and infinity out of the timers.
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=1e9)]
Scope = Literal["host", "domain", "prefix", "any"]
NearDuplicates = Literal["follow", "skip"]
Text = Literal["off", "text", "markdown"]
Extractor = Literal["auto", "resiliparse", "trafilatura"]
Reactor = Literal["default", "select", "poll", "epoll", "asyncio", "uvloop"]


class ScopeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which URLs belong to the crawl, and how many of them."""

    scope: Scope = "host"
    include: list[str] = []
    exclude: list[str] = []
    depth: Count | None = None
    max_pages: Positive | None = None
    max_pages_per_host: Positive | None = None
    max_time: PositiveSeconds | None = None
    sitemaps: bool = True
    traps: bool = True
    requisites: bool = False
    probe_external: bool = False
    near_duplicates: NearDuplicates = "follow"


class HostSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the hosts of one pattern may be asked to bear; unset: as all others."""

    per_host: Positive | None = None
    delay: Seconds | None = None


class PolitenessSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a host may be asked to bear."""

    per_host: Positive = 2
    delay: Seconds = 0.25
    max_delay: PositiveSeconds = 60.0
    robots: bool = True
    robots_ttl: PositiveSeconds = 86400.0
    user_agent: Annotated[str, Meta(min_length=1, pattern=r"^[\x20-\x7e]+$")] = "Crawl/0.1"
    nofollow: bool = True
    hosts: dict[str, HostSettings] = {}


class SiteSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What requests to the sites of one pattern carry. Secrets are named, not written: ``env:NAME`` or ``file:PATH``."""

    headers: dict[str, str] = {}
    user: str | None = None  # basic authentication (RFC 7617), with `password`
    password: str | None = None
    bearer: str | None = None  # a token (RFC 6750)


class FetchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How one request is made, and when it is given up."""

    concurrency: Positive = 64
    stalled: Count = 1000
    timeout: PositiveSeconds = 30.0
    connect_timeout: PositiveSeconds = 10.0
    first_byte_timeout: PositiveSeconds = 20.0
    min_rate: Count = 100
    max_body: Positive = 10 * 1024 * 1024
    retries: Count = 2
    retry_delay: PositiveSeconds = 1.0
    max_retry_after: PositiveSeconds = 3600.0
    max_redirects: Count = 10
    accept: list[str] = []
    headers: dict[str, str] = {}
    sites: dict[str, SiteSettings] = {}
    cookies: bool = False
    cookie_file: str | None = None
    proxies: dict[str, str] = {}
    proxy_password: str | None = None
    no_proxy: list[str] = []
    allow_addresses: list[str] = []
    insecure: list[str] = []


class ParseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a page may cost the parse workers."""

    workers: Annotated[int, Meta(ge=0, le=256)] = 0
    page_time: PositiveSeconds = 5.0
    page_memory: Positive = 512 * 1024 * 1024
    max_decoded: Positive = 50 * 1024 * 1024
    max_links: Positive = 10_000
    recycle_after: Positive = 20_000


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written and how often it is made durable."""

    commit_interval: PositiveSeconds = 0.1
    commit_pages: Positive = 500
    record_headers: bool = False
    record_links: bool = False
    record_anchors: bool = False
    text: Text = "off"
    extractor: Extractor = "auto"
    simhash: bool = False
    archive: bool = False
    archive_size: Positive = 1024 * 1024 * 1024


class ServiceSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The process itself."""

    reactor: Reactor = "default"
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    stop_timeout: Seconds = 10.0
    stall_threshold: PositiveSeconds = 0.1


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, by section as in the TOML file."""

    scope: ScopeSettings = field(default_factory=ScopeSettings)
    politeness: PolitenessSettings = field(default_factory=PolitenessSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    parse: ParseSettings = field(default_factory=ParseSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)


DEFAULTS: Final = Settings()
SECTIONS: Final = tuple(Settings.__struct_fields__)
ENVIRONMENT_PREFIX: Final = "CRAWL_"

Values = dict[str, dict[str, Any]]


class Loaded(Struct, frozen=True):
    """Settings and, per ``section.key``, where the value came from."""

    settings: Settings
    origins: dict[str, str]


def defaults() -> Values:
    """Return every default as plain values, by section and key."""
    values: Values = msgspec.to_builtins(DEFAULTS)
    return values


def setting(settings: Settings, dotted: str) -> Any:
    """Return the value of a setting by its name: ``store.archive``."""
    section, _, key = dotted.partition(".")
    return getattr(getattr(settings, section), key)


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return settings of which some, by name, have other values; these are not checked."""
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        settings = replace(settings, **{section: replace(getattr(settings, section), **{key: value})})
    return settings


def load(
    *,
    file: Path | None = None,
    job: tuple[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Merge defaults, a TOML file, a job file's name and settings, the environment and flags (``{"fetch.concurrency": 8}``).

    The last wins.
    Raises InvalidConfig with every mistake found, each named by its place and the nearest valid key.
    """
    values = defaults()
    origins = {f"{section}.{key}": "default" for section, keys in values.items() for key in keys}
    problems: list[str] = []
    layers: list[tuple[str, dict[str, Any]]] = []
    if file is not None:
        layers.append((str(file), _read_file(file, problems)))
    if job is not None:
        layers.append((job[0], dict(job[1])))
    if environment is not None:
        layers.append(("environment", _read_environment(environment)))
    if flags:
        layers.append(("flag", dict(flags)))
    for source, layer in layers:
        for dotted, value in layer.items():
            section, _, key = dotted.partition(".")
            if dotted not in origins:
                problems.append(f"{_place(source, dotted)}: unknown setting{_nearest(dotted, origins)}")
                continue
            problem = _check_value(section, key, value)
            if problem:
                problems.append(f"{_place(source, dotted)}: {problem}")
                continue
            values[section][key] = value
            origins[dotted] = _place(source, dotted)
    if problems:
        raise InvalidConfig("\n".join(problems))
    return Loaded(msgspec.convert(values, Settings), origins)


def _place(source: str, dotted: str) -> str:
    if source == "environment":
        return f"environment {environment_name(dotted)}"
    if source == "flag":
        return f"option --{dotted.partition('.')[2].replace('_', '-')}"
    return f"{source}: {dotted}"


def environment_name(dotted: str) -> str:
    """Return the environment variable of a setting: ``fetch.max_body`` is ``CRAWL_FETCH__MAX_BODY``."""
    return ENVIRONMENT_PREFIX + dotted.replace(".", "__").upper()


def _nearest(dotted: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(dotted, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "; 'crawl config show' lists all"


def _check_value(section: str, key: str, value: Any) -> str | None:
    """Return what is wrong with one value, or None."""
    kind = type(getattr(DEFAULTS, section))
    try:
        msgspec.convert({key: value}, kind)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return None


def _read_file(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidConfig(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{file}: not UTF-8: byte {error.start} cannot be read") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"{file}: not TOML: {error}") from error
    flat: dict[str, Any] = {}
    for section, keys in document.items():
        if section not in SECTIONS:
            close = difflib.get_close_matches(section, SECTIONS, n=1)
            hint = f"; did you mean [{close[0]}]?" if close else f"; sections are {', '.join(SECTIONS)}"
            problems.append(f"{file}: [{section}]: unknown section{hint}")
        elif not isinstance(keys, dict):
            problems.append(f"{file}: {section}: must be a section: write [{section}] on a line of its own")
        else:
            flat.update({f"{section}.{key}": value for key, value in keys.items()})
    return flat


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        dotted = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
        flat[dotted] = _parse_environment(dotted, text)
    return flat


def _parse_environment(dotted: str, text: str) -> Any:
    """Read a value as TOML would, so that numbers, booleans and lists work; what is not TOML is a string."""
    section, _, key = dotted.partition(".")
    default = getattr(getattr(DEFAULTS, section, None), key, None)
    if isinstance(default, str):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def config_file_from(environment: Mapping[str, str]) -> Path | None:
    """Return the configuration file to read: ``CRAWL_CONFIG``, else the user's own if it exists.

    The user's own is ``$XDG_CONFIG_HOME/crawl/config.toml``, by default ``~/.config/crawl/config.toml``.
    """
    named = environment.get("CRAWL_CONFIG")
    if named:
        return Path(named)
    xdg = environment.get("XDG_CONFIG_HOME")
    base = Path(xdg) if xdg else Path(environment.get("HOME", "")) / ".config"
    own = base / "crawl" / "config.toml"
    return own if own.is_file() else None
