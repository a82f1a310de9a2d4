from __future__ import annotations

from typing import Any

import click
import msgspec
import pytest

from crawler.cli.options import SectionedCommand, SettingOption, given_settings, parse_headers, run_sections
from crawler.config import DEFAULTS, load
from crawler.errors import UsageError


def settings_of(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.pass_context
    def callback(ctx: click.Context, /, **_: Any) -> None:
        found.update(given_settings(ctx))

    SectionedCommand("run", sections=run_sections(), callback=callback).main(list(arguments), standalone_mode=False)
    return found


def test_only_what_is_given_overrides() -> None:
    assert settings_of() == {}


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("--scope domain --depth 0", {"scope.scope": "domain", "scope.depth": 0}),
        ("--include a --include b", {"scope.include": ["a", "b"]}),
        ("--max-time 10m --timeout 1500ms", {"scope.max_time": 600.0, "fetch.timeout": 1.5}),
        ("--max-body 2M --delay 0", {"fetch.max_body": 2097152, "politeness.delay": 0.0}),
        ("--no-robots --no-sitemaps", {"politeness.robots": False, "scope.sitemaps": False}),
        ("--robots --record-links", {"politeness.robots": True, "store.record_links": True}),
        ("--text markdown --archive", {"store.text": "markdown", "store.archive": True}),
        ("--requisites --near-duplicates skip", {"scope.requisites": True, "scope.near_duplicates": "skip"}),
        ("--header X-A:1 --accept text/html", {"fetch.headers": {"X-A": "1"}, "fetch.accept": ["text/html"]}),
        ("--reactor uvloop --workers 3", {"service.reactor": "uvloop", "parse.workers": 3}),
    ],
)
def test_options_become_settings(arguments: str, settings: dict[str, Any]) -> None:
    assert settings_of(*arguments.split()) == settings
    load(flags=settings)  # and are valid ones


def setting_options() -> list[SettingOption]:
    return [option for section in run_sections() for option in section.options if isinstance(option, SettingOption)]


def test_every_option_names_a_setting_that_exists_and_none_twice() -> None:
    keys = [option.key for option in setting_options()]
    known = {f"{section}.{key}" for section, values in msgspec.to_builtins(DEFAULTS).items() for key in values}
    assert set(keys) <= known
    assert len(keys) == len(set(keys))


def test_the_help_shows_the_settings_own_defaults() -> None:
    command = SectionedCommand("run", sections=run_sections())
    text = " ".join(command.get_help(click.Context(command)).split())
    for shown in ("[default: 64]", "[default: 0.25 s]", "[default: 10M]", "[default: host]", "[default: yes]", "[default: one per core]"):
        assert shown in text


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("no colon", "not a header"),
        ("Bad Name: x", "not a header"),
        ("X-A: one\nX-B: two", "not a header"),
        ("Host: elsewhere", "set by the crawler itself"),
        ("content-length: 5", "set by the crawler itself"),
        ("User-Agent: me", "use --user-agent"),
        ("Authorization: Basic bWU6c2VjcmV0", "would go to every host; give it to its site: --basic SITE USER env:NAME"),
        ("cookie: a=1", "would go to every host; give it to its site: --header-for SITE 'Cookie: env:NAME', or --cookie-file"),
        ("Proxy-Authorization: x", "set by the crawler itself"),
    ],
)
def test_headers_that_are_refused(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_headers([line])


def test_headers() -> None:
    assert parse_headers(["Accept-Language:  en ", "X-Colons: a=1: b", "X-Empty:"]) == {
        "Accept-Language": "en",
        "X-Colons": "a=1: b",
        "X-Empty": "",
    }
    with pytest.raises(UsageError, match="given twice"):
        parse_headers(["X-A: a=1", "x-a: b=2"])
