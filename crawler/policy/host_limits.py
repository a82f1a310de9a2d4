"""What a host may be asked to bear, where some hosts differ from the others: the setting ``politeness.hosts``. Pure.

A pattern is a host's name (or address), or ``*.`` and a name: the hosts below it, not itself. A host's own name precedes ``*.``, a longer
name a shorter one; that one pattern counts, and what it leaves unset is as for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crawler import url as urls
from crawler.config import HostSettings, PolitenessSettings

_REMEDY: Final = 'write a host as in "example.org", or "*.example.org" for those below it'


class Limits(NamedTuple):
    """Requests in flight to one host at most, and seconds between two."""

    per_host: int
    delay: float


class HostLimits:
    """The limits of each host."""

    def __init__(self, *, per_host: int, delay: float, hosts: Mapping[str, HostSettings] | None = None) -> None:
        """Take the limits of most hosts, and those of some `hosts` by pattern. Raises ValueError for a pattern that is none."""
        self.usual = Limits(per_host, delay)
        self._by_pattern = {host_pattern(pattern): self._completed(limits) for pattern, limits in (hosts or {}).items()}

    def _completed(self, given: HostSettings) -> Limits:
        usual = self.usual
        return Limits(
            usual.per_host if given.per_host is None else given.per_host,
            usual.delay if given.delay is None else given.delay,
        )

    def of(self, host: str) -> Limits:
        """Return the limits of a canonical host (an IPv6 address in brackets)."""
        if not self._by_pattern:
            return self.usual
        found = self._by_pattern.get(host)
        dot = host.find(".")
        while found is None and dot >= 0:  # the longest name first
            found = self._by_pattern.get(f"*{host[dot:]}")
            dot = host.find(".", dot + 1)
        return found or self.usual


def limits_of(settings: PolitenessSettings) -> HostLimits:
    """Return the limits that settings ask for. Raises ValueError for a pattern that is none."""
    return HostLimits(per_host=settings.per_host, delay=settings.delay, hosts=settings.hosts)


def host_pattern(text: str) -> str:
    """Return a pattern in canonical form. Raises ValueError saying what to write."""
    given = text.strip()
    below, name = given.startswith("*."), given.removeprefix("*.")
    if given == "*":
        raise ValueError("'*': all hosts; set politeness.per_host and politeness.delay instead")
    if any(mark in name for mark in "/@?#*") or not name or any(map(str.isspace, name)):
        raise ValueError(f"{text!r}: not a host; {_REMEDY}")
    bare_v6 = name.count(":") > 1 and not name.startswith("[")
    canonical = urls.canonicalise(f"http://[{name}]/" if bare_v6 else f"http://{name}/")
    if canonical is None:
        raise ValueError(f"{text!r}: not a host; {_REMEDY}")
    if not bare_v6 and ":" in name.rpartition("]")[2]:
        raise ValueError(f"{text!r}: a host is one machine whatever the port; leave the port out")
    host = urls.host(canonical)
    if below and (host.startswith("[") or host.rpartition(".")[2].isdecimal()):
        raise ValueError(f"{text!r}: an address has no names below it; write it without '*.'")
    return f"*.{host}" if below else host
