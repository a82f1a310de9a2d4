"""Which pages say nearly what another one said: an index of SimHashes, bounded in memory.

Two fingerprints of 64 bits that differ in at most three are equal in at least one of their four quarters. So for each quarter a chain
leads through the fingerprints that have the same one, newest first. The chains are arrays, as in an LZ77 window: an entry that
has been overwritten is recognised by its number, so the oldest are forgotten without any upkeep.
"""

from __future__ import annotations

from array import array
from typing import Final

NEAR: Final = 3
"""Bits in which nearly equal fingerprints differ at most (those of texts that have nothing in common: 32, give or take 4); the quarters
find no more."""
MAX_STEPS: Final = 512
"""Entries of a chain that are looked at: where very many pages share a quarter, the oldest of them are passed over."""

_QUARTERS: Final = 4
_BITS: Final = 16


class NearIndex:
    """The newest `capacity` fingerprints: 2 MiB, and 40 bytes each, all of it taken at the start."""

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < 1:
            raise ValueError("an index holds one fingerprint at least")
        self._capacity = capacity
        self._count = 0  # noted so far: entries are numbered from 1, 0 is none
        self._hashes = _zeros(capacity)
        self._heads = [_zeros(1 << _BITS) for _ in range(_QUARTERS)]
        self._before = [_zeros(capacity) for _ in range(_QUARTERS)]

    def __len__(self) -> int:
        return min(self._count, self._capacity)

    def seen(self, simhash: int) -> bool:
        """Say whether a fingerprint was noted that differs from this one in at most `NEAR` bits."""
        return any(self._in_chain(quarter, simhash) for quarter in range(_QUARTERS))

    def note(self, simhash: int) -> None:
        """Remember a fingerprint, in place of the oldest when there are `capacity`."""
        place = self._count % self._capacity
        self._count += 1
        self._hashes[place] = simhash
        for quarter in range(_QUARTERS):
            key = _key(simhash, quarter)
            self._before[quarter][place] = self._heads[quarter][key]
            self._heads[quarter][key] = self._count

    def _in_chain(self, quarter: int, simhash: int) -> bool:
        hashes, before, capacity = self._hashes, self._before[quarter], self._capacity
        number = self._heads[quarter][_key(simhash, quarter)]
        oldest = self._count - capacity
        for _ in range(MAX_STEPS):
            if number == 0 or number <= oldest:
                return False
            place = (number - 1) % capacity
            if (hashes[place] ^ simhash).bit_count() <= NEAR:
                return True
            number = before[place]
        return False


def _key(simhash: int, quarter: int) -> int:
    return simhash >> quarter * _BITS & (1 << _BITS) - 1


def _zeros(count: int) -> array[int]:
    return array("Q", [0]) * count
