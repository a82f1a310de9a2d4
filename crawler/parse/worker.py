"""The child's side: ``python -m crawler.parse.worker FD`` reads pages from a socket, parses, answers; nothing else.

A plain blocking loop. It leaves when the socket ends, when its parent dies, or on its own word after it has grown or done its share.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import msgspec
from selectolax.lexbor import SelectolaxError

from crawler.model import Parsed, Reason
from crawler.parse.extras import Gatherer
from crawler.parse.frames import Answer, FrameError, PageReader, Setup, ToParse, answer_frame
from crawler.parse.links import Lately, Reported
from crawler.parse.page import parse_page

_PR_SET_PDEATHSIG: Final = 1
_OOM_SCORE: Final = "500"  # of 1000: the kernel takes a worker before the crawl
_PAGE: Final = resource.getpagesize()
_CHECK_AFTER: Final = 256 * 1024  # decoded bytes after which a worker looks at its memory again
_PAGE_OVERHEAD: Final = 4096  # bytes that each page counts beyond its own
_GARBAGE: Final = 20_000  # objects more than before, after which the collector looks for cycles; parsing makes none
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
_KEPT_FREE: Final = 16 * 1024 * 1024
_MAPPED_ALONE: Final = 1024 * 1024


def main(arguments: list[str]) -> int:
    """Serve the socket whose descriptor is the only argument until it ends."""
    sock = socket.socket(fileno=int(arguments[0]))
    _follow_parent()
    pages = PageReader(sock)
    setup = pages.setup()
    if setup is None:
        return 0
    desk = _Desk(setup)  # before the limit: what rules and hooks load is not a page's
    tune_memory()
    memory = _Memory()
    _limit_address_space(memory.address_space() + setup.page_memory)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _serve(sock, pages, desk, setup, memory)
    return 0


def _serve(sock: socket.socket, pages: PageReader, desk: _Desk, setup: Setup, memory: _Memory) -> None:
    ceiling = memory.resident() + setup.page_memory // 2
    unchecked = 0
    sock.sendall(answer_frame(Answer.READY))
    for served in range(1, setup.recycle_after + 1):
        try:
            page = pages.page()
        except MemoryError:  # not even the body fits
            payload, intact, size = desk.refusal(_too_hungry(setup)), False, 0
        else:
            if page is None:
                return
            payload, intact, size = desk.answer(page)
            del page
        unchecked += size + _PAGE_OVERHEAD
        last = not intact or served == setup.recycle_after
        if unchecked > _CHECK_AFTER:  # it costs a hundredth of a page to ask
            last, unchecked = last or memory.resident() > ceiling, 0
        sock.sendall(answer_frame(Answer.PARSED_LAST if last else Answer.PARSED, payload))
        if last:
            return


class _Desk:
    """What a worker keeps from one page to the next."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._encode = msgspec.msgpack.Encoder().encode
        self._reported = Reported()
        self._lately = Lately()
        self._gatherer = Gatherer(setup.wanted) if setup.wanted is not None else None

    def answer(self, page: ToParse) -> tuple[bytes, bool, int]:
        """Parse a page whatever comes; also say whether this process is as good as before, and how many bytes the page had."""
        intact = False
        try:
            parsed = parse_page(page, self._setup, self._lately, self._gatherer)
            return self._encode(self._reported.only_new(parsed) if page.only_new_links else parsed), True, parsed.bytes
        except (MemoryError, SelectolaxError):
            failed = _too_hungry(self._setup)
        except RecursionError:
            failed = Parsed(reason=Reason.PARSE, detail="nested too deeply")
        except Exception as error:  # a fault of ours: it is to cost this page and be told, not to stop the worker
            failed, intact = Parsed(reason=Reason.INTERNAL, detail=_where(error)), True
        return self.refusal(failed), intact, _CHECK_AFTER

    def refusal(self, parsed: Parsed) -> bytes:
        """Return the answer that a page could not be used."""
        return self._encode(parsed)


def _too_hungry(setup: Setup) -> Parsed:
    return Parsed(reason=Reason.PARSE, detail=f"parsing needs more than {setup.page_memory >> 20} MiB of memory")


def _where(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}: " if place is not None else ""
    return f"{where}{type(error).__name__}: {error}"[:500].encode("utf-8", "replace").decode()


class _Memory:
    """This process's memory, asked for after each page: so the file is kept open."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def address_space(self) -> int:
        """Return its size in bytes."""
        return int(os.pread(self._statm, 256, 0).split()[0]) * _PAGE

    def resident(self) -> int:
        """Return how many bytes of it are in memory."""
        return int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE


def tune_memory() -> None:
    """Keep what a page of usual size needs from one page to the next: a fifth of a page's time went to the kernel, for memory given back.

    What a large page needed beyond that is given back after it. Best effort: another C library has other ways.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 10, 10)
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL(None).mallopt
        tune(_M_MMAP_THRESHOLD, _MAPPED_ALONE)
        tune(_M_TRIM_THRESHOLD, _KEPT_FREE)
        tune(_M_TOP_PAD, _KEPT_FREE // 32)


def _limit_address_space(limit: int) -> None:
    """Let allocations fail beyond `limit` bytes of address space."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _follow_parent() -> None:
    """Die with the parent, not before: signals to stop are the parent's, who may need this worker to finish what it has begun.

    Also be the kernel's first choice when memory ends. Best effort, all of it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


if __name__ == "__main__":
    with contextlib.suppress(FrameError):  # the parent is not who it should be: leave, it will see the socket close
        sys.exit(main(sys.argv[1:]))
