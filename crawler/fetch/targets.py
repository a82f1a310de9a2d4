"""Where URLs are fetched, worked out once for each origin: requests come in runs to the same ones."""

from __future__ import annotations

import re
from typing import Final

from crawler import url as urls
from crawler.fetch.endpoint import Target, target_of
from crawler.fetch.proxy import Proxies

MAX_TARGETS: Final = 4096
"""Origins remembered; beyond, all are forgotten."""

_PLAIN: Final = re.compile(r"(https?://[A-Za-z0-9.:-]+)(/[A-Za-z0-9_~./-]*)")
"""A URL of whose path nothing is changed by being made canonical, if no segment of it begins with a dot."""

_MAX_PLAIN: Final = 1024
"""Characters; at double that length a canonical URL is too long."""


class Targets:
    """The targets of URLs, by origin."""

    def __init__(self, proxies: Proxies | None = None) -> None:
        """Take the proxies, which are chosen by scheme, host and port of a URL alone."""
        self._proxies = proxies
        self._known: dict[str, Target] = {}

    def of(self, url: str) -> Target:
        """Return where a canonical URL is fetched."""
        origin = urls.origin(url)
        found = self._known.get(origin)
        return found if found is not None else self._remember(origin, target_of(url, self._proxies))

    def find(self, uri: str) -> tuple[str, Target] | None:
        """Return `uri` as a URL that is parsed and written again, and where it is fetched; None where it is none of ours.

        Somebody asks for this very URL: nothing is taken out of it.
        """
        plain = _PLAIN.fullmatch(uri)
        if plain is None or len(uri) > _MAX_PLAIN or "/." in plain[2]:
            url = urls.canonicalise(uri, exact=True)
            return None if url is None else (url, self.of(url))
        spelled, path = plain.groups()
        target = self._known.get(spelled)
        if target is None:
            root = urls.canonicalise(spelled)
            if root is None:
                return None
            target = self._remember(spelled, self.of(root))
        return target.origin + path, target

    def _remember(self, origin: str, target: Target) -> Target:
        if len(self._known) >= MAX_TARGETS:
            self._known.clear()
        self._known[origin] = target
        return target
