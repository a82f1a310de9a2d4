"""The conductor's books: which shards are quiet, and who may fetch how many pages. Pure; theory in the package's docstring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Account:
    """What is known of one shard."""

    sent: int = 0  # messages sent to it
    quiet: bool = False  # it had nothing to do when it had heard them all
    starved: bool = False  # it has work, and no pages
    recalled: bool = False  # it was asked for pages since some were last given out


class Ledger:
    """One account a shard. `max_pages` is the whole crawl's budget, None for none."""

    def __init__(self, processes: int, max_pages: int | None) -> None:
        self._accounts = [_Account() for _ in range(processes)]
        self._max_pages = max_pages
        self._pool = 0  # pages of the budget that no shard holds

    def __repr__(self) -> str:
        return f"<Ledger pool={self._pool} {self._accounts}>"

    def open(self, pages: list[int]) -> list[int | None]:
        """Begin with what each shard fetched in earlier runs; return how many pages each may fetch at first."""
        if self._max_pages is None:
            return [None] * len(pages)
        self._pool = max(0, self._max_pages - sum(pages))
        share = self._share()
        self._pool -= share * len(pages)
        return [share] * len(pages)

    def _share(self) -> int:
        """Half of what is there for all alike: the rest is for those that turn out to need it."""
        return self._pool // (2 * len(self._accounts))

    def note_sent(self, number: int) -> None:
        """A message to a shard may wake it."""
        account = self._accounts[number]
        account.sent += 1
        account.quiet = False

    def note_quiet(self, number: int, *, heard: int, starved: bool, spare: int) -> None:
        """A shard has nothing to do. If it has not heard everything yet, it will say so again."""
        account = self._accounts[number]
        self._pool += spare
        account.quiet = heard == account.sent
        account.starved = starved and account.quiet

    def note_spare(self, pages: int) -> None:
        """A shard gives pages back."""
        self._pool += pages

    def grants(self) -> list[tuple[int, int]]:
        """Give pages to those that starve, as far as there are any: (shard, pages)."""
        given = []
        for number, account in enumerate(self._accounts):
            if account.starved and self._pool > 0:
                pages = max(1, self._share())
                self._pool -= pages
                account.starved = False
                given.append((number, pages))
        if given:
            for account in self._accounts:
                account.recalled = False
        return given

    def recalls(self) -> list[int]:
        """Return the shards to be asked for pages because another one starves; each once, until pages are given out again."""
        if self._pool > 0 or not any(account.starved for account in self._accounts):
            return []
        asked = [number for number, account in enumerate(self._accounts) if not account.quiet and not account.recalled]
        for number in asked:
            self._accounts[number].recalled = True
        return asked

    @property
    def over(self) -> bool:
        """Whether nothing is under way anywhere. Ask after `grants`."""
        return all(account.quiet for account in self._accounts)
