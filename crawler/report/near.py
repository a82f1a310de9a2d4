"""Groups of pages that say nearly the same, by their SimHashes.

Fingerprints of 64 bits that differ in at most three are equal in at least one of their four quarters: only those that share a quarter are
compared, each with the newest `MAX_STEPS` of them. Groups are what such pairs connect.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import Final

from crawler.policy.near import MAX_STEPS, NEAR
from crawler.report.model import Copies

MAX_PAGES: Final = 100_000
"""Pages compared, exact copies not counted; later ones are passed over. Each costs some 500 bytes."""

_QUARTERS: Final = 4
_BITS: Final = 16


class NearGroups:
    """Groups the pages it is given."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._parents = array("L")
        self._urls: list[str] = []
        self._digests: set[int] = set()
        self._buckets: list[defaultdict[int, array[int]]] = [defaultdict(lambda: array("L")) for _ in range(_QUARTERS)]
        self.passed_over = 0

    def add(self, url: str, simhash: int, digest: int) -> None:
        """Take a page, unless its exact copy (`digest`) was taken already."""
        if digest in self._digests:
            return
        if len(self._urls) >= MAX_PAGES:
            self.passed_over += 1
            return
        self._digests.add(digest)
        number = len(self._urls)
        self._urls.append(url)
        self._hashes.append(simhash)
        self._parents.append(number)
        for quarter, bucket in enumerate(self._buckets):
            sharing = bucket[simhash >> quarter * _BITS & (1 << _BITS) - 1]
            for other in sharing[-MAX_STEPS:]:
                if (self._hashes[other] ^ simhash).bit_count() <= NEAR:
                    self._parents[self._root(other)] = self._root(number)
            sharing.append(number)

    def groups(self, *, pages: int) -> list[Copies]:
        """Return the groups, the largest first, each with its first `pages`."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for number in range(len(self._urls)):
            found[self._root(number)].append(number)
        groups = sorted((group for group in found.values() if len(group) > 1), key=lambda group: (-len(group), group[0]))
        return [Copies([self._urls[number] for number in group[:pages]], len(group)) for group in groups]

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number
