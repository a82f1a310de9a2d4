"""The body of a request, from a producer to a transport that can hold it up."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.web.client import FileBodyProducer, RequestGenerationFailed
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface.verify import verifyObject

from crawler.fetch.upload import Upload


class Producer:
    """Does what a test says when it is started, and notes what it is told."""

    def __init__(self, length: Any, start: Callable[[Any], Deferred[None]]) -> None:
        self.length = length
        self.startProducing = start
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def writing(*pieces: bytes, result: Deferred[Any] | None = None) -> Callable[[Any], Deferred[Any]]:
    """Return what writes `pieces` at once and ends with `result`, by default well."""

    def start(consumer: Any) -> Deferred[Any]:
        for piece in pieces:
            consumer.write(piece)
        return succeed(None) if result is None else result

    return start


def upload(length: Any, start: Callable[[Any], Deferred[Any]]) -> tuple[Upload, StringTransport, Producer, list[Exception]]:
    transport, failures = StringTransport(), []
    producer = Producer(length, start)
    one = Upload(producer, transport, failures.append)  # type: ignore[arg-type]
    one.start()
    return one, transport, producer, failures


def cause(failures: list[Exception]) -> Any:
    (failure,) = failures
    assert isinstance(failure, RequestGenerationFailed)
    return failure.reasons[0].value


def test_it_is_what_twisted_expects() -> None:
    one, *_ = upload(0, writing())
    assert verifyObject(IConsumer, one)
    assert verifyObject(IPushProducer, one)


def test_a_body_of_known_length_is_written_as_it_is() -> None:
    one, transport, _, failures = upload(5, writing(b"he", b"", b"llo"))
    assert transport.value() == b"hello"
    assert (one.over, one.stop(), failures) == (True, True, [])
    assert transport.producer is None


def test_a_body_of_unknown_length_is_written_in_chunks() -> None:
    one, transport, _, failures = upload(UNKNOWN_LENGTH, writing(b"he", b"", b"l" * 17))
    assert transport.value() == b"2\r\nhe\r\n11\r\n" + b"l" * 17 + b"\r\n0\r\n\r\n"
    assert (one.stop(), failures) == (True, [])


def test_a_body_longer_than_said_is_not_sent_on() -> None:
    one, transport, producer, failures = upload(5, writing(b"hel", b"lo!", b"more"))
    assert transport.value() == b"hel"
    assert "more than it said" in str(cause(failures))
    assert producer.told == ["stop"]
    assert not one.stop()
    assert transport.producer is None


def test_a_body_shorter_than_said() -> None:
    one, _, _, failures = upload(5, writing(b"hel"))
    assert "less than it said" in str(cause(failures))
    assert not one.stop()


@pytest.mark.parametrize("length", [10, UNKNOWN_LENGTH], ids=["known", "unknown"])
def test_a_producer_that_fails_in_the_middle(length: Any) -> None:
    one, transport, _, failures = upload(length, writing(b"some", result=fail(OSError("disk"))))
    assert isinstance(cause(failures), OSError)
    assert not transport.value().endswith(b"0\r\n\r\n"), "it must not look whole"
    assert not one.stop()


def test_a_producer_that_raises_when_started() -> None:
    def start(_consumer: Any) -> Deferred[None]:
        raise OSError("no such file")

    _, transport, _, failures = upload(10, start)
    assert isinstance(cause(failures), OSError)
    assert transport.producer is None


def test_a_stopped_upload_writes_nothing_more_and_says_it_was_not_whole() -> None:
    produced: Deferred[None] = Deferred()
    one, transport, producer, failures = upload(UNKNOWN_LENGTH, writing(b"a", result=produced))
    assert not one.stop()
    one.write(b"b")
    produced.callback(None)
    assert transport.value() == b"1\r\na\r\n"
    assert (producer.told, failures, transport.producer) == (["stop"], [], None)
    assert not one.stop()


def test_what_a_producer_raises_when_stopped_is_logged_and_no_more() -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    one, _, producer, _ = upload(9, writing(result=Deferred()))
    producer.stopProducing = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    one.stop()
    globalLogPublisher.removeObserver(logged.append)
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [ZeroDivisionError]


def test_the_transport_holds_the_producer_up() -> None:
    one, transport, producer, _ = upload(9, writing(result=Deferred()))
    assert (transport.producer, transport.streaming) == (one, True)
    one.pauseProducing()
    one.resumeProducing()
    one.stopProducing()  # as a transport does that is lost
    assert producer.told == ["pause", "resume", "stop"]
    one.pauseProducing()
    one.resumeProducing()
    assert producer.told == ["pause", "resume", "stop"], "it is over"


def test_a_producer_may_register_another_in_its_place() -> None:
    inner = Producer(0, writing())
    one, transport, producer, _ = upload(9, writing(result=Deferred()))
    one.registerProducer(inner, False)
    assert (transport.producer, transport.streaming) == (one, False)
    one.resumeProducing()
    assert (inner.told, producer.told) == (["resume"], [])
    one.unregisterProducer()
    one.pauseProducing()
    assert (inner.told, producer.told) == (["resume"], ["pause"])
    assert transport.streaming


def test_a_file_is_read_no_faster_than_it_is_taken() -> None:
    """`FileBodyProducer` registers nowhere: whoever starts it has to."""
    clock = Clock()
    file = BytesIO(b"x" * 2**20)
    cooperator = Cooperator(scheduler=lambda step: clock.callLater(1, step), terminationPredicateFactory=lambda: lambda: True)
    producer = FileBodyProducer(file, cooperator=cooperator)
    transport, failures = StringTransport(), []
    one = Upload(producer, transport, failures.append)
    one.start()
    clock.advance(1)
    one.pauseProducing()
    taken = file.tell()
    for _ in range(10):
        clock.advance(1)
    assert file.tell() == taken < 2**20
    one.resumeProducing()
    while clock.getDelayedCalls():
        clock.advance(1)
    assert len(transport.value()) == 2**20
    assert (one.stop(), failures) == (True, [])
