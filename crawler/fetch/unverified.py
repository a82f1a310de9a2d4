"""Which hosts' certificates are not verified: patterns that the operator gave. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from crawler import url as urls
from crawler.fetch.guard import parse_address

_PATTERN: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]:/@?#,\s]+)(?::(?P<port>[0-9]{1,5}))?")
_REMEDY: Final = "write a host as in test.example.org, *.example.org, test.example.org:8443, 127.0.0.1, [::1]:8443 or *"


class HostPattern(Struct, frozen=True):
    """A host, its subdomains (`below`) or, with an empty `host`, every host; `port` None is any port."""

    host: str
    below: bool
    port: int | None

    def matches(self, host: str, port: int) -> bool:
        """Tell whether the canonical `host` (an IPv6 address in brackets) at `port` is meant."""
        if self.port not in (None, port):
            return False
        return not self.host or (host.endswith(f".{self.host}") if self.below else host == self.host)


def parse_host_pattern(text: str) -> HostPattern:
    """Return what ``host``, ``*.host`` (its subdomains, not itself), ``host:port``, an IP literal or ``*`` means.

    Hosts are read as in URLs: in any case, as numbers, or with letters beyond ASCII. Raises ValueError saying what to write.
    """
    given = f"[{text}]" if ":" in text and parse_address(text) is not None and "[" not in text else text
    found = _PATTERN.fullmatch(given)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 1 <= port <= 65535):
        raise ValueError(f"{text!r}: not a host; {_REMEDY}")
    if found["host"] == "*":
        return HostPattern("", False, port)
    below = found["host"].startswith("*.")
    host = found["host"].removeprefix("*.")
    canonical = urls.canonicalise(f"https://{host}/") if "*" not in host else None
    if canonical is None or (below and parse_address(urls.host(canonical)) is not None):
        raise ValueError(f"{text!r}: not a host; {_REMEDY}")
    return HostPattern(urls.host(canonical), below, port)


class Unverified:
    """The hosts that any of the patterns means."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises ValueError for a pattern that is none."""
        self._patterns = [parse_host_pattern(pattern) for pattern in patterns]

    def matches(self, host: str, port: int) -> bool:
        """Tell whether the certificate of the canonical `host` at `port` is not verified."""
        return any(pattern.matches(host, port) for pattern in self._patterns)
