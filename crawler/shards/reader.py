"""Reading the homes of all shards as one crawl's, also while it runs: status, records, why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from crawler import url as urls
from crawler.job import Job
from crawler.model import Record
from crawler.shards.layout import Layout, read_layout, shard_folder
from crawler.shards.sums import sum_counters
from crawler.store.home import DATABASE, is_locked
from crawler.store.outbox import owner_of
from crawler.store.reader import HomeReader, Known, Status

_CERTAINTY = ("unknown", "too_deep", "refused", "queued", "done")
"""What shards may say of one URL: the last of these is the truth."""


class ShardsReader:
    """A read-only view of the homes of all shards, with the methods of a `HomeReader`."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Open the homes that are there: a crawl that was killed at once may not have made all."""
        self.folder = folder
        self._layout = layout
        self._readers: dict[int, HomeReader] = {}
        for number in range(layout.processes):
            home = shard_folder(folder, number)
            if (home / DATABASE).is_file():
                self._readers[number] = HomeReader(home)

    def close(self) -> None:
        """Close the view."""
        for reader in self._readers.values():
            reader.close()

    def job(self) -> Job:
        """Return the crawl's job."""
        return self._layout.job

    def is_finished(self) -> bool:
        """Say whether every shard came to its end."""
        homes = self._readers.values()
        return len(homes) == self._layout.processes and all(home.has_job() and home.status().state == "finished" for home in homes)

    def status(self) -> Status:
        """Return how the crawl stands now."""
        pid = is_locked(self.folder)
        shards = [reader.status() for reader in self._readers.values() if reader.has_job()]
        state = "running" if pid is not None else "finished" if self.is_finished() else "stopped"
        counters = sum_counters(shard.counters for shard in shards)
        outputs = {path: sizes[-1] for path, sizes in self._layout.outputs.items()}
        return Status(str(self.folder), state, pid, self._layout.job.seeds, counters.queued, counters, outputs)

    def records(self) -> Iterator[Record]:
        """Yield every committed record: those of one shard after those of another, each in the order of its commits."""
        return chain.from_iterable(reader.records() for reader in self._readers.values())

    def items(self) -> Iterator[bytes]:
        """Yield the line of every committed item, as `HomeReader.items` does, of one shard after another."""
        return chain.from_iterable(reader.items() for reader in self._readers.values())

    def archives(self) -> list[tuple[Path, dict[str, int]]]:
        """Return the folders of all shards' archives, as `HomeReader.archives` does."""
        return [archive for reader in self._readers.values() for archive in reader.archives()]

    def robots(self, origin: str) -> bytes | None:
        """Return the stored robots.txt entry of an origin (JSON), or None."""
        reader = self._readers.get(owner_of(urls.host(f"{origin}/"), self._layout.processes))
        return None if reader is None else reader.robots(origin)

    def seed_redirects(self) -> list[str]:
        """Return the URLs that the seeds redirected to: they belong to the scope as if they had been asked for."""
        return list(dict.fromkeys(url for reader in self._readers.values() for url in reader.extensions()))

    def known(self, url: str) -> Known:
        """Return what is known of a canonical URL. A link that is on its way to its shard is as good as queued."""
        found = [reader.known(url) for reader in self._readers.values()]
        if any(reader.hands_on(url) for reader in self._readers.values()):
            found.append(Known(url, "queued"))
        return max(found, key=lambda known: _CERTAINTY.index(known.state), default=Known(url, "unknown"))


def open_reader(folder: Path) -> HomeReader | ShardsReader:
    """Open the home at `folder` for reading, whether one process made it or several. Raises HomeError when it is none."""
    layout = read_layout(folder)
    return HomeReader(folder) if layout is None else ShardsReader(folder, layout)
