"""Scope: which URLs belong to the crawl. A table of named rules, asked in order; the first that refuses decides.

Scopes, by their setting:

- ``host``: host and port of a seed. The default ports of http and https count as one site.
- ``domain``: the registrable domain of a seed, any port. Registrable domains follow the Public Suffix List with its private
  section: ``a.example.co.uk`` belongs to ``example.co.uk``, and ``me.github.io`` is a site of its own. An IP address, and a name
  that is itself a public suffix (``localhost``, ``github.io``), stand for themselves.
- ``prefix``: the URL begins with a seed's directory (the seed up to the last slash of its path); http and https count as equal.
- ``any``: everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from crawler import url as urls
from crawler.config import ScopeSettings

Rule = tuple[str, Callable[[str], object]]
"""A rule's name and its question about a canonical URL; a false answer refuses."""

SCOPE_RULES: Final = ("scope:host", "scope:domain", "scope:prefix")
"""The rules that refuse less once the scope was extended."""

_DOMAIN_CACHE: Final = 65_536  # hosts; a PSL lookup takes 3 µs, a cached one 0.1


class Scope:
    """The scope of one crawl. `seeds` are canonical; the patterns of `settings` must compile (`job.make_job` sees to that).

    The answers depend on the URL, the seeds and later extensions only.
    """

    def __init__(self, seeds: list[str], settings: ScopeSettings) -> None:
        self._kind = settings.scope
        self._seeds = set(seeds)
        self._sites: set[str] = set()
        self._domains: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self._domain_of = _domain_lookup() if self._kind == "domain" else None
        for seed in seeds:
            self._include_site_of(seed)
        belongs = {"host": self._same_site, "domain": self._same_domain, "prefix": self._below_prefix}.get(self._kind)
        self.exclusions: list[Rule] = [(f"exclude:{pattern}", _never(re.compile(pattern))) for pattern in settings.exclude]
        self.rules: list[Rule] = [(f"scope:{self._kind}", belongs)] if belongs is not None else []
        self.rules += self.exclusions
        self._included = [re.compile(pattern) for pattern in settings.include]
        if self._included:
            self.rules.append(("include", self._is_included))

    def refusal(self, url: str) -> str | None:
        """Return the name of the rule that refuses canonical `url`, or None when it is in scope."""
        for name, passes in self.rules:
            if not passes(url):
                return name
        return None

    def is_seed(self, url: str) -> bool:
        """Say whether `url` is a seed or was added by `extend`."""
        return url in self._seeds

    def extend(self, url: str) -> bool:
        """Treat canonical `url` as one more seed: where a seed redirects to; return whether more is in scope now.

        A prefix scope is never widened on its own ground: ``/docs/`` that redirects to ``/login`` does not bring in all of ``/``.
        """
        self._seeds.add(url)
        if self._kind == "prefix":
            wider = _directory(url)
            if any(prefix.startswith(wider) for prefix in self._prefixes):
                return False
        before = (len(self._sites), len(self._domains), len(self._prefixes))
        self._include_site_of(url)
        return before != (len(self._sites), len(self._domains), len(self._prefixes))

    def _include_site_of(self, seed: str) -> None:
        if self._kind == "host":
            self._sites.update(_origins_of_site(seed))
        elif self._domain_of is not None:
            self._domains.add(self._domain_of(urls.host(seed)))
        elif self._kind == "prefix":
            self._prefixes = tuple(dict.fromkeys([*self._prefixes, _directory(seed)]))

    def _same_site(self, url: str) -> bool:
        return url[: url.find("/", 8)] in self._sites

    def _same_domain(self, url: str) -> bool:
        assert self._domain_of is not None
        return self._domain_of(urls.host(url)) in self._domains

    def _below_prefix(self, url: str) -> bool:
        return _without_scheme(url).startswith(self._prefixes)

    def _is_included(self, url: str) -> bool:
        return url in self._seeds or any(pattern.search(url) for pattern in self._included)


def _never(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    search = pattern.search
    return lambda url: search(url) is None


def _origins_of_site(seed: str) -> list[str]:
    """Return the origins that are one site with the seed's."""
    host, port = urls.host(seed), urls.port(seed)
    names = [host, f"{host}:80", f"{host}:443"] if port in (80, 443) else [f"{host}:{port}"]
    return [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]


def _without_scheme(url: str) -> str:
    return url[8:] if url.startswith("https:") else url[7:]


def _directory(seed: str) -> str:
    bare = _without_scheme(seed.partition("?")[0])
    return bare[: bare.rfind("/") + 1]


def _domain_lookup() -> Callable[[str], str]:
    """Return a bounded-memory function from host name to registrable domain."""
    suffixes = PublicSuffixList()

    def lookup(host: str) -> str:
        # The URL standard makes every name that ends in a number an IPv4 address.
        if host.startswith("[") or host.rpartition(".")[2].isdigit():
            return host
        domain: str | None = suffixes.privatesuffix(host)
        return domain or host

    return lru_cache(maxsize=_DOMAIN_CACHE)(lookup)
