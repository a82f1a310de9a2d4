"""The frontier on a real database: seen, order, budgets, depth, collisions, and that all of it survives a reopening."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor

from crawler.config import StoreSettings
from crawler.frontier import fresh
from crawler.frontier.sqlite import Admitted, Candidate, SqliteFrontier, State
from crawler.frontier.window import Place
from crawler.model import Kind, Outcome, Record, Task, Via
from crawler.store.commit import Writer
from crawler.store.home import Home, open_home
from crawler.store.operations import Admission, Completion
from crawler.store.schema import connect, write_meta
from crawler.url import fingerprint, host

START: Place = (-(1 << 62), 0)
MEMORY = Path("/dev/shm")


def found(url: str, depth: int = 1, *, key: int | None = None, via: Via = Via.LINK, referrer: str | None = None) -> Candidate:
    return Candidate(fingerprint(url) if key is None else key, url, host(url), Kind.PAGE, via, depth, 0, referrer)


class Disk:
    """A frontier in a file; each call is a transaction."""

    def __init__(self, path: Path, **options: object) -> None:
        self.path, self.options = path, options
        self.connection = connect(path, create=True)
        self.frontier = SqliteFrontier(self.connection, **options)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteFrontier]:
        self.connection.execute("BEGIN IMMEDIATE")
        yield self.frontier
        write_meta(self.connection, "seq", self.frontier.seq)
        self.connection.execute("COMMIT")

    def admit(self, *candidates: Candidate) -> Admitted:
        with self.transaction() as frontier:
            return frontier.admit(candidates)

    def finish(self, *tasks: Task) -> None:
        with self.transaction() as frontier:
            frontier.finish([(task, Outcome.FETCHED, 0) for task in tasks])

    def reopen(self) -> Disk:
        self.connection.close()
        return Disk(self.path, **self.options)

    def states(self) -> dict[str, State]:
        return {url: State(state) for url, state in self.connection.execute("SELECT url, state FROM known")}

    def queue(self, name: str, after: Place = START, limit: int = 1000) -> list[Task]:
        return [task for task, _ in self.frontier.read_queue(name, after, limit)[0]]


Open = Callable[..., Disk]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Open]:
    made: list[Disk] = []

    def make(**options: object) -> Disk:
        made.append(Disk(tmp_path / f"{len(made)}.sqlite", **options))
        return made[-1]

    yield make
    for one in made:
        one.connection.close()


def test_a_url_is_admitted_once(disk: Open) -> None:
    one = disk()
    first = one.admit(found("http://a/1"), found("http://a/2"), found("http://a/1", 5))
    assert [(task.url, task.depth) for task in first.tasks] == [("http://a/1", 1), ("http://a/2", 1)]
    assert one.admit(found("http://a/2"), found("http://a/3")).tasks[0].url == "http://a/3"
    assert one.admit(found("http://a/1"), found("http://a/2"), found("http://a/3")).tasks == []
    assert one.admit().tasks == []


def test_done_urls_stay_seen_and_leave_the_queue(disk: Open) -> None:
    one = disk()
    first, second = one.admit(found("http://a/1"), found("http://a/2")).tasks
    one.finish(first)
    assert [task.url for task in one.queue("a")] == ["http://a/2"]
    again = one.reopen()
    assert again.admit(found("http://a/1"), found("http://a/2")).tasks == []
    assert again.queue("a") == [second]
    assert again.frontier.waiting_hosts() == [("a", 1, 0.0)]
    again.connection.close()


def test_more_hosts_than_are_remembered(disk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.frontier.sqlite._HOSTS_REMEMBERED", 2)
    one = disk(host_budget=2)
    names = [f"h{number}" for number in range(9)]
    first = one.admit(*[found(f"http://{name}/1") for name in names]).tasks
    second = one.admit(*[found(f"http://{name}/2") for name in reversed(names)])
    assert [len(found) for found in (first, second.tasks, second.over_budget)] == [9, 9, 0]
    assert len(one.admit(*[found(f"http://{name}/3") for name in names]).over_budget) == 9
    one.finish(*first)
    assert {name: [task.url for task in one.queue(name)] for name in names} == {name: [f"http://{name}/2"] for name in names}
    assert sorted(one.frontier.waiting_hosts()) == [(name, 1, 0.0) for name in names]
    assert one.frontier._host_id.cache_info().currsize == 2
    assert one.queue("unheard") == []


def test_a_read_task_equals_the_admitted_one(disk: Open) -> None:
    one = disk()
    candidate = Candidate(fingerprint("http://a:8/s"), "http://a:8/s", "a", Kind.SITEMAP, Via.ROBOTS, 3, 4, "http://a:8/robots.txt")
    (task,) = one.admit(candidate).tasks
    assert one.queue("a") == [task]
    assert task == Task(candidate.key, "http://a:8/s", "a", Kind.SITEMAP, 3, Via.ROBOTS, "http://a:8/robots.txt", 4, 0, 3, 1)


def test_the_queue_is_read_by_rank_then_age_in_pieces(disk: Open) -> None:
    one = disk()
    depths = [2, 0, 1, 2, 0, 1, 1]
    one.admit(*[found(f"http://a/{number}", depth) for number, depth in enumerate(depths)], found("http://b/", 0))
    got, after, complete = [], START, False
    while not complete:
        rows, complete = one.frontier.read_queue("a", after, 3)
        got += [task for task, _ in rows]
        after = (got[-1].rank, got[-1].seq)
    assert [(task.rank, int(task.url[-1])) for task in got] == [(0, 1), (0, 4), (1, 2), (1, 5), (1, 6), (2, 0), (2, 3)]
    assert one.frontier.read_queue("nowhere", START, 3) == ([], True)


def test_postponed_urls_keep_their_place_attempts_and_time(disk: Open) -> None:
    one = disk()
    first, second = one.admit(found("http://a/1"), found("http://a/2")).tasks
    with one.transaction() as frontier:
        frontier.postpone(first, 2, 1234.5)
    again = one.reopen()
    assert again.frontier.read_queue("a", START, 9) == ([(first.postponed(2), 1234.5), (second, 0)], True)
    again.connection.close()


def test_a_host_pause_is_kept_also_for_a_host_without_urls(disk: Open) -> None:
    one = disk()
    with one.transaction() as frontier:
        frontier.pause_host("a", 99.5)
    again = one.reopen()
    assert again.frontier.waiting_hosts() == []
    again.admit(found("http://a/"))
    assert again.frontier.waiting_hosts() == [("a", 1, 99.5)]
    again.connection.close()


def test_places_are_never_given_twice(disk: Open) -> None:
    one = disk()
    (first,) = one.admit(found("http://a/1")).tasks
    one.finish(first)
    again = one.reopen()
    (second,) = again.admit(found("http://a/2")).tasks
    assert second.seq > first.seq
    again.connection.close()


# -- budget ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 15)), max_size=12), max_size=8),
    budget=st.integers(1, 6),
    reopened=st.booleans(),
)
def test_each_host_gets_its_budget_and_no_more(batches: list[list[tuple[str, int]]], budget: int, reopened: bool) -> None:
    with in_memory() as folder:
        one = Disk(folder / "q", host_budget=budget)
        admitted: Counter[str] = Counter()
        seen: dict[str, set[str]] = {"a": set(), "b": set(), "c": set()}
        for batch in batches:
            result = one.admit(*[found(f"http://{name}/{number}") for name, number in batch])
            admitted.update(task.host for task in result.tasks)
            for name, number in batch:
                seen[name].add(f"http://{name}/{number}")
            known = one.states()
            assert all(candidate.url not in known for candidate in result.over_budget)
            if reopened:
                one = one.reopen()
        assert admitted == Counter({name: min(budget, len(urls)) for name, urls in seen.items() if urls})
        one.connection.close()


def test_what_is_set_aside_as_too_deep_takes_no_place_in_the_budget(disk: Open) -> None:
    one = disk(depth=1, host_budget=2)
    result = one.admit(*[found(f"http://a/deep{number}", 2) for number in range(5)], found("http://a/1"), found("http://a/2"))
    assert [task.url for task in result.tasks] == ["http://a/1", "http://a/2"]
    assert (result.too_deep, result.over_budget) == (5, [])
    later = one.admit(found("http://a/deep0", 1))  # near enough now, and no place left
    assert (later.tasks, later.too_deep, [candidate.url for candidate in later.over_budget]) == ([], -1, ["http://a/deep0"])


# -- collisions ------------------------------------------------------------------------------------------------------


def weak(url: str, attempt: int = 0) -> int:
    """Eleven keys for the first try and few more for the others: nearly every URL collides."""
    return (sum(url.encode()) * 31 + attempt * 7 + attempt * attempt * 13 * (len(url) + url.encode()[-1])) % (11 + 40 * attempt)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 30), max_size=10), max_size=10), reopened=st.booleans())
def test_urls_with_one_fingerprint_are_told_apart(batches: list[list[int]], reopened: bool) -> None:
    with in_memory() as folder:
        one = Disk(folder / "q", other_key=weak)
        admitted: Counter[str] = Counter()
        wanted: set[str] = set()
        for batch in batches:
            urls = [f"http://a/{number}" for number in batch]
            wanted.update(urls)
            tasks = one.admit(*[found(url, key=weak(url)) for url in urls]).tasks
            admitted.update(task.url for task in tasks)
            if tasks:
                one.finish(tasks[0])
            if reopened:
                one = one.reopen()
        assert admitted == Counter(wanted)
        assert one.states().keys() == wanted
        one.connection.close()


def test_a_collision_within_a_batch_with_one_that_is_known(disk: Open) -> None:
    one = disk(other_key=lambda _, attempt: 100 + attempt)
    one.admit(found("http://a/known", key=7))
    tasks = one.admit(found("http://a/other", key=7), found("http://a/known", key=7)).tasks
    assert [(task.url, task.key) for task in tasks] == [("http://a/other", 101)]
    tasks = one.admit(found("http://a/third", key=7), found("http://a/other", key=7), found("http://a/fourth", key=7)).tasks
    assert {(task.url, task.key) for task in tasks} == {("http://a/third", 102), ("http://a/fourth", 103)}


# -- depth -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A folder where a commit costs no turn of a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


Graph = list[tuple[bool, list[int]]]
"""Per page: whether it redirects (to its first target), and where it leads to."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(2, 14))
    node = st.tuples(st.booleans().map(bool), st.lists(st.integers(0, size - 1), max_size=4))
    return [(redirects and bool(targets), targets) for redirects, targets in draw(st.lists(node, min_size=size, max_size=size))]


def distances(graph: Graph) -> dict[int, int]:
    """Return each page's distance from page 0: a link weighs 1, a redirect 0."""
    known = {0: 0}
    line = deque([0])
    while line:
        here = line.popleft()
        for target in led_to(graph[here]):
            far = known[here] + (0 if graph[here][0] else 1)
            if far < known.get(target, 1 << 30):
                known[target] = far
                line.append(target)
    return known


def led_to(node: tuple[bool, list[int]]) -> list[int]:
    redirects, targets = node
    return targets[:1] if redirects else targets


def page(number: int) -> str:
    return f"http://a/{number}"


def ended(task: Task, graph: Graph) -> Completion:
    node = graph[int(task.url.rpartition("/")[2])]
    redirects = node[0]
    outcome = Outcome.REDIRECTED if redirects else Outcome.FETCHED
    record = Record(**(dict.fromkeys(Record.__struct_fields__) | {"url": task.url, "outcome": outcome, "robots": []}))  # type: ignore[arg-type]
    via = Via.REDIRECT if redirects else Via.LINK
    links = [found(page(target), task.depth + (0 if redirects else 1), via=via) for target in led_to(node)]
    return Completion(task, record, links, [])


@settings(max_examples=150, deadline=None)
@given(graph=graphs(), limit=st.integers(0, 4), seed=st.integers(0, 1 << 30), resumes=st.booleans(), held=st.sampled_from([0, 3, 1 << 18]))
def test_under_a_depth_limit_the_set_is_a_breadth_first_crawls(graph: Graph, limit: int, seed: int, resumes: bool, held: int) -> None:
    chance = random.Random(seed)
    with in_memory() as folder, mock.patch.object(fresh, "_HELD", held):
        home, writer = reopened(folder, limit)
        waiting = writer._transact([Admission([found(page(0), 0, via=Via.SEED)], [])]).tasks
        crawled: list[str] = []
        while waiting:
            chance.shuffle(waiting)  # any order of completion, in batches of any size
            count = chance.randint(1, len(waiting))
            batch, waiting = waiting[:count], waiting[count:]
            crawled += [task.url for task in batch]
            waiting += writer._transact([ended(task, graph) for task in batch]).tasks
            if resumes and chance.random() < 0.2:
                home.close()
                home, writer = reopened(folder, limit)
                waiting = [task for task, _ in writer._frontier.read_queue("a", START, 1000)[0]]
        far = distances(graph)
        assert sorted(crawled) == sorted(page(number) for number, distance in far.items() if distance <= limit)
        rows = {url: (state, depth) for url, state, depth in home.connection.execute("SELECT url, state, depth FROM known")}
        within = {page(number): (State.DONE, distance) for number, distance in far.items() if distance <= limit}
        seen_from_within = {target for number in far if page(number) in within for target in led_to(graph[number])}
        just_beyond = {page(number): (State.TOO_DEEP, limit + 1) for number in seen_from_within if page(number) not in within}
        assert rows == within | just_beyond
        assert writer.counters.refused["depth"] == len(just_beyond)
        assert (writer.counters.queued, writer.counters.admitted) == (0, len(within))
        home.close()


def test_a_shorter_path_found_with_the_page_itself_reaches_its_links(tmp_path: Path) -> None:
    graph: Graph = [(False, [1, 4]), (False, [2]), (False, [3]), (False, []), (True, [2])]
    home, writer = reopened(tmp_path, 2)
    (start,) = writer._transact([Admission([found(page(0), 0, via=Via.SEED)], [])]).tasks
    one, four = writer._transact([ended(start, graph)]).tasks
    (two,) = writer._transact([ended(one, graph)]).tasks
    assert (two.url, two.depth) == (page(2), 2)
    tasks = writer._transact([ended(four, graph), ended(two, graph)]).tasks  # page 4 redirects to 2: it is at depth 1, and 3 at depth 2
    assert [(task.url, task.depth) for task in tasks] == [(page(3), 2)]
    home.close()


def reopened(folder: Path, limit: int) -> tuple[Home, Writer]:
    home = open_home(folder / "home")
    home.open_files([], overwrite=False)
    frontier = SqliteFrontier(home.connection, depth=limit)
    return home, Writer(home, frontier, StoreSettings(), reactor, keep_edges=True)
