"""The list-of-URLs mode without a network: requests within their limits, the gate, the guard, the order of the answers."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crawler.batch.gate import ListGuard, RobotsGate
from crawler.batch.requests import Requests
from crawler.config import load
from crawler.model import Fetched, FetchFailed, Reason
from crawler.policy.outage import FAILURES_UNTIL_DOWN
from crawler.policy.robots import RobotsCache


def fetched(url: str, status: int = 200, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> Fetched:
    return Fetched(url, status, headers or [], body, "192.0.2.1", 0.0, 0.1)


class Net:
    """A fetcher that notes what it is asked and answers when told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str]] = []
        self.accepts: list[object] = []
        self.open: dict[str, Deferred] = {}

    def fetch(self, url, *, max_body=None, accept=None, conditional=None, on_sent=None, cut=False):
        self.asked.append((round(self.clock.seconds(), 3), url))
        self.accepts.append(accept)
        on_sent(self.clock.seconds())
        self.open[url] = Deferred()
        return self.open[url]

    @property
    def urls(self) -> list[str]:
        return [url for _, url in self.asked]

    def answer(self, url: str, result: object = None) -> None:
        self.open.pop(url).callback(result or fetched(url))


def make_requests(clock, net, *, has_room=lambda: True, **flags):
    return Requests(
        clock, net.fetch, load(flags={key.replace("__", "."): value for key, value in flags.items()}).settings, has_room=has_room
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def net(clock):
    return Net(clock)


# -- requests ---------------------------------------------------------------------------------------------------


def test_no_more_in_flight_than_allowed_in_all_and_to_each_host(clock, net):
    requests = make_requests(clock, net, politeness__delay=0.0, politeness__per_host=2, fetch__concurrency=5)
    answers = [requests.ask(f"http://h{host}/{page}") for host in range(4) for page in range(4)]
    clock.advance(0)
    assert len(net.open) == requests.in_flight == 5
    while net.open:
        hosts = [url.split("/")[2] for url in net.open]
        assert len(hosts) <= 5
        assert max(hosts.count(host) for host in hosts) <= 2
        net.answer(next(iter(net.open)))
        clock.advance(0)
    assert all(answer.called for answer in answers)
    assert sorted(net.urls) == sorted(f"http://h{host}/{page}" for host in range(4) for page in range(4))


def test_requests_to_a_host_keep_its_delay(clock, net):
    requests = make_requests(clock, net, politeness__delay=0.5)
    for page in range(3):
        requests.ask(f"http://a/{page}")
    requests.ask("http://b/")
    for _ in range(20):
        clock.advance(0.1)
        for url in list(net.open):
            net.answer(url)
    times = {url: at for at, url in net.asked}
    assert times["http://b/"] <= 0.1
    assert times["http://a/1"] - times["http://a/0"] >= 0.5
    assert times["http://a/2"] - times["http://a/1"] >= 0.5
    assert requests.hosts == 0
    assert not clock.getDelayedCalls()


def test_an_errand_goes_first_and_takes_any_media_type(clock, net):
    requests = make_requests(clock, net, politeness__per_host=1, politeness__delay=0.0)
    for path in ("1", "2"):
        requests.ask(f"http://a/{path}")
    requests.ask("http://a/robots.txt", errand=True)
    for _ in range(3):
        clock.advance(0)
        net.answer(next(iter(net.open)))
    assert net.urls == ["http://a/robots.txt", "http://a/1", "http://a/2"]
    assert net.accepts == [(), None, None]


def test_nothing_is_asked_while_there_is_no_room_behind(clock, net):
    room = [False]
    requests = make_requests(clock, net, has_room=lambda: room[0])
    requests.ask("http://a/")
    clock.advance(10)
    assert net.urls == []
    room[0] = True
    requests.pump()
    clock.advance(0)
    assert net.urls == ["http://a/"]


def test_a_request_called_off_while_waiting_is_never_made(clock, net):
    requests = make_requests(clock, net, politeness__delay=1.0)
    requests.ask("http://a/1")
    waiting = requests.ask("http://a/2")
    clock.advance(0)
    waiting.cancel()
    waiting.addErrback(lambda failure: failure.trap(CancelledError))
    net.answer("http://a/1")
    clock.advance(5)
    assert net.urls == ["http://a/1"]
    assert (requests.hosts, requests.in_flight) == (0, 0)


def test_a_request_called_off_under_way_frees_its_place(clock, net):
    requests = make_requests(clock, net, politeness__delay=0.0, politeness__per_host=1)
    heard = []
    first = requests.ask("http://a/1").addErrback(lambda failure: heard.append(failure.type))
    requests.ask("http://a/2")
    clock.advance(0)
    first.cancel()
    clock.advance(0)
    assert heard == [CancelledError]
    assert net.urls == ["http://a/1", "http://a/2"]


def test_a_host_that_is_down_is_given_up_with_all_that_waits_for_it(clock, net):
    requests = make_requests(clock, net, politeness__delay=0.0, politeness__per_host=1)
    count = FAILURES_UNTIL_DOWN + 30
    results = []
    for page in range(count):
        requests.ask(f"http://a/{page}").addCallback(results.append)
    while len(results) < count:
        clock.advance(60)
        for url in list(net.open):
            net.answer(url, FetchFailed(url, Reason.CONNECT, "connection refused", None, 0.0, 0.0))
    assert len(net.asked) == FAILURES_UNTIL_DOWN
    assert [result.reason for result in results].count(Reason.HOST_DOWN) == 30
    later = requests.ask("http://a/later")
    assert later.called
    assert later.result.reason is Reason.HOST_DOWN
    assert not requests.ask("http://b/").called


def test_closing_calls_off_everything_and_leaves_no_timer(clock, net):
    requests = make_requests(clock, net, politeness__delay=5.0)
    ends = []
    for page in range(3):
        requests.ask(f"http://a/{page}").addErrback(lambda failure: ends.append(failure.type))
    clock.advance(0)
    requests.close()
    assert ends == [CancelledError, CancelledError]  # the two that waited; what is under way is the fetcher's to close
    net.open["http://a/0"].cancel()
    assert ends == [CancelledError] * 3
    requests.close()
    assert not clock.getDelayedCalls()


# -- the robots gate --------------------------------------------------------------------------------------------


@pytest.fixture
def gate(clock, net):
    settings = load(flags={"politeness.delay": 0.0, "fetch.retries": 1}).settings
    requests = Requests(clock, net.fetch, settings, has_room=lambda: True)
    cache = RobotsCache("crawl", ttl=100, obey=True, max_delay=60, fetch=settings.fetch)
    return RobotsGate(clock, requests, cache, clock.seconds)


def refusals(gate, *urls):
    found = {}
    for url in urls:
        gate.refusal(url).addBoth(lambda refusal, url=url: found.__setitem__(url, refusal))
    return found


def test_one_fetch_of_robots_txt_however_many_wait(clock, net, gate):
    found = refusals(gate, *[f"http://a/{page}" for page in range(50)], "http://a/no")
    clock.advance(0)
    assert net.urls == ["http://a/robots.txt"]
    assert found == {}
    net.answer("http://a/robots.txt", fetched("http://a/robots.txt", body=b"User-agent: *\nDisallow: /no\nCrawl-delay: 3\n"))
    assert found.pop("http://a/no")[0] is Reason.ROBOTS
    assert set(found.values()) == {None}
    assert refusals(gate, "http://a/no/2")["http://a/no/2"][0] is Reason.ROBOTS  # known now
    assert len(net.asked) == 1


def test_robots_txt_of_another_origin_is_another(clock, net, gate):
    found = refusals(gate, "http://a/", "https://a/", "http://a:8080/")
    clock.advance(0)
    clock.advance(0)
    for url in list(net.open):
        net.answer(url, fetched(url, 404))
    clock.advance(0)
    for url in list(net.open):
        net.answer(url, fetched(url, 404))
    assert sorted(net.urls) == ["http://a/robots.txt", "http://a:8080/robots.txt", "https://a/robots.txt"]
    assert set(found.values()) == {None}


def test_robots_txt_is_retried_then_refuses_everything(clock, net, gate):
    found = refusals(gate, "http://a/")
    for _ in range(2):
        clock.advance(2)
        net.answer("http://a/robots.txt", fetched("http://a/robots.txt", 503))
    assert found["http://a/"][0] is Reason.ROBOTS_UNREACHABLE
    assert len(net.asked) == 2


def test_robots_txt_redirects_are_followed_to_another_host(clock, net, gate):
    found = refusals(gate, "http://a/secret")
    clock.advance(0)
    net.answer("http://a/robots.txt", fetched("http://a/robots.txt", 301, headers=[("location", "http://b/r.txt")]))
    clock.advance(0)
    net.answer("http://b/r.txt", fetched("http://b/r.txt", body=b"User-agent: *\nDisallow: /secret\n"))
    assert found["http://a/secret"][0] is Reason.ROBOTS


def test_a_closed_gate_leaves_nobody_waiting(clock, net, gate):
    found = refusals(gate, "http://a/1", "http://a/2")
    clock.advance(0)
    gate.close()
    assert [failure.type for failure in found.values()] == [CancelledError] * 2


# -- the guard --------------------------------------------------------------------------------------------------


def test_what_the_user_lists_may_be_private_while_it_is_in_work():
    guard = ListGuard()
    assert guard.refusal("10.0.0.1", 80)
    guard.begin("http://10.0.0.1/a")
    guard.begin("http://10.0.0.1/b")
    assert guard.refusal("10.0.0.1", 80) is None
    assert guard.refusal("10.0.0.1", 81)
    assert guard.refusal("10.0.0.2", 80)
    guard.end("http://10.0.0.1/a")
    assert guard.refusal("10.0.0.1", 80) is None
    guard.end("http://10.0.0.1/b")
    assert guard.refusal("10.0.0.1", 80)


def test_a_listed_name_may_have_the_private_address_it_had_first():
    guard = ListGuard()
    guard.resolved("intra.example", ["10.0.0.1"])  # not of the list: a redirect's target
    assert guard.refusal("10.0.0.1", 80)
    guard.begin("http://intra.example/")
    guard.resolved("intra.example", ["10.0.0.1"])
    guard.resolved("intra.example", ["10.0.0.9"])
    assert guard.refusal("10.0.0.1", 80) is None
    assert guard.refusal("10.0.0.9", 80)
    guard.end("http://intra.example/")
    assert guard.refusal("10.0.0.1", 80)
    assert guard.refusal("93.184.216.34", 80) is None
