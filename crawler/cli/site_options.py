"""The options about sites: headers, credentials and cookies; and the session they make, before anything is begun."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from crawler.config import FetchSettings, SiteSettings
from crawler.errors import UsageError

if TYPE_CHECKING:
    from crawler.fetch.sites import Session

Site = dict[str, Any]
"""The settings of one pattern, as plain values."""

_CREDENTIALS: Final = ("user", "password", "bearer")


def site_options() -> list[click.Option]:
    """Return the options whose values become ``fetch.sites``."""
    return [
        click.Option(
            ["--header-for"],
            nargs=2,
            multiple=True,
            metavar="SITE 'NAME: VALUE'",
            help="Send this header to a site: example.org, *.example.org, https://example.org:8443. Repeatable.",
        ),
        click.Option(
            ["--basic"],
            nargs=3,
            multiple=True,
            metavar="SITE USER SECRET",
            help="Log in to a site (basic authentication), by https unless SITE has http://; SECRET is env:NAME or file:PATH. Repeatable.",
        ),
        click.Option(
            ["--bearer"], nargs=2, multiple=True, metavar="SITE SECRET", help="Send this token to a site, in the same way. Repeatable."
        ),
    ]


def given_sites(params: Mapping[str, Any]) -> dict[str, Site]:
    """Return the settings by pattern that the options give.

    Raises UsageError for a pattern, a header or a credential that cannot be; secrets are not read here.
    """
    sites: dict[str, Site] = {}
    for pattern, line in params.get("header_for") or ():
        _add_header(sites.setdefault(pattern, {}), pattern, line)
    for pattern, user, password in params.get("basic") or ():
        _add_credential(sites.setdefault(pattern, {}), "--basic", pattern, {"user": user, "password": password})
    for pattern, token in params.get("bearer") or ():
        _add_credential(sites.setdefault(pattern, {}), "--bearer", pattern, {"bearer": token})
    return sites


def _add_header(site: Site, pattern: str, line: str) -> None:
    name, colon, value = line.partition(":")
    if not colon:
        raise UsageError(f"--header-for {_shown(pattern)}: not a header; write it like --header-for example.org 'Accept-Language: en'")
    headers = site.setdefault("headers", {})
    if name.lower() in {known.lower() for known in headers}:
        raise UsageError(f"--header-for {_shown(pattern)}: {name} is given twice; join the values with commas")
    headers[name] = value.strip(" \t")
    _check("--header-for", pattern, {"headers": {name: headers[name]}})


def _add_credential(site: Site, option: str, pattern: str, credential: Site) -> None:
    if site.keys() & set(_CREDENTIALS):
        raise UsageError(f"{option} {_shown(pattern)}: this site has a credential already; give one for each")
    site |= credential
    _check(option, pattern, credential)


def _check(option: str, pattern: str, site: Site) -> None:
    """Raise UsageError naming the option when a site's settings cannot be."""
    from crawler.fetch.sites import BadSite, SiteRule

    try:
        SiteRule(pattern, msgspec.convert(site, SiteSettings), lambda _reference: "unread")
    except BadSite as error:
        name = f" {error.key.removeprefix('headers.')}:" if error.key.startswith("headers.") else ""
        raise UsageError(f"{option} {_shown(pattern)}:{name} {error}") from error


def _shown(pattern: str) -> str:
    from crawler.secret import without_password

    return without_password(pattern)


def merged_sites(before: Mapping[str, SiteSettings], given: dict[str, Site]) -> dict[str, Site]:
    """Return the sites of file and environment with those of the command line: headers add up, a credential replaces another."""
    sites: dict[str, Site] = {pattern: msgspec.to_builtins(site) for pattern, site in before.items()}
    for pattern, new in given.items():
        old = sites.get(pattern, {})
        if new.keys() & set(_CREDENTIALS):
            old = {key: value for key, value in old.items() if key not in _CREDENTIALS}
        names = {name.lower() for name in new.get("headers", {})}
        headers = {name: value for name, value in old.get("headers", {}).items() if name.lower() not in names}
        sites[pattern] = {**old, **new, "headers": {**headers, **new.get("headers", {})}}
    return sites


def open_session(settings: FetchSettings, seeds: Iterable[str]) -> Session | None:
    """Return the session that `settings` ask for, its secrets and cookies read; None when all requests are alike.

    Raises InvalidConfig for what cannot be used, UsageError for a seed (canonical) that would not get its credentials.
    """
    if not settings.sites and not settings.cookies and settings.cookie_file is None:
        return None
    from crawler.fetch.sites import make_session

    session = make_session(settings, now=time.time)
    for seed in seeds if session is not None else ():
        if session is not None and (told := session.withheld(seed)) is not None:
            raise UsageError(told)
    return session
