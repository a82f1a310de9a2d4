"""The options about sites become settings, or are refused before anything is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from crawler.cli.options import SectionedCommand, given_settings, run_sections
from crawler.cli.run import load_settings
from crawler.cli.site_options import merged_sites, open_session
from crawler.config import FetchSettings, SiteSettings
from crawler.errors import InvalidConfig, UsageError


def settings_of(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.pass_context
    def callback(ctx: click.Context, /, **_: Any) -> None:
        found.update(given_settings(ctx))

    SectionedCommand("run", sections=run_sections(), callback=callback).main(list(arguments), standalone_mode=False)
    return found


def fetch_settings(**values: Any) -> FetchSettings:
    return msgspec.convert(values, FetchSettings)


def test_options_about_sites_become_one_setting() -> None:
    given = settings_of(
        *["--header-for", "a.org", "X-A: 1", "--header-for", "a.org", "x-b:2 ", "--basic", "a.org", "ann", "env:A"],
        *["--bearer", "https://b.org", "file:/b"],
    )
    assert given == {
        "fetch.sites": {
            "a.org": {"headers": {"X-A": "1", "x-b": "2"}, "user": "ann", "password": "env:A"},
            "https://b.org": {"bearer": "file:/b"},
        }
    }


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--header-for", "a.org", "no header"], ["--header-for a.org: not a header"]),
        (["--header-for", "a.org", "Host: x"], ["--header-for a.org: Host: is set by the crawler itself"]),
        (["--header-for", "a.org/x", "A: x"], ["--header-for a.org/x: not a site"]),
        (["--header-for", "https://me:hush@a.org", "A: x"], ["--header-for https://me:…@a.org: not a site"]),
        (["--header-for", "a.org", "A: x", "--header-for", "a.org", "a: y"], ["a is given twice"]),
        (["--header-for", "a.org", "Authorization: Basic hush"], ["--header-for a.org: Authorization: a secret is named", "env:NAME"]),
        (["--basic", "a.org", "ann", "hush"], ["--basic a.org: a secret is named, not written: give env:NAME"]),
        (["--basic", "a.org", "ann:hush", "env:X"], ["--basic a.org: a user name has no colon"]),
        (["--bearer", "a.org", "hush"], ["--bearer a.org: a secret is named, not written"]),
        (["--bearer", "a.org", "env:X", "--basic", "a.org", "ann", "env:Y"], ["--bearer a.org: this site has a credential already"]),
        (["--basic", "a.org", "ann", "env:X", "--basic", "a.org", "bob", "env:Y"], ["--basic a.org: this site has"]),
        (["--no-cookies", "--cookie-file", "x"], ["--cookie-file: turns cookies on, and --no-cookies off"]),
    ],
)
def test_mistakes_are_named_with_the_option_and_secrets_are_not(arguments: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(*arguments)
    for part in parts:
        assert part in str(caught.value)
    assert "hush" not in str(caught.value)


def test_options_about_cookies() -> None:
    assert settings_of("--cookies") == {"fetch.cookies": True}
    assert settings_of("--cookie-file", "c.txt") == {"fetch.cookie_file": "c.txt"}
    assert settings_of("--no-cookies") == {"fetch.cookies": False, "fetch.cookie_file": None}


def test_headers_of_the_command_line_join_those_of_the_file_and_a_credential_replaces_another() -> None:
    before = {
        "a.org": SiteSettings(headers={"X-A": "1", "X-B": "1"}, user="ann", password="env:A"),
        "b.org": SiteSettings(bearer="env:B"),
    }
    after = merged_sites(before, {"a.org": {"headers": {"x-b": "2"}, "bearer": "env:C"}, "c.org": {"headers": {"X": "1"}}})
    settings = fetch_settings(sites=after)
    assert settings.sites == {
        "a.org": SiteSettings(headers={"X-A": "1", "x-b": "2"}, bearer="env:C"),
        "b.org": SiteSettings(bearer="env:B"),
        "c.org": SiteSettings(headers={"X": "1"}),
    }


def test_the_sites_of_a_file_are_kept_beside_those_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text('[fetch.sites."a.org"]\nbearer = "env:A"\n')
    sites = load_settings(str(file), settings_of("--header-for", "b.org", "X-B: 1")).fetch.sites
    assert sites == {"a.org": SiteSettings(bearer="env:A"), "b.org": SiteSettings(headers={"X-B": "1"})}


def test_a_session_is_opened_only_when_something_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_session(fetch_settings(), ["http://a.org/"]) is None
    monkeypatch.setenv("TEST_SECRET", "hush")
    site = {"a.org": {"bearer": "env:TEST_SECRET"}}
    session = open_session(fetch_settings(sites=site), ["https://a.org/"])
    assert session is not None
    assert session.fields("https://a.org/") == b"Authorization: Bearer hush\r\n"
    with pytest.raises(UsageError, match=r"http://a.org/ would be asked without the credentials of 'a.org'"):
        open_session(fetch_settings(sites=site), ["https://a.org/", "http://a.org/x"])
    monkeypatch.delenv("TEST_SECRET")
    with pytest.raises(InvalidConfig, match=r'fetch.sites."a.org".bearer: the environment variable TEST_SECRET is not set'):
        open_session(fetch_settings(sites=site), [])
