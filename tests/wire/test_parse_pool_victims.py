"""Pages that hang, grow or kill their worker, and workers that are killed: nothing else is lost."""

import os
import signal

import pytest
from parse_pools import SPIN, exists, make_pool, page, sleep, titles, until
from twisted.internet.defer import gatherResults

from crawler.model import Parsed, Reason
from crawler.parse.queued import WINDOW


async def test_killing_a_worker_loses_no_page():
    pool = make_pool(page_time=30.0)
    try:
        await pool.parse(page("warm"))
        slow = b"<title>slow</title>" + b"<div>" * 20_000  # about half a second
        answers = [pool.parse(page("slow", slow)), *(pool.parse(page(number)) for number in range(1, 6))]
        (pid,) = pool.pids()
        await sleep(0.1)
        assert pool.stats().waiting == 6 - WINDOW
        os.kill(pid, signal.SIGKILL)
        assert titles(await gatherResults(answers)) == ["slow", "1", "2", "3", "4", "5"]
        assert pool.stats().restarts == 1
        assert pool.pids() != [pid]
        assert not exists(pid)
    finally:
        await pool.stop()


async def test_many_kills_lose_no_page():
    pool = make_pool(workers=2)
    try:
        answers = [pool.parse(page(number, b"<title>%d</title>" % number + b"<div>" * 2000)) for number in range(400)]
        killed = 0
        while pool.backlog and killed < 6:
            pids = pool.pids()
            if pool.stats().workers == 2:
                os.kill(pids[0], signal.SIGKILL)
                killed += 1
            await sleep(0.05)
        results = await gatherResults(answers)
        assert [parsed.title for parsed in results if parsed.reason is None] == [
            str(number) for number, parsed in enumerate(results) if parsed.reason is None
        ]
        # Only a page that was at the head of two workers killed may be given up.
        assert sum(1 for parsed in results if parsed.reason is not None) <= killed // 2
        assert killed > 1
    finally:
        await pool.stop()


async def test_a_page_that_spins_costs_itself_only():
    pool = make_pool(page_time=0.5)
    try:
        await pool.parse(page("warm"))
        answers = [pool.parse(page(number, SPIN if number == 2 else None)) for number in range(12)]
        results = await gatherResults(answers)
        assert titles(results) == [None if number == 2 else str(number) for number in range(12)]
        assert results[2] == Parsed(reason=Reason.PARSE, detail="worker timed out after 0.5 s")
        assert all(result.reason is None for number, result in enumerate(results) if number != 2)
        assert pool.stats().killed == 2
    finally:
        await pool.stop()


async def test_several_spinning_pages_among_good_ones():
    pool = make_pool(workers=2, page_time=0.3)
    try:
        bad = {3, 4, 5, 20}
        results = await gatherResults([pool.parse(page(number, SPIN if number in bad else None)) for number in range(30)])
        assert {number for number, result in enumerate(results) if result.reason is Reason.PARSE} == bad
        assert all(result.title == str(number) for number, result in enumerate(results) if number not in bad)
    finally:
        await pool.stop()


async def test_a_page_that_kills_its_worker_twice_is_given_up_and_told():
    pool = make_pool(page_time=30.0)
    try:
        await pool.parse(page("warm"))
        answer = pool.parse(page("victim", SPIN))
        others = [pool.parse(page(number)) for number in range(4)]
        for _ in range(2):
            await until(lambda: pool.stats().busy == 1)
            (pid,) = pool.pids()
            os.kill(pid, signal.SIGSEGV)
            await until(lambda pid=pid: pool.pids() not in ([pid], []))
        assert await answer == Parsed(reason=Reason.PARSE, detail="worker died with signal 11")
        assert titles(await gatherResults(others)) == ["0", "1", "2", "3"]
    finally:
        await pool.stop()


async def test_a_suspect_is_tried_alone_and_may_pass():
    pool = make_pool(page_time=30.0)
    try:
        await pool.parse(page("warm"))
        slow = b"<title>slow</title>" + b"<div>" * 20_000
        answers = [pool.parse(page("suspect", slow)), *(pool.parse(page(number)) for number in range(5))]
        await sleep(0.1)
        os.kill(pool.pids()[0], signal.SIGKILL)
        await until(lambda: pool.stats().busy == 1 and pool.stats().restarts == 1)
        assert pool.stats().waiting == 5  # nothing is queued behind it
        assert (await answers[0]).title == "slow"
        assert titles(await gatherResults(answers[1:])) == ["0", "1", "2", "3", "4"]
    finally:
        await pool.stop()


@pytest.mark.parametrize("megabytes", [1, 40])  # of which the smaller does not even hold the body
async def test_a_page_that_needs_too_much_memory(megabytes):
    pool = make_pool(page_memory=megabytes * 1024 * 1024, page_time=30.0)
    try:
        hungry = b"<i>" + b"<p>x" * 1_000_000
        results = await gatherResults([pool.parse(page(0)), pool.parse(page(1, hungry)), pool.parse(page(2))])
        assert results[1] == Parsed(reason=Reason.PARSE, detail=f"parsing needs more than {megabytes} MiB of memory")
        assert titles(results) == ["0", None, "2"]
    finally:
        await pool.stop()
