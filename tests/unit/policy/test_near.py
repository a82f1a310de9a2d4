"""The index of near duplicates finds what comparing with all would find, forgets the oldest, and stays small."""

import random
import tracemalloc

import pytest

from crawler.policy.near import MAX_STEPS, NEAR, NearIndex


def flipped(simhash: int, bits: int, random_: random.Random) -> int:
    for bit in random_.sample(range(64), bits):
        simhash ^= 1 << bit
    return simhash


def test_all_within_three_bits_are_seen_and_none_beyond() -> None:
    random_ = random.Random(1)
    index = NearIndex(10_000)
    noted = [random_.getrandbits(64) for _ in range(3000)]
    for simhash in noted:
        assert not index.seen(simhash)
        index.note(simhash)
    for simhash in noted[::3]:
        for bits in range(9):
            assert index.seen(flipped(simhash, bits, random_)) == (bits <= NEAR)


def test_it_agrees_with_comparing_with_all() -> None:
    random_ = random.Random(2)
    index, noted = NearIndex(500), []
    for _ in range(4000):
        simhash = (
            flipped(random_.choice(noted), random_.randrange(7), random_) if noted and random_.random() < 0.5 else random_.getrandbits(64)
        )
        expected = any((other ^ simhash).bit_count() <= NEAR for other in noted[-500:])
        assert index.seen(simhash) == expected
        index.note(simhash)
        noted.append(simhash)
    assert len(index) == 500


@pytest.mark.parametrize("capacity", [1, 2])
def test_the_oldest_are_forgotten(capacity: int) -> None:
    index = NearIndex(capacity)
    for number in range(5):
        index.note(number << 40 | number << 8)
    index.note((1 << 64) - 1)
    assert index.seen((1 << 64) - 1)
    assert index.seen(4 << 40 | 4 << 8) == (capacity == 2)
    assert not index.seen(3 << 40 | 3 << 8)


def test_a_quarter_that_all_share_costs_a_bounded_search() -> None:
    index, random_ = NearIndex(10_000), random.Random(3)
    noted = [random_.getrandbits(48) << 16 for _ in range(5000)]  # the lowest quarter is the same
    for simhash in noted:
        index.note(simhash)
    assert all(index.seen(simhash ^ 1 << 20) for simhash in noted[-MAX_STEPS:])
    assert all(index.seen(simhash ^ 1) for simhash in noted)  # by the other quarters


def test_its_memory_is_taken_at_the_start() -> None:
    tracemalloc.start()
    index = NearIndex(10_000)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        index.note(number * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert before < (4 << 19) + 10_000 * 40 + 10_000
    assert after - before < 10_000
    with pytest.raises(ValueError, match="one fingerprint"):
        NearIndex(0)
