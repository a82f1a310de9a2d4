"""The pool of parse workers: every page gets its own answer, small and large, in the order it may."""

import os
import signal
import time

import pytest
from parse_pools import exists, make_pool, page, sleep, titles, until
from twisted.internet.defer import CancelledError, gatherResults

from crawler.model import Kind, Reason
from crawler.parse.frames import ToParse
from crawler.parse.pool import LARGE, PoolStats
from crawler.parse.queued import WINDOW


async def test_every_page_gets_its_own_answer():
    pool = make_pool(workers=2)
    try:
        await until(lambda: pool.stats().workers == 2)
        answers = [pool.parse(page(number)) for number in range(300)]
        assert pool.backlog == 300
        assert pool.backlog_bytes == sum(len(page(number).body) for number in range(300))
        results = await gatherResults(answers)
        assert titles(results) == [str(number) for number in range(300)]
        assert [link.url for link in results[7].links] == ["http://h.example/x"]
        assert (pool.backlog, pool.backlog_bytes) == (0, 0)
        assert pool.stats() == PoolStats(workers=2, busy=0, waiting=0, restarts=0, killed=0)
    finally:
        await pool.stop()


async def test_one_worker_answers_in_order():
    pool = make_pool()
    try:
        order = []
        answers = [pool.parse(page(number)).addCallback(lambda parsed: order.append(parsed.title)) for number in range(50)]
        await gatherResults(answers)
        assert order == [str(number) for number in range(50)]
    finally:
        await pool.stop()


async def test_large_bodies_pass():
    pool = make_pool()
    try:
        body = b"<title>big</title>" + b"<p>text</p>" * 400_000 + b"<a href=/end>"
        results = await gatherResults([pool.parse(page(number, body)) for number in range(3)])
        assert [result.bytes for result in results] == [len(body)] * 3
        assert results[2].links[0].url == "http://h.example/end"
    finally:
        await pool.stop()


async def test_large_pages_are_parsed_one_at_a_time_and_others_beside_them():
    pool = make_pool(workers=2)
    try:
        await until(lambda: pool.stats().workers == 2)
        body = b"<title>%d</title>" + b"<p>text</p>" * (LARGE // 10)
        order = []

        def post(name, body=None):
            return pool.parse(page(name, body)).addCallback(lambda parsed: order.append(parsed.title))

        answers = [post(number, body % number) for number in range(3)]
        assert (pool.stats().busy, pool.stats().waiting) == (1, 2)
        answers.append(post("small"))
        assert (pool.stats().busy, pool.stats().waiting) == (2, 2)
        while pool.backlog:
            assert pool.stats().waiting == max(0, sum(name not in order for name in "012") - 1)
            await sleep(0.001)
        await gatherResults(answers)
        assert order == ["small", "0", "1", "2"]
    finally:
        await pool.stop()


async def test_a_large_page_gets_its_turn_while_others_keep_coming():
    pool = make_pool(workers=2)
    try:
        left = [400]

        def more(_):
            left[0] -= 1
            return pool.parse(page(left[0])).addCallback(more) if left[0] > 0 else None

        streams = [pool.parse(page("first")).addCallback(more) for _ in range(8)]
        large = [pool.parse(page(name, b"<title>%s</title>" % name + b"<p>text</p>" * (LARGE // 10))) for name in (b"a", b"b")]
        assert titles(await gatherResults(large)) == ["a", "b"]
        await gatherResults(streams)
        assert pool.stats() == PoolStats(workers=2, busy=0, waiting=0, restarts=0, killed=0)
    finally:
        await pool.stop()


async def test_a_large_page_whose_worker_dies_does_not_keep_the_next_one_waiting():
    pool = make_pool(workers=2, page_time=30.0)
    try:
        await until(lambda: pool.stats().workers == 2)
        body = b"<title>large</title>" + b"<p>text</p>" * (LARGE // 10)
        answers = [pool.parse(page(number, body)) for number in range(2)]
        (busy,) = [worker.child.pid for worker in pool._workers if worker.queue]
        os.kill(busy, signal.SIGKILL)
        assert titles(await gatherResults(answers)) == ["large", "large"]
        assert pool.stats().restarts == 1
    finally:
        await pool.stop()


async def test_workers_are_replaced_after_their_share():
    pool = make_pool(recycle_after=5)
    try:
        (first,) = pool.pids()
        results = await gatherResults([pool.parse(page(number)) for number in range(23)])
        assert titles(results) == [str(number) for number in range(23)]
        assert pool.stats().restarts >= 4
        assert not exists(first)
    finally:
        await pool.stop()


async def test_cancelling_drops_the_result():
    pool = make_pool()
    try:
        answers = [pool.parse(page(number)) for number in range(10)]
        for number in (0, 5, 9):
            answers[number].cancel()
            with pytest.raises(CancelledError):
                await answers[number]
        assert pool.backlog == 7
        assert titles(await gatherResults([answer for number, answer in enumerate(answers) if number not in (0, 5, 9)])) == list("1234678")
        assert (pool.backlog, pool.backlog_bytes) == (0, 0)
    finally:
        await pool.stop()


async def test_a_reactor_that_was_held_up_does_not_blame_the_pages():
    pool = make_pool(page_time=0.4)
    try:
        await pool.parse(page("warm"))
        answers = [pool.parse(page(number)) for number in range(WINDOW)]
        await sleep(0)
        time.sleep(1.0)  # noqa: ASYNC251 - that is the fault
        assert titles(await gatherResults(answers)) == ["0", "1", "2"]
        assert pool.stats().killed == 0
    finally:
        await pool.stop()


async def test_a_page_that_cannot_be_sent_is_answered():
    pool = make_pool()
    try:
        page_with_surrogate = ToParse("http://h.example/", Kind.PAGE, "text/html; \ud800", [], b"")
        assert (await pool.parse(page_with_surrogate)).reason is Reason.PARSE
        assert (await pool.parse(page("next"))).title == "next"
    finally:
        await pool.stop()
