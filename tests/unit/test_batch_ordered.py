"""The batch mode's order: answers are written in the order of the list, and no more is read ahead than allowed."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed

from crawler.batch import Ordered

# -- order ------------------------------------------------------------------------------------------------------


class Lines:
    """A list, the answers to it and what was written, all under a test's control."""

    def __init__(self, *chunks: list[str]) -> None:
        self.chunks: list[list[str] | None] = [*chunks, None]
        self.answers: dict[int, Deferred] = {}
        self.written: list[object] = []
        self.calls = 0

    def read(self):
        return succeed(self.chunks.pop(0))

    def answer(self, number, line):
        self.answers[number] = Deferred()
        return self.answers[number]

    def write(self, answers):
        self.calls += 1
        self.written += answers
        return succeed(None)

    def ordered(self, ahead=100):
        return Ordered(self.read, self.answer, self.write, ahead=ahead)

    def fire(self, *numbers):
        for number in numbers:
            self.answers[number].callback(number)


def test_answers_are_handed_out_in_order_as_soon_as_all_before_them_are():
    lines = Lines(["a", "b"], [], ["c", "d"])
    done = lines.ordered().run()
    lines.fire(2, 3)
    assert lines.written == []
    lines.fire(1)
    assert lines.written == [1, 2, 3]
    assert lines.calls == 1
    assert not done.called
    lines.fire(4)
    assert lines.written == [1, 2, 3, 4]
    assert done.result is True


def test_no_more_is_read_ahead_than_allowed():
    lines = Lines(["x"] * 50)
    done = lines.ordered(ahead=10).run()
    assert len(lines.answers) == 10
    lines.fire(*range(2, 11))
    assert len(lines.answers) == 10  # the first answer holds all others back
    lines.fire(1)
    assert len(lines.answers) == 20
    for number in range(11, 51):
        lines.fire(number)
    assert lines.written == list(range(1, 51))
    assert done.result is True


def test_one_write_gets_no_more_than_it_should():
    lines = Lines(["x"] * 2500)
    sizes = []
    write = lines.write
    lines.write = lambda answers: sizes.append(len(answers)) or write(answers)
    lines.ordered(ahead=2500).run()
    lines.fire(*range(2, 2501))
    lines.fire(1)
    assert sizes == [1000, 1000, 500]
    assert lines.written == list(range(1, 2501))


def test_an_empty_list_has_no_answers():
    lines = Lines()
    assert lines.ordered().run().result is True
    assert lines.written == []


def test_stopping_hands_out_what_is_complete_and_gives_up_the_rest():
    lines = Lines(["x"] * 6)
    blocked = Deferred()
    write = lines.write
    lines.write = lambda answers: write(answers).addCallback(lambda _: blocked)
    ordered = lines.ordered()
    done = ordered.run()
    lines.fire(1)  # being written
    lines.fire(2, 3, 5)
    ordered.stop()
    assert lines.written == [1]
    blocked.callback(None)
    assert lines.written == [1, 2, 3]
    assert done.result is False


def test_a_list_that_is_not_read_to_its_end_can_be_stopped():
    lines = Lines()
    lines.read = Deferred
    ordered = lines.ordered()
    done = ordered.run()
    ordered.stop()
    assert done.result is False


def test_a_failure_to_write_ends_it_all():
    lines = Lines(["x"] * 3)

    def write(answers):
        raise OSError("disk full")

    lines.write = write
    done = lines.ordered().run()
    cancelled = []
    lines.answers[3].addErrback(lambda failure: cancelled.append(failure.type))
    lines.fire(1)
    seen = []
    done.addErrback(lambda failure: seen.append(str(failure.value)))
    assert seen == ["disk full"]
    assert cancelled == [CancelledError]


def test_a_failure_to_answer_or_to_read_ends_it_all():
    for broken in ("answer", "read"):
        lines = Lines(["x"] * 3)
        if broken == "read":
            lines.chunks = [["x"]]
        done = lines.ordered().run()
        if broken == "answer":
            lines.answers[1].errback(ValueError("fault"))
        seen = []
        done.addErrback(lambda failure, seen=seen: seen.append(failure.type))
        assert seen == [ValueError if broken == "answer" else IndexError]
