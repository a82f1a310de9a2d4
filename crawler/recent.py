"""A bounded memory of keys that need not be told or asked again: it saves work, it never decides alone."""

from __future__ import annotations


class RecentKeys:
    """The keys noted last: at least `size`, at most twice as many (two generations; the older is dropped whole).

    The reactor notes a key when it hands the URL to the writer thread, a parse worker when it reports the URL. Pages are answered and
    stored in order, so whatever comes later finds that URL stored already, or the process died and this memory with it.
    """

    def __init__(self, size: int = 65_536) -> None:
        """Remember about `size` keys (some 70 bytes each)."""
        self._size = size
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, key: int) -> bool:
        return key in self._young or key in self._old

    def add(self, key: int) -> None:
        """Note a key."""
        self._young.add(key)
        if len(self._young) >= self._size:
            self._old = self._young
            self._young = set()

    def generations(self) -> tuple[set[int], set[int]]:
        """Return the keys, in two sets that are only to be looked at: for many look-ups at once."""
        return self._young, self._old

    def clear(self) -> None:
        """Forget all: some keys were noted for a hand-over that did not take place."""
        self._young = set()
        self._old = set()
