"""A share of what `mutate_answers.py` does by the million, and that it would notice."""

from __future__ import annotations

import mutate_answers
import pytest

from crawler.fetch.answer import AnswerReader

ROUNDS = 20_000


def test_no_byte_goes_to_another_url() -> None:
    """Never an exception, never a hang, never a byte that belongs to another request, whatever comes and however it is cut."""
    seen = mutate_answers.run(ROUNDS, seed=1)
    assert min(seen[end] for end in ("whole", "problem", "open")) > ROUNDS / 20, seen
    assert seen["kept"] > ROUNDS / 50, seen


def test_bytes_behind_an_answer_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that calls a connection reusable whatever followed the answer makes the run fail."""
    honest = AnswerReader.feed

    def careless(reader: AnswerReader, data: bytes) -> None:
        honest(reader, data)
        reader.reusable = reader.whole

    monkeypatch.setattr(AnswerReader, "feed", careless)
    with pytest.raises(AssertionError, match=r"round .* of seed 1"):
        mutate_answers.run(ROUNDS, seed=1)


def test_a_reader_that_depends_on_the_cuts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = AnswerReader.feed

    def forgetful(reader: AnswerReader, data: bytes) -> None:
        honest(reader, data[:64])

    monkeypatch.setattr(AnswerReader, "feed", forgetful)
    with pytest.raises(AssertionError, match=r"round .* of seed 1"):
        mutate_answers.run(ROUNDS, seed=1)
