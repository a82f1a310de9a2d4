"""Answers that went wrong on their way, by the million, given to what reads them: one command, the same run for the same seed.

    python tests/hostile/mutate_answers.py 1000000 --seed 7

Each round mangles an answer or two, cuts them at random and gives them to an `AnswerReader` and to a `Connection` with two requests
one after the other. It ends at the first exception, hang or byte that went to the wrong request, and says how to see it again.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
sys.path += [str(folder) for folder in (HERE.parents[1], HERE.parent, HERE.parent / "unit" / "fetch") if str(folder) not in sys.path]

from sites.mangled import mangled  # noqa: E402
from test_fetch_answer import ANSWERS  # noqa: E402
from test_fetch_response import Receiver, Wire  # noqa: E402
from twisted.internet.error import ConnectionDone, ConnectionLost  # noqa: E402
from twisted.logger import LogLevel, globalLogPublisher  # noqa: E402
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived  # noqa: E402
from twisted.web.http import PotentialDataLoss  # noqa: E402

from crawler.fetch.answer import AnswerReader  # noqa: E402
from crawler.fetch.failures import BadAnswer, HeadTooLarge  # noqa: E402

LONGEST_ROUND: Final = 5  # seconds of processor time; they take a fraction of a millisecond
MARK: Final = b"the second answer's own body"
SECOND: Final = b"HTTP/1.1 200 OK\r\nX-Second: yes\r\nContent-Length: %d\r\n\r\n" % len(MARK) + MARK
WHOLE: Final = list(ANSWERS.values())
STRICT: Final = [ANSWERS[name] for name in ("length", "no body", "204", "304", "chunks")]  # after these a connection is used again
ENDS: Final = (ResponseDone, PotentialDataLoss, ResponseFailed, ResponseNeverReceived)


def text_of(chance: random.Random) -> bytes:
    """Return what a server might send: mangled most of the time, glued together at times."""
    if chance.random() < 0.8:
        return mangled(chance, WHOLE)
    return b"".join(chance.choices(chance.choice((WHOLE, STRICT)), k=chance.choice((1, 1, 2))))


def pieces_of(chance: random.Random, text: bytes) -> Iterator[bytes]:
    """Cut `text` at random places, or into single bytes, or not at all."""
    longest = chance.choice((1, 3, 40, 1000, 1_000_000))
    place = 0
    while place < len(text):
        size = chance.randrange(1, longest + 1)
        yield text[place : place + size]
        place += size


def read_alone(chance: random.Random, text: bytes, seen: Counter[str]) -> None:
    """A reader comes to the same end however its bytes are cut, and no piece of a body before the head is done."""
    method = chance.choice((b"GET", b"GET", b"GET", b"HEAD"))
    in_one, in_pieces = AnswerReader(method), AnswerReader(method)
    in_one.feed(text)
    for piece in pieces_of(chance, text):
        in_pieces.feed(piece)
        assert in_pieces.head_done or not in_pieces.pieces
        assert not (in_pieces.whole and in_pieces.problem)
    for name in ("whole", "status", "length", "chunked") if in_one.head_done else ("whole", "head_done"):
        assert getattr(in_one, name) == getattr(in_pieces, name), name
    assert type(in_one.problem) is type(in_pieces.problem)
    assert in_one.problem is None or isinstance(in_one.problem, BadAnswer | HeadTooLarge)
    assert b"".join(in_one.pieces) == b"".join(in_pieces.pieces)
    assert not in_one.reusable or in_one.whole
    seen["whole" if in_one.whole else "problem" if in_one.problem else "open"] += 1


def ends_at(text: bytes, came: int) -> bool:
    """Tell whether an answer ends with byte `came` of `text`, and not before; but for line ends, which begin no answer and end none."""

    def whole(count: int) -> bool:
        reader = AnswerReader()
        reader.feed(text[:count])
        return reader.whole

    while came and text[came - 1] in b"\r\n" and whole(came - 1):
        came -= 1
    return whole(came) and not whole(came - 1)


def ask(wire: Wire, ends: list[Any]) -> None:
    """Send a request; its body's receiver, or the failure, comes to lie in `ends`."""

    def answered(response: Any) -> None:
        receiver = Receiver()
        ends.append(receiver)
        response.deliverBody(receiver)

    wire.ask().addCallbacks(answered, ends.append)


def read_in_turn(chance: random.Random, text: bytes, seen: Counter[str]) -> None:
    """A connection is free for the next request only at an answer's very last byte, and then gives it exactly the next answer."""
    wire, first, second = Wire(), list[Any](), list[Any]()
    ask(wire, first)
    came = 0
    for piece in pieces_of(chance, text):
        if wire.closed or wire.connection.usable:
            break
        wire.feed(piece)
        came += len(piece)
    again = wire.connection.usable and not wire.closed
    if again:
        assert ends_at(text, came), "bytes behind the answer came along, and the connection is used again"
        ask(wire, second)
        body = first[0].body
        wire.feed(*pieces_of(chance, SECOND))
        assert first[0].body == body, "the first request got bytes of the second answer"
        assert [receiver.body for receiver in second] == [MARK], "the second request did not get its own answer"
    wire.lose(chance.choice((ConnectionDone, ConnectionLost))())
    for ended in first:
        kind = ended.end if isinstance(ended, Receiver) else ended.type
        assert kind in ENDS, kind
        assert not isinstance(ended, Receiver) or MARK not in ended.body
    assert len(first) == 1, "a request has one end"
    seen["kept" if again else "closed"] += 1


def run(rounds: int, seed: int, tell: Callable[[int], None] = lambda _: None) -> Counter[str]:
    """Make `rounds` rounds; return how often each end was seen. Raises AssertionError, with the round's seed, at the first fault."""
    seen: Counter[str] = Counter()
    logged: list[Any] = []

    def observer(event: dict[str, Any]) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            logged.append(event)

    def too_long(*_: object) -> None:
        raise TimeoutError("a round does not end")

    globalLogPublisher.addObserver(observer)
    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        for number in range(rounds):
            chance = random.Random(f"{seed}:{number}")
            text = text_of(chance)
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_ROUND)
            try:
                read_alone(chance, text, seen)
                read_in_turn(chance, text, seen)
                assert not logged, logged[0]
            except Exception as error:
                raise AssertionError(f"round {number} of seed {seed}: {error!r}, after {text!r}") from error
            if number % 10_000 == 9_999:
                tell(number + 1)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        globalLogPublisher.removeObserver(observer)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    seen = run(options.rounds, options.seed, lambda count: print(f"{count} rounds, {time.monotonic() - began:.0f} s", file=sys.stderr))
    told = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    print(f"{options.rounds} mutated answers in {time.monotonic() - began:.0f} s, no fault: {told}")


if __name__ == "__main__":
    main()
