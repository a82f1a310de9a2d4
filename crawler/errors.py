"""Errors of ours that reach the user: one tree; each knows its exit code, its message names the remedy.

What the web does wrong is not here: it is a value (`crawler.model`).
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command (README, "Exit codes"); a test pins them."""

    FINISHED = 0
    FAULT = 1  # our fault
    USAGE = 2
    INVALID = 4  # invalid job or configuration
    UNAVAILABLE = 8  # the crawl's home or its backend cannot be used now
    INTERRUPTED = 11  # stopped before the end; run the same command again to go on
    FAILURES = 12  # finished, but with more failures than allowed


class CrawlError(Exception):
    """Anything that ends a command with one clear line; the message says where and what to do."""

    exit_code: Exit = Exit.FAULT


class UsageError(CrawlError):
    """The command line asks for something that cannot be."""

    exit_code = Exit.USAGE


class InvalidConfig(CrawlError):
    """A configuration file, environment variable or job has a mistake."""

    exit_code = Exit.INVALID


class HomeError(CrawlError):
    """The crawl's home cannot be opened: not one, of a newer version, locked, read-only."""

    exit_code = Exit.UNAVAILABLE


class StoreError(CrawlError):
    """A commit did not reach the disk (full, read-only, gone): the crawl stops, nothing is lost."""

    exit_code = Exit.UNAVAILABLE


class WorkersDied(CrawlError):
    """Parse workers die faster than they can be replaced: something is wrong with the machine or the build."""

    exit_code = Exit.FAULT
