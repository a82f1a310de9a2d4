"""Answers of HTTP that went wrong on their way, at random and the same each time."""

from __future__ import annotations

import random
from collections.abc import Sequence


def mangled(chance: random.Random, answers: Sequence[bytes], *, joined: bool = True) -> bytes:
    """Return one of `answers` with a few faults; `joined`: also with others of them in its midst."""
    text = bytearray(chance.choice(answers))
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(text))
        match chance.randrange(5 if joined else 4):
            case 0:
                text[place] = chance.choice(b"\r\n\0: ;,-x9\xff")
            case 1:
                del text[place : place + chance.randrange(1, 20)]
            case 2:
                text[place:place] = text[place : place + chance.randrange(1, 20)]
            case 3 if joined:
                text[place:place] = chance.choice(answers)
            case _:
                del text[max(place, 1) :]
        if not text:
            break
    return bytes(text)
