"""The limit of CPU time: it ends what loops, also when Python swallows it the first time."""

from __future__ import annotations

import signal
import time

import pytest

from crawler.parse.limited import TookTooLongError, cpu_limit


def spin(seconds: float, first: object = None) -> None:
    del first
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Finalised:
    """What is raised while it is finalised is swallowed."""

    def __del__(self) -> None:
        spin(0.15)


def test_it_strikes_once_in_what_takes_too_long_and_never_afterwards() -> None:
    before = signal.getsignal(signal.SIGPROF)
    with cpu_limit(0.3):
        spin(0.01)
    begun = time.process_time()
    with pytest.raises(TookTooLongError), cpu_limit(0.05):
        spin(5)
    assert time.process_time() - begun < 1
    spin(0.4)
    assert (signal.getsignal(signal.SIGPROF), signal.getitimer(signal.ITIMER_PROF)) == (before, (0, 0))


def test_it_strikes_again_when_it_was_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    swallowed: list[type[BaseException] | None] = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: swallowed.append(found.exc_type))
    with pytest.raises(TookTooLongError), cpu_limit(0.05):
        spin(3, first=Finalised())
    assert swallowed == [TookTooLongError]
