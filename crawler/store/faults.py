"""Why a batch could not be stored, told to the user."""

from __future__ import annotations

import sqlite3

from crawler.errors import CrawlError, StoreError
from crawler.store.home import Home


def explained(home: Home, error: Exception) -> CrawlError:
    """Return what to tell the user of an error while storing."""
    if isinstance(error, CrawlError):
        return error
    if isinstance(error, (sqlite3.Error, OSError)):
        locked = "locked" in str(error)
        remedy = "end the other program that has it open" if locked else "free some space"
        found: CrawlError = StoreError(f"{home.folder}: a commit did not reach the disk: {error}; {remedy} and run the same command again")
    else:
        found = CrawlError(f"internal error while storing: {error!r}")
    found.__cause__ = error
    return found
