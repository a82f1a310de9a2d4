"""The window against a model: a disk, a writer that reads at once and commits in batches, and a reactor that hears of both in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crawler.frontier import window as windows
from crawler.frontier.window import EVERYTHING, Window
from crawler.model import Kind, Task, Via

HOSTS = ("a", "b")


def task(seq: int, rank: int = 0, host: str = "a", attempts: int = 0) -> Task:
    return Task(seq, f"http://{host}/{seq}", host, Kind.PAGE, rank, Via.LINK, None, 0, attempts, rank, seq)


def place(found: Task) -> tuple[int, int]:
    return found.rank, found.seq


@pytest.fixture
def small() -> Iterator[None]:
    with mock.patch.multiple(windows, _BUDGET=6, _SMALLEST=2, _LARGEST=3):
        yield


def test_takes_by_rank_then_by_age() -> None:
    window = Window()
    assert window.admitted([task(1, 1), task(2, 0), task(3, 1), task(4, 0, "b")]) == ["a", "b"]
    assert [window.take("a", 0).seq for _ in range(3)] == [2, 1, 3]
    assert window.take("a", 0) is None
    assert window.take("nowhere", 0) is None


def test_a_host_without_queued_urls_leaves() -> None:
    window = Window()
    window.admitted([task(1), task(2)])
    first, second = window.take("a", 0), window.take("a", 0)
    window.done(first)
    assert (window.queued, window.queued_of("a"), len(window)) == (1, 1, 1)
    window.done(second)
    assert (window.queued, window.queued_of("a"), len(window), window.hosts()) == (0, 0, 0, [])
    window.refilled("a", (0, 1), [(task(9), 0.0)], complete=True)  # the answer to a question of before: too late
    assert window.queued == 0
    assert window.take("a", 0) is None


def test_delayed_urls_wait_and_then_go_first() -> None:
    window = Window()
    window.admitted([task(1), task(2)])
    window.delay(window.take("a", 0).postponed(1), 10.0)
    assert window.next_delayed("a") is None  # another one is ready
    second = window.take("a", 0)
    assert (second.seq, window.next_delayed("a"), window.has_ready("a", 9.9)) == (2, 10.0, False)
    assert window.take("a", 9.9) is None
    assert window.has_ready("a", 10.0)
    window.give_back(second)
    again = window.take("a", 10.0)
    assert (again.seq, again.attempts) == (1, 1)


def test_what_was_given_back_is_first_again() -> None:
    window = Window()
    window.admitted([task(1), task(2)])
    window.give_back(window.take("a", 0))
    assert window.take("a", 0).seq == 1


@pytest.mark.usefixtures("small")
def test_the_far_end_is_left_to_the_disk_and_read_again() -> None:
    window = Window()
    window.admitted([task(seq) for seq in range(1, 8)])  # the share is 3: at 7 the window is cut back to it
    assert window.wants_refill("a") is None  # it is full
    assert [window.take("a", 0).seq for _ in range(2)] == [1, 2]
    assert window.wants_refill("a") == (0, 3)
    assert window.wants_refill("a") is None  # asked already
    window.refilled("a", (0, 3), [(task(4), 0.0), (task(5), 7.0)], complete=False)
    assert [window.take("a", 0).seq for _ in range(2)] == [3, 4]
    assert window.next_delayed("a") == 7.0
    assert window.wants_refill("a") == (0, 5)
    window.refilled("a", (0, 5), [(task(6), 0.0), (task(7), 0.0)], complete=True)
    window.admitted([task(8)])
    assert [window.take("a", 0).seq for _ in range(3)] == [6, 7, 8]
    assert window.wants_refill("a") is None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fate", ["leased", "delayed", "given back"])
def test_a_lease_that_the_limit_passed_is_not_read_again(fate: str) -> None:
    window = Window()
    window.admitted([task(1, 5)])
    slow = window.take("a", 0)
    window.admitted([task(seq, 1) for seq in range(2, 9)])  # all of them before it: the limit is below its place now
    if fate == "delayed":
        window.delay(slow.postponed(1), 50.0)
    if fate == "given back":
        window.give_back(slow)
    taken = [window.take("a", 0).seq for _ in range(3)]
    while (after := window.wants_refill("a")) is not None:
        disk = [task(seq, 1) for seq in range(2, 9)] + [task(1, 5)]
        window.refilled("a", after, [(found, 0.0) for found in disk if place(found) > after], complete=True)
    while (found := window.take("a", 99.0)) is not None:
        taken.append(found.seq)
    assert sorted(taken) == [*([] if fate == "leased" else [1]), *range(2, 9)]


@pytest.mark.usefixtures("small")
def test_an_answer_is_dropped_when_the_limit_moved_meanwhile() -> None:
    window = Window()
    window.restore("a", 4)
    after = window.wants_refill("a")
    assert after is not None
    window.refilled("a", after, [(task(1, 1), 0.0), (task(2, 1), 0.0)], complete=False)
    assert window.take("a", 0).seq == 1
    after = window.wants_refill("a")
    assert after == (1, 2)
    window.admitted([task(seq, 0) for seq in range(10, 17)])
    window.refilled("a", after, [(task(3, 1), 0.0), (task(4, 1), 0.0)], complete=True)
    assert [window.take("a", 0).seq for _ in range(3)] == [10, 11, 12]
    assert window.wants_refill("a") == (0, 12)  # not EVERYTHING: it asks anew


def test_shares_shrink_with_the_number_of_hosts() -> None:
    window = Window()
    shares = []
    for number in range(20_000):
        window.restore(f"h{number}", 1)
        shares.append(window.share)
    assert shares[0] == 2000
    assert shares[-1] == 2
    assert shares == sorted(shares, reverse=True)


def test_it_holds_no_more_than_its_budget_however_many_are_admitted() -> None:
    window = Window()
    for start in range(0, 100_000, 1000):
        window.admitted([task(seq) for seq in range(start, start + 1000)])
        assert len(window._hosts["a"].ready) <= 2 * 2000
    assert window.queued == 100_000
    assert window._hosts["a"].limit != EVERYTHING


class Crawl(RuleBasedStateMachine):
    """`disk` is the queue table. `submitted` waits for the writer, `batch` for its commit, `told` for the reactor's turn."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = mock.patch.multiple(windows, _BUDGET=2, _SMALLEST=1, _LARGEST=2)
        self.patch.start()
        self.window = Window()
        self.now = 0.0
        self.seq = 0
        self.disk: dict[int, tuple[Task, float]] = {}
        self.leased: dict[int, Task] = {}
        self.storing: dict[int, Task] = {}
        self.admitted: dict[int, Task] = {}  # known to the window and without outcome
        self.finished: list[int] = []
        self.submitted: deque[Callable[[], None]] = deque()
        self.batch: list[tuple[Callable[[], list[Task]], Callable[[], None]]] = []
        self.told: deque[Callable[[], None]] = deque()

    def teardown(self) -> None:
        try:
            self.crawl_to_the_end()
        finally:
            self.patch.stop()

    # -- the writer

    def submit_operation(self, apply: Callable[[], list[Task]], acknowledge: Callable[[], None]) -> None:
        self.submitted.append(lambda: self.batch.append((apply, acknowledge)))

    def submit_read(self, host: str, after: tuple[int, int], limit: int) -> None:
        def read() -> None:
            found = sorted(
                (row for row in self.disk.values() if row[0].host == host and place(row[0]) > after), key=lambda row: place(row[0])
            )
            rows = found[:limit]
            self.told.append(lambda: self.refilled(host, after, rows, len(rows) < limit))

        self.submitted.append(read)

    def refilled(self, host: str, after: tuple[int, int], rows: list[tuple[Task, float]], complete: bool) -> None:
        self.window.refilled(host, after, rows, complete=complete)
        self.offer(host)

    def offer(self, host: str) -> None:
        after = self.window.wants_refill(host)
        if after is not None:
            self.submit_read(host, after, self.window.share)

    def insert(self, links: list[tuple[str, int]]) -> list[Task]:
        new = []
        for host, rank in links:
            self.seq += 1
            new.append(task(self.seq, rank, host))
            self.disk[self.seq] = (new[-1], 0.0)
        return new

    def learn(self, new: list[Task]) -> None:
        self.admitted.update({found.seq: found for found in new})
        for host in self.window.admitted(new):
            self.offer(host)

    @precondition(lambda self: self.submitted)
    @rule(count=st.integers(1, 5))
    def writer_takes_the_next(self, count: int = 1) -> None:
        for _ in range(min(count, len(self.submitted))):
            self.submitted.popleft()()

    @precondition(lambda self: self.batch)
    @rule()
    def writer_commits(self) -> None:
        batch, self.batch = self.batch, []
        new = [found for apply, _ in batch for found in apply()]
        acks = [acknowledge for _, acknowledge in batch]
        self.told.append(lambda: (self.learn(new), [acknowledge() for acknowledge in acks])[0])

    @precondition(lambda self: self.told)
    @rule(count=st.integers(1, 5))
    def reactor_hears(self, count: int = 1) -> None:
        for _ in range(min(count, len(self.told))):
            self.told.popleft()()

    # -- the reactor

    @initialize(links=st.lists(st.tuples(st.sampled_from(HOSTS), st.integers(0, 3)), min_size=1, max_size=12))
    def seeds(self, links: list[tuple[str, int]]) -> None:
        self.submit_operation(lambda: self.insert(links), lambda: None)

    @precondition(lambda self: any(self.window.has_ready(host, self.now) for host in HOSTS))
    @rule(data=st.data())
    def take_from_one_that_is_ready(self, data: st.DataObject) -> None:
        self.take(data.draw(st.sampled_from([host for host in HOSTS if self.window.has_ready(host, self.now)])))

    def take(self, host: str) -> None:
        ready = self.window.has_ready(host, self.now)
        found = self.window.take(host, self.now)
        assert (found is not None) == ready
        if found is None:
            return
        assert found.seq in self.admitted, "taken before it was told to be durable"
        assert found.seq not in self.leased, "taken twice"
        assert found.seq not in self.storing, "taken while its end is being stored"
        stored, not_before = self.disk[found.seq]
        assert found.attempts == stored.attempts
        assert not_before <= self.now
        if not not_before:
            others = [t for t in self.admitted.values() if t.host == host and t.seq not in self.leased and t.seq not in self.storing]
            assert place(found) == min(place(t) for t in others if not self.disk[t.seq][1]), "not the first in the queue"
        self.leased[found.seq] = found
        self.offer(host)

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        found = self.leased.pop(data.draw(st.sampled_from(sorted(self.leased))))
        self.window.give_back(found)
        self.offer(found.host)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), links=st.lists(st.tuples(st.sampled_from(HOSTS), st.integers(0, 3)), max_size=8))
    def complete(self, data: st.DataObject, links: list[tuple[str, int]]) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.leased))), links)

    def end(self, seq: int, links: list[tuple[str, int]]) -> None:
        found = self.storing[seq] = self.leased.pop(seq)

        def apply() -> list[Task]:
            assert seq not in self.finished, "stored twice"
            self.finished.append(seq)
            del self.disk[seq]
            return self.insert(links if self.seq < 200 else [])

        def acknowledge() -> None:
            del self.storing[seq], self.admitted[seq]
            self.window.done(found)
            self.offer(found.host)

        self.submit_operation(apply, acknowledge)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), seconds=st.integers(1, 20))
    def postpone(self, data: st.DataObject, seconds: int) -> None:
        seq = data.draw(st.sampled_from(sorted(self.leased)))
        again = self.leased.pop(seq)
        self.storing[seq] = again
        again, until = again.postponed(again.attempts + 1), self.now + seconds

        def apply() -> list[Task]:
            self.disk[seq] = (again, until)
            return []

        def acknowledge() -> None:
            del self.storing[seq]
            self.admitted[seq] = again
            self.window.delay(again, until)
            self.offer(again.host)

        self.submit_operation(apply, acknowledge)

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def crash_and_resume(self) -> None:
        self.submitted.clear()
        self.batch.clear()
        self.told.clear()
        self.leased.clear()
        self.storing.clear()
        self.window = Window()
        self.admitted = {seq: found for seq, (found, _) in self.disk.items()}
        for host in HOSTS:
            if count := sum(found.host == host for found in self.admitted.values()):
                self.window.restore(host, count)
                self.offer(host)

    @invariant()
    def counts_are_right(self) -> None:
        assert self.window.queued == len(self.admitted)
        assert len(self.window) == len({found.host for found in self.admitted.values()})

    @invariant()
    def window_is_small(self) -> None:
        for queue in self.window._hosts.values():
            assert len(queue.ready) <= 2 * windows._LARGEST + windows._LARGEST + len(self.leased) + len(self.storing)

    def crawl_to_the_end(self) -> None:
        for _ in range(20_000):
            if not (self.submitted or self.batch or self.told or self.admitted):
                break
            while self.submitted:
                self.writer_takes_the_next()
            if self.batch:
                self.writer_commits()
            while self.told:
                self.reactor_hears()
            self.now += 5
            for host in HOSTS:
                self.take(host)
            for seq in list(self.leased):
                self.end(seq, [])
        assert not self.admitted, f"never taken: {sorted(self.admitted)}"
        assert not self.disk, f"left on disk: {sorted(self.disk)}"
        assert sorted(self.finished) == sorted(set(self.finished))


Crawl.TestCase.settings = settings(
    max_examples=120, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TestWindowAgainstItsModel = Crawl.TestCase
