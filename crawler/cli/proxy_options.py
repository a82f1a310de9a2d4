"""The options about proxies, as settings; and whether proxies can be made of the settings, before anything is begun."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from crawler.config import Loaded
from crawler.errors import InvalidConfig, UsageError

PROXY_HELP: Final = (
    "Fetch through a proxy: http://user@host:3128 or socks5://host:1080, for all URLs or, with http= or https= before it, for those. "
    "'env': the proxies that http_proxy, https_proxy, all_proxy and no_proxy name, as with curl; HTTP_PROXY in capitals is not read. "
    "Repeatable."
)
_BY_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)=(.*)", re.DOTALL)
_KEYS: Final = {"proxies": "--proxy", "proxy_password": "--proxy-password", "no_proxy": "--no-proxy"}


def parse_proxies(values: Sequence[str]) -> dict[str, str]:
    """Return the proxies given as ``URL`` or ``SCHEME=URL``, by scheme.

    Raises UsageError for a scheme that is none or is given twice; the URLs are not looked at.
    """
    proxies: dict[str, str] = {}
    for value in values:
        found = _BY_SCHEME.fullmatch(value)
        scheme, url = (found[1].lower(), found[2]) if found else ("all", value)
        if scheme not in ("http", "https", "all"):
            raise UsageError(f"--proxy {scheme}=…: the schemes of URLs that are crawled are http and https")
        if scheme in proxies:
            whose = "all URLs" if scheme == "all" else f"{scheme}:// URLs"
            raise UsageError(f"--proxy: given twice for {whose}; give one, or one each: --proxy http=URL --proxy https=URL")
        proxies[scheme] = url
    return proxies


def check_proxies(loaded: Loaded) -> None:
    """Raise UsageError, or InvalidConfig where no option is at fault, when the settings about proxies cannot be used."""
    fetch = loaded.settings.fetch
    given = [option for key, option in _KEYS.items() if loaded.origins[f"fetch.{key}"].startswith("option ")]
    if not fetch.proxies and given:
        raise UsageError(f"{given[0]}: there is no proxy; name one with --proxy URL")
    if not fetch.proxies and not fetch.no_proxy:
        return
    from crawler.fetch.proxy import read_proxies

    try:
        read_proxies(fetch)
    except UsageError as error:
        if given:
            raise
        raise InvalidConfig(str(error)) from error
