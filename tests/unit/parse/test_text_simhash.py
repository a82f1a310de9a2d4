"""SimHash: near for near texts, far for others, the bits as the definition has them."""

import random

import xxhash

from crawler.parse.simhash import MIN_WORDS, simhash
from crawler.policy.near import NEAR

RANDOM = random.Random(7)
VOCABULARY = [f"word{number}" for number in range(3000)]


def text(words: int) -> list[str]:
    return RANDOM.choices(VOCABULARY, k=words)


def by_definition(words: list[str]) -> int:
    votes = [0] * 64
    for feature in zip(words, words[1:], words[2:], strict=False):
        hashed = xxhash.xxh3_64_intdigest(" ".join(feature).encode())
        for bit in range(64):
            votes[bit] += 1 if hashed >> bit & 1 else -1
    return sum(1 << bit for bit in range(64) if votes[bit] > 0)


def test_it_is_the_majority_of_each_bit() -> None:
    for count in (MIN_WORDS, 21, 22, 100, 841):
        words = text(count)
        assert simhash(" ".join(words)) == by_definition(words)


def test_a_small_edit_is_near_and_another_text_far() -> None:
    near, far = [], []
    for _ in range(100):
        words = text(1000)
        edited = list(words)
        edited[RANDOM.randrange(1000)] = "changed"
        one = simhash(" ".join(words))
        near.append((one ^ simhash(" ".join(edited))).bit_count())
        far.append((one ^ simhash(" ".join(text(1000)))).bit_count())
    assert sum(bits <= NEAR for bits in near) >= 95
    assert min(far) > 10
    assert 29 < sum(far) / 100 < 35


def test_case_punctuation_and_space_do_not_count() -> None:
    words = text(50)
    assert simhash(" ".join(words)) == simhash("  " + ",\n".join(words).upper() + "!")


def test_where_markdown_links_lead_does_not_count() -> None:
    words = " ".join(text(40))
    one, other = (f"{words} [see](https://{host}/x)" for host in ("a.example", "b.example"))
    assert simhash(one) == simhash(other) == simhash(f"{words} see")


def test_short_texts_have_none() -> None:
    assert simhash(" ".join(text(MIN_WORDS - 1))) is None
    assert simhash("") is None


def test_characters_are_words_where_no_spaces_are() -> None:
    one = simhash("敏捷的棕色狐狸跳过了懒狗然后跑进森林里再也没有回来过夜")
    other = simhash("今天的天气非常好所以我们决定去公园散步看看花和树木以及鸟")
    assert one is not None
    assert other is not None
    assert (one ^ other).bit_count() > 10


def test_a_text_that_is_not_unicode_has_one() -> None:
    assert simhash("a\ud800 " * 30) is not None
