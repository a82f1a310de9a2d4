"""The workers as processes: started, stopped, isolated; nothing of them is left."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from parse_pools import SPIN, exists, make_pool, page, sleep, titles, until
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from crawler.config import ParseSettings
from crawler.errors import WorkersDied
from crawler.model import Parsed, Reason
from crawler.parse import child
from crawler.parse.frames import Answer, answer_frame
from crawler.parse.pool import ParsePool


def runs(pid):
    """A zombie does not run; whether init reaps it is not ours."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


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
sock.recv(1 << 20)  # the setup
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


async def test_an_answer_counts_though_rubbish_follows_it(tmp_path, monkeypatch):
    fake_worker(
        tmp_path,
        monkeypatch,
        answer_frame(Answer.READY),
        answer_frame(Answer.PARSED, msgspec.msgpack.encode(Parsed(title="t"))) + b"\xff" * 9,
    )
    pool = make_pool()
    try:
        assert titles([await pool.parse(page("x")), await pool.parse(page("y"))]) == ["t", "t"]
        await until(lambda: pool.stats().restarts == 2)
    finally:
        await pool.stop()


async def test_pages_of_one_turn_are_written_together(tmp_path, monkeypatch):
    """The worker answers whatever it reads at once with three pages: a second read would mean answers that nobody waits for."""
    fake_worker(
        tmp_path, monkeypatch, answer_frame(Answer.READY), answer_frame(Answer.PARSED, msgspec.msgpack.encode(Parsed(title="t"))) * 3
    )
    pool = make_pool()
    try:
        await until(lambda: pool.stats().workers)
        assert titles(await gatherResults([pool.parse(page(number)) for number in range(3)])) == ["t"] * 3
        await sleep(0.1)
        assert pool.stats().restarts == 0
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
