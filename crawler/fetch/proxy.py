"""Which proxy a URL goes through: by its scheme, unless its host is to be reached directly. Pure once it is made.

Kinds: ``http`` (RFC 9110 section 9.3.6 for https, RFC 9112 section 3.2.2 for http) and ``socks5`` (RFC 1928). With either, names are
resolved at the proxy. The words of the settings are those of curl, and so are the environment's variables (`read_proxies`).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from crawler import url as urls
from crawler.config import FetchSettings
from crawler.errors import UsageError
from crawler.fetch.guard import parse_address
from crawler.secret import read_secret, without_password

Kind = Literal["http", "socks5"]

FROM_ENVIRONMENT: Final = "env"
"""Stands for a proxy in the settings: the one that the environment names."""

_KINDS: Final[Mapping[str, Kind]] = {"http": "http", "socks5": "socks5", "socks5h": "socks5"}
_SOCKS_PORT: Final = 1080  # IANA's; for http proxies custom knows three or four
_SOCKS_MAX: Final = 255  # bytes of a user and of a password (RFC 1929)

# curl's: HTTP_PROXY in upper case is never read, as a web server sets it for CGI programs from a request's "Proxy" field.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}


class Proxy(Struct, frozen=True):
    """A proxy and what it is told about us. Its `repr`, which may get into a log, leaves the password out."""

    kind: Kind
    host: str  # canonical; an IPv6 address in brackets
    port: int
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its address as a URL, without credentials."""
        return f"{self.kind}://{self.host}:{self.port}"

    def authorization(self) -> bytes:
        """Return the header line with the credentials for an http proxy (RFC 7617, UTF-8), nothing if there are none."""
        if self.user is None:
            return b""
        credentials = base64.b64encode(f"{self.user}:{self.password or ''}".encode())
        return b"Proxy-Authorization: Basic " + credentials + b"\r\n"


class DirectHosts:
    """The hosts that are reached without proxy."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Take ``name`` (with its subdomains), ``address``, ``network/bits``, either of the first two with ``:port``, or ``*``.

        Raises UsageError for anything else.
        """
        self._all = False
        self._names: dict[str, set[int | None]] = {}  # by canonical name or address; the port, or None for all of them
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        text = entry.strip()
        if text == "*":
            self._all = True
            return
        if "/" in text:
            self._networks.append(_network(text))
            return
        bare = parse_address(text) if text.count(":") > 1 and not text.startswith("[") else None
        name = f"[{bare}]" if bare is not None else text.removeprefix("*").removeprefix(".")
        url = urls.canonicalise(f"http://{name}/") if re.fullmatch(r"[^\s/?#@\\]+", name) else None
        if url is None:
            raise _wrong_direct(entry)
        port = urls.port(url) if re.search(r":\d+$", name) and bare is None else None
        self._names.setdefault(urls.host(url), set()).add(port)

    def __contains__(self, url: object) -> bool:
        """Tell whether a canonical URL is fetched without proxy."""
        assert isinstance(url, str)
        if self._all or not (self._names or self._networks):
            return self._all
        host, port = urls.host(url), urls.port(url)
        if any(not ports.isdisjoint((None, port)) for name in _with_parents(host) if (ports := self._names.get(name))):
            return True
        address = parse_address(host) if self._networks else None
        return address is not None and any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        raise _wrong_direct(text) from None


def _wrong_direct(entry: str) -> UsageError:
    remedy = "write example.org (with its subdomains), example.org:8080, 10.0.0.0/8 or *"
    return UsageError(f"fetch.no_proxy (--no-proxy): {without_password(entry)!r} is no host; {remedy}")


def _with_parents(host: str) -> Iterable[str]:
    """Yield a host and the names it lies under; an address lies under none."""
    yield host
    if host.startswith("[") or parse_address(host) is not None:
        return
    while "." in host:
        host = host.partition(".")[2]
        yield host


class Proxies:
    """The proxies of a crawl, by scheme of the URL."""

    def __init__(self, by_scheme: Mapping[str, Proxy], direct: DirectHosts) -> None:
        self._by_scheme = dict(by_scheme)
        self._direct = direct

    def __bool__(self) -> bool:
        return bool(self._by_scheme)

    def for_url(self, url: str) -> Proxy | None:
        """Return the proxy through which a canonical URL is fetched, or None: directly."""
        proxy = self._by_scheme.get(url[: url.find(":")])
        return None if proxy is None or url in self._direct else proxy


def read_proxies(settings: FetchSettings, environment: Mapping[str, str] | None = None) -> Proxies:
    """Make the proxies of the settings `proxies`, `proxy_password` and `no_proxy`.

    The proxy ``env`` stands for the variables of `environment` that curl reads: ``http_proxy``, ``https_proxy``, ``all_proxy`` and
    ``no_proxy``, all but the first in capitals, too. Only there a password may be part of the URL. `environment` stands in for the
    process's own. Raises UsageError naming the setting.
    """
    environment = os.environ if environment is None else environment
    _check_schemes(settings.proxies)
    by_scheme: dict[str, Proxy] = {}
    direct = list(settings.no_proxy)
    for scheme in ("http", "https"):
        text = settings.proxies.get(scheme, settings.proxies.get("all"))
        proxy = _from_environment(scheme, environment) if text == FROM_ENVIRONMENT else _from_setting(text)
        if proxy is not None:
            by_scheme[scheme] = proxy
    if FROM_ENVIRONMENT in settings.proxies.values():
        direct += [entry for entry in re.split(r"[,\s]+", environment.get("no_proxy") or environment.get("NO_PROXY", "")) if entry]
    by_scheme = _with_password(by_scheme, settings.proxy_password, environment)
    for proxy in by_scheme.values():
        _check_credentials(proxy)
    return Proxies(by_scheme, DirectHosts(direct))


def _check_schemes(proxies: Mapping[str, str]) -> None:
    for scheme in proxies:
        if scheme not in ("http", "https", "all"):
            raise UsageError(f"fetch.proxies (--proxy): {scheme!r} is no scheme of URLs that are crawled; there are http, https and all")


def _from_setting(text: str | None) -> Proxy | None:
    if text is None:
        return None
    place = f"fetch.proxies (--proxy): {without_password(text)!r}"
    proxy = parse_proxy(text, place)
    if proxy.password is not None:
        raise UsageError(
            f"{place}: a password is named, not written; leave it out of the proxy's URL and set "
            "fetch.proxy_password (--proxy-password) to env:NAME or file:PATH"
        )
    return proxy


def _from_environment(scheme: str, environment: Mapping[str, str]) -> Proxy | None:
    for variable in _VARIABLES[scheme]:
        text = environment.get(variable, "").strip()
        if text:
            return parse_proxy(
                text if "://" in text else f"http://{text}", f"the environment variable {variable}: {without_password(text)!r}"
            )
    return None


def parse_proxy(text: str, place: str) -> Proxy:
    """Return the proxy that ``http://[user[:password]@]host:port`` or ``socks5://…`` names.

    Raises UsageError whose message begins with `place`.
    """
    wanted = "write it like http://user@proxy.example:3128 or socks5://127.0.0.1:1080"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{place}: not a proxy: no such port; {wanted}") from error
    if parts.scheme not in _KINDS:
        raise UsageError(f"{place}: not a proxy of a kind known here, which are http and socks5; {wanted}")
    host = _host(parts)
    if host is None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{place}: not a proxy: it has a host and a port and nothing else; {wanted}")
    kind = _KINDS[parts.scheme]
    port = _SOCKS_PORT if port is None and kind == "socks5" else port
    if not port:
        raise UsageError(f"{place}: the proxy's port is missing; {wanted}")
    user, password = (unquote(part) if part is not None else None for part in (parts.username or None, parts.password))
    return Proxy(kind, host, port, user, password)


def _host(parts: SplitResult) -> str | None:
    name = parts.hostname or ""
    url = urls.canonicalise(f"http://[{name}]/" if ":" in name else f"http://{name}/") if name else None
    return urls.host(url) if url is not None else None


def _with_password(by_scheme: dict[str, Proxy], reference: str | None, environment: Mapping[str, str]) -> dict[str, Proxy]:
    """Give the password that the settings name to every proxy that has a user and no password of its own."""
    if reference is None or not by_scheme:
        return by_scheme
    if all(proxy.user is None for proxy in by_scheme.values()):
        raise UsageError(
            "fetch.proxy_password (--proxy-password): no proxy has a user; name the user, as in http://user@proxy.example:3128"
        )
    try:
        secret = read_secret(reference, environment)
    except UsageError as error:
        raise UsageError(f"fetch.proxy_password (--proxy-password): {error}") from error
    return {
        scheme: Proxy(proxy.kind, proxy.host, proxy.port, proxy.user, secret) if proxy.user and proxy.password is None else proxy
        for scheme, proxy in by_scheme.items()
    }


def _check_credentials(proxy: Proxy) -> None:
    """Raise UsageError for credentials that the proxy's kind cannot carry."""
    if proxy.user is None:
        return
    if not (proxy.user + (proxy.password or "")).isprintable():
        raise UsageError(f"the proxy {proxy.name}: user and password may hold no control characters")
    if proxy.kind == "http" and ":" in proxy.user:
        raise UsageError(f"the proxy {proxy.name}: the user's name may hold no colon (RFC 7617)")
    if proxy.kind == "socks5" and not proxy.password:
        raise UsageError(f"the proxy {proxy.name}: a user of socks5 needs a password; set fetch.proxy_password (--proxy-password)")
    if proxy.kind == "socks5" and max(len(proxy.user.encode()), len((proxy.password or "").encode())) > _SOCKS_MAX:
        raise UsageError(f"the proxy {proxy.name}: user and password may have {_SOCKS_MAX} bytes each (RFC 1929)")
