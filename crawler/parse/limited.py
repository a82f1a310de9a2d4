"""A limit to what a library in Python takes for one page: its own loops have none."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

_AGAIN: Final = 0.25
"""Seconds after which it is raised again: Python swallows what is raised in a finaliser or a callback of C code."""


class TookTooLongError(BaseException):
    """The limit has passed. No Exception: libraries catch those."""


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLongError within the block when it has used so much CPU time; in a process's main thread only.

    What runs in C is let to come to its end first.
    """
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise TookTooLongError
