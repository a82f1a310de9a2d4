"""``--proxy``, ``--proxy-password`` and ``--no-proxy`` as settings."""

from __future__ import annotations

from typing import Any

import click
import pytest

from crawler.cli.options import SectionedCommand, given_settings, run_sections
from crawler.cli.proxy_options import check_proxies, parse_proxies
from crawler.config import load
from crawler.errors import InvalidConfig, UsageError


def settings_of(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.pass_context
    def callback(ctx: click.Context, /, **_: Any) -> None:
        found.update(given_settings(ctx))

    SectionedCommand("run", sections=run_sections(), callback=callback).main(list(arguments), standalone_mode=False)
    return found


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("--proxy http://h:1", {"fetch.proxies": {"all": "http://h:1"}}),
        ("--proxy HTTP=http://h:1 --proxy all=socks5://s", {"fetch.proxies": {"http": "http://h:1", "all": "socks5://s"}}),
        ("--proxy env", {"fetch.proxies": {"all": "env"}}),
        ("--proxy https=env", {"fetch.proxies": {"https": "env"}}),
        ("--proxy http://a=b@h:1", {"fetch.proxies": {"all": "http://a=b@h:1"}}),
        ("--no-proxy a.test --no-proxy 10.0.0.0/8", {"fetch.no_proxy": ["a.test", "10.0.0.0/8"]}),
        ("--proxy-password env:WORD", {"fetch.proxy_password": "env:WORD"}),
    ],
)
def test_options_become_settings(arguments: str, settings: dict[str, Any]) -> None:
    assert settings_of(*arguments.split()) == settings
    load(flags=settings)


@pytest.mark.parametrize("values", [["http://h:1", "all=http://h:2"], ["http=http://h:1", "http=http://h:1"], ["ftp=http://h:1"]])
def test_what_cannot_be_meant(values: list[str]) -> None:
    with pytest.raises(UsageError, match="--proxy"):
        parse_proxies(values)


@pytest.mark.parametrize("option", ["--no-proxy", "--proxy-password"])
def test_an_option_that_would_do_nothing_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=option):
        check_proxies(load(flags=settings_of(option, "env:WORD")))


def test_settings_that_wait_for_a_proxy_are_none_of_a_mistake() -> None:
    check_proxies(load(environment={"CRAWL_FETCH__NO_PROXY": '["a.test"]', "CRAWL_FETCH__PROXY_PASSWORD": "env:WORD"}))


def test_who_is_at_fault_decides_the_error() -> None:
    wrong = '{ all = "http://h" }'
    with pytest.raises(InvalidConfig, match="port is missing"):
        check_proxies(load(environment={"CRAWL_FETCH__PROXIES": wrong}))
    with pytest.raises(UsageError, match="port is missing"):
        check_proxies(load(flags={"fetch.proxies": {"all": "http://h"}}))
