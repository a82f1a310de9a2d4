import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater

from crawler.config import ParseSettings
from crawler.errors import WorkersDied
from crawler.model import Kind, Parsed, Reason
from crawler.parse import child
from crawler.parse.frames import Answer, ToParse, answer_frame
from crawler.parse.pool import LARGE, ParsePool, PoolStats
from crawler.parse.queued import WINDOW

SPIN = b"<div>" * 300_000  # quadratic in lexbor: minutes


def make_pool(**settings):
    pool = ParsePool(reactor, ParseSettings(**{"workers": 1, **settings}), "crawl")
    pool.start()
    return pool


def page(name, body=None):
    return ToParse(f"http://h.example/{name}", Kind.PAGE, "text/html", [], body or b"<title>%s</title><a href=/x>" % str(name).encode())


def runs(pid):
    """A zombie does not run; whether init reaps it is not ours."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def exists(pid):
    return Path(f"/proc/{pid}").exists()


async def sleep(seconds):
    await deferLater(reactor, seconds, lambda: None)


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await sleep(0.01)


def titles(results):
    return [parsed.title for parsed in results]


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


async def test_stopping_twice_and_without_a_start():
    await ParsePool(reactor, ParseSettings(workers=1), "crawl").stop()
    pool = make_pool()
    await gatherResults([pool.stop(), pool.stop()])
    assert pool.pids() == []


async def test_stop_leaves_no_process_and_fails_what_waits():
    pool = make_pool(workers=2)
    await pool.parse(page("warm"))
    pids = pool.pids()
    answers = [pool.parse(page(number, SPIN)) for number in range(5)]
    await sleep(0.05)
    started = time.monotonic()
    await pool.stop()
    assert time.monotonic() - started < 2.5
    assert not any(exists(pid) for pid in pids)
    for answer in answers:
        with pytest.raises(WorkersDied):
            await answer
    with pytest.raises(WorkersDied):
        await pool.parse(page("late"))


async def test_an_idle_worker_leaves_at_once_when_stopped():
    pool = make_pool()
    await pool.parse(page("warm"))
    (pid,) = pool.pids()
    started = time.monotonic()
    await pool.stop()
    assert time.monotonic() - started < 0.5
    assert not exists(pid)


async def test_workers_that_cannot_start_end_the_pool(monkeypatch):
    monkeypatch.setattr(child.sys, "executable", "/bin/false")
    pool = make_pool(workers=2)
    answers = [pool.parse(page(number)) for number in range(3)]
    for answer in answers:
        with pytest.raises(WorkersDied, match="exited with status 1"):
            await answer
    with pytest.raises(WorkersDied):
        await pool.parse(page("late"))
    await pool.stop()


async def test_an_executable_that_is_not_there(monkeypatch):
    monkeypatch.setattr(child.sys, "executable", "/nonexistent/python")
    pool = make_pool()
    with pytest.raises(WorkersDied, match="could not be started"):
        await pool.parse(page("x"))
    await pool.stop()


async def test_idle_workers_that_are_killed_do_not_end_the_pool():
    pool = make_pool()
    try:
        for number in range(6):
            assert (await pool.parse(page(number))).title == str(number)
            os.kill(pool.pids()[0], signal.SIGKILL)
            await until(lambda number=number: pool.stats().restarts == number + 1 and pool.stats().workers == 1)
        assert (await pool.parse(page("alive"))).title == "alive"
    finally:
        await pool.stop()


async def test_a_worker_does_not_see_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "msgspec.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    pool = make_pool()
    try:
        assert (await pool.parse(page("x"))).title == "x"
    finally:
        await pool.stop()


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [("crawler.parse.worker", ["twisted", "treq"]), ("crawler.parse.pool", ["lxml", "selectolax", "brotli", "backports", "cchardet"])],
)
def test_neither_side_imports_what_is_the_other_sides(module, forbidden):
    code = f"import sys, {module}; print(sorted({{name.partition('.')[0] for name in sys.modules}} & set({forbidden!r})))"
    assert run_python(code).stdout == "[]\n"


async def test_signals_to_stop_are_the_parents():
    pool = make_pool()
    try:
        await pool.parse(page("warm"))
        answers = [pool.parse(page(number, b"<title>%d</title>" % number + b"<div>" * 5000)) for number in range(5)]
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pool.pids()[0], number)
        assert titles(await gatherResults(answers)) == ["0", "1", "2", "3", "4"]
        assert pool.stats().restarts == 0
    finally:
        await pool.stop()


FAKE = """#!{python}
import socket, sys
sock = socket.socket(fileno=int(sys.argv[-1]))
sock.sendall(bytes({first}))
while sock.recv(1 << 20):
    sock.sendall(bytes({then}))
"""


def fake_worker(tmp_path, monkeypatch, first, then):
    program = tmp_path / "worker"
    program.write_text(FAKE.format(python=sys.executable, first=list(first), then=list(then)))
    program.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(program))


async def test_a_worker_that_talks_rubbish_is_not_believed(tmp_path, monkeypatch):
    fake_worker(tmp_path, monkeypatch, b"HTTP/1.1 200 OK", b"")
    pool = make_pool()
    with pytest.raises(WorkersDied, match="sent a broken answer"):
        await pool.parse(page("x"))
    await pool.stop()


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        msgspec.msgpack.encode("no struct"),
        msgspec.msgpack.encode([1, 2, 3]),
        pickle.dumps(Parsed(title="x")),
        msgspec.msgpack.encode(Parsed()) + b"x",
    ],
)
async def test_an_answer_that_is_no_parsed_page_is_not_believed(tmp_path, monkeypatch, payload):
    fake_worker(tmp_path, monkeypatch, answer_frame(Answer.READY), answer_frame(Answer.PARSED, payload) * 20)
    pool = make_pool()
    try:
        assert await pool.parse(page("x")) == Parsed(reason=Reason.PARSE, detail="worker sent a broken answer")
    finally:
        await pool.stop()


async def test_no_descriptor_is_left_behind():
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = None
    for number in range(4):
        pool = make_pool(workers=2)
        await pool.parse(page(number))
        os.kill(pool.pids()[0], signal.SIGKILL)
        await pool.parse(page(number))
        await pool.stop()
        before = descriptors() if before is None else before
    assert descriptors() == before


async def test_an_answer_arrives_before_the_next_worker_is_needed():
    """An answer's callback may ask for more: the pool is consistent when it is called."""
    pool = make_pool()
    try:
        done = Deferred()
        left = [20]

        def more(parsed):
            left[0] -= 1
            if left[0] == 0:
                done.callback(pool.backlog)
            else:
                pool.parse(page(left[0])).addCallback(more)

        pool.parse(page("first")).addCallback(more)
        assert await done == 0
    finally:
        await pool.stop()


SCRIPT = """
import os, sys
from twisted.internet import asyncioreactor
name = sys.argv[1]
if name == "uvloop":
    import uvloop
    asyncioreactor.install(uvloop.new_event_loop())
elif name == "asyncio":
    asyncioreactor.install()
else:
    from twisted.internet import selectreactor
    selectreactor.install()
from twisted.internet import defer, reactor
from crawler.config import ParseSettings
from crawler.model import Kind
from crawler.parse.frames import Answer, ToParse, answer_frame
from crawler.parse.pool import ParsePool

async def main():
    pool = ParsePool(reactor, ParseSettings(workers=2, page_time=0.4), "crawl")
    pool.start()
    bodies = [b"<title>%d</title>" % number + b"<div>" * (300_000 if number == 3 else 1) for number in range(8)]
    answers = [pool.parse(ToParse("http://h.example/", Kind.PAGE, "text/html", [], body)) for body in bodies]
    if sys.argv[2] == "abandon":
        await answers[0]
        print(*pool.pids(), flush=True)
        os.kill(os.getpid(), 9)
    print(*[parsed.title or parsed.reason for parsed in await defer.gatherResults(answers)])
    pids = pool.pids()
    await pool.stop()
    print("left:", *[pid for pid in pids if os.path.exists(f"/proc/{pid}")])
    reactor.stop()

reactor.callWhenRunning(lambda: defer.ensureDeferred(main()))
reactor.run()
"""


def run_python(SCRIPT, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(child.crawler.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False
    )


@pytest.mark.parametrize("name", ["select", "asyncio", "uvloop"])
def test_every_reactor(name):
    done = run_python(SCRIPT, name, "finish")
    assert done.stdout == "0 1 2 parse 4 5 6 7\nleft:\n"
    assert (done.returncode, done.stderr) == (0, "")


async def test_workers_do_not_outlive_a_killed_parent():
    done = run_python(SCRIPT, "select", "abandon")
    pids = [int(pid) for pid in done.stdout.split()]
    assert (len(pids), done.returncode) == (2, -signal.SIGKILL)
    await until(lambda: not any(runs(pid) for pid in pids), 5.0)
