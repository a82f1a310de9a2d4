"""A mirror: one file a URL, links rewritten to the files, so that the site opens in a browser without network.

Made from an archive in two steps. Here, a *catalogue* is made, an SQLite file: where each answer lies in the archive, at which path its
file will lie, and where redirects end. Then processes of their own (`crawler.offline.rewrite`), which may load parsers, write the files,
one share each; one that a page kills is started again behind that page, which is then copied as it came.

In the mirror are the answers of status 200 and 203 that are whole. Links to anything else lead to the web. Documents and style sheets
are written as UTF-8; images, also SVG, scripts and all else are kept byte for byte, but for scripts in other encodings than UTF-8.
"""

from __future__ import annotations

import contextlib
import html
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

from crawler.archive.segments import segments_of
from crawler.errors import StoreError
from crawler.export.mirror_catalogue import Catalogue
from crawler.export.mirror_names import ROOT
from crawler.export.places import new_folder
from crawler.export.source import Source

PROGRAM: Final = "crawler.offline.rewrite"
MAX_PROCESSES: Final = 8
SHARE: Final = 250
"""Files that are worth a process of its own."""
MAX_LISTED: Final = 1000
"""Seeds that the page at the root lists."""

_WORK: Final = "_crawl_work"


def write_mirror(source: Source, target: Path) -> int:
    """Write the mirror of a crawl to the folder `target`, whole or not at all; return the number of files, one a URL.

    Raises StoreError when the archive cannot be read or the disk does not take the mirror, UsageError when `target` is a folder that
    no export wrote.
    """
    with new_folder(target) as folder:
        work = folder / _WORK
        work.mkdir()
        path = work / "catalogue.sqlite"
        with contextlib.closing(_catalogue(source, path)) as catalogue:
            count = catalogue.count()
            (folder / ROOT).write_text(root_page(source.seeds, catalogue), encoding="utf-8")
        _write_files(path, folder, count)
        shutil.rmtree(work)
    return count


def _catalogue(source: Source, path: Path) -> Catalogue:
    catalogue = Catalogue(path)
    try:
        for folder, lengths in source.archives():
            for name in segments_of(lengths):
                catalogue.add_segment(folder / name, lengths[name])
        catalogue.finish()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: the mirror's catalogue cannot be written: {error}") from error
    return catalogue


def _write_files(catalogue: Path, folder: Path, count: int) -> None:
    parts = max(1, min(len(os.sched_getaffinity(0)), MAX_PROCESSES, count // SHARE))
    running = [_Part(catalogue, folder, part, parts) for part in range(parts)]
    try:
        for part in running:
            part.finish()
    finally:
        for part in running:
            part.stop()


class _Part:
    """A process that writes its share of the files."""

    def __init__(self, catalogue: Path, folder: Path, part: int, parts: int) -> None:
        self._progress = catalogue.with_name(f"progress-{part}")
        self._told = b""
        self._arguments = [str(catalogue), str(folder), str(part), str(parts), str(self._progress)]
        self._process = self._start(0, 0)

    def finish(self) -> None:
        """Wait until the share is written; raises StoreError when it cannot be."""
        as_is = 0
        while (code := self._ended()) != 0:
            begun = self._begun()
            if code == 1 or begun in (0, as_is):
                raise StoreError(f"the mirror cannot be written: {self._complaint() or f'{PROGRAM} ended with {code}'}")
            as_is = begun
            self._process = self._start(begun - 1, as_is)

    def stop(self) -> None:
        """End the process, if it runs."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stderr is not None and not self._process.stderr.closed:
            self._ended()

    def _ended(self) -> int:
        _, self._told = self._process.communicate()  # not by a file: where this ends, the disk may be full
        return self._process.returncode

    def _start(self, after: int, as_is: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", PROGRAM, *self._arguments, str(after), str(as_is)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _begun(self) -> int:
        """Return the number of the file that the process began last, 0 when it began none."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._progress.read_text())
        return 0

    def _complaint(self) -> str:
        lines = self._told.decode("utf-8", "replace").splitlines()
        return lines[-1][:500] if lines else ""


def root_page(seeds: list[str], catalogue: Catalogue) -> str:
    """Return the page at the mirror's root: it leads to the seed, or lists the seeds."""
    listed = [(seed, quote(path) if (path := catalogue.path_of(seed)) else seed) for seed in seeds[:MAX_LISTED]]
    lines = [f'<li><a href="{html.escape(link)}">{html.escape(seed)}</a></li>' for seed, link in listed]
    refresh = ""
    if len(listed) == 1 and listed[0][0] != listed[0][1]:
        refresh = f'<meta http-equiv="refresh" content="0; url={html.escape(listed[0][1])}">\n'
    more = f"<p>and {len(seeds) - MAX_LISTED} more</p>\n" if len(seeds) > MAX_LISTED else ""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>Mirror</title>\n{refresh}<h1>Mirror</h1>\n<ul>\n" + "\n".join(lines) + f"\n</ul>\n{more}</html>\n"
    )
