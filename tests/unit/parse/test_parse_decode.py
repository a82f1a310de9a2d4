import gzip
import random
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.model import Fetched, FetchFailed, Reason
from crawler.parse.decode import MAX_MEMBERS, Decoded, decode, decode_start

HTML = b"<!doctype html><title>Gr\xc3\xbc\xc3\x9fe</title>" + b"".join(b"<a href=/page/%d>%d</a>" % (n, n * n) for n in range(300))
LIMIT = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("spelling", [str, str.upper, "  {} ".format])
def test_each_encoding_is_undone(name, spelling):
    assert decode(ENCODERS[name](HTML), [spelling(name)], LIMIT).body == HTML


def test_raw_deflate_is_undone():
    decoded = decode(raw_deflate(HTML), ["deflate"], LIMIT)
    assert (decoded.body, decoded.notes) == (HTML, [])


def test_stacked_encodings_are_undone_last_first():
    body = zstd.compress(brotli.compress(zlib.compress(gzip.compress(HTML))))
    assert decode(body, ["gzip, deflate", "br,zstd"], LIMIT).body == HTML


def test_no_more_than_five_layers():
    body = HTML
    for _ in range(5):
        body = gzip.compress(body)
    assert decode(body, ["gzip"] * 5, LIMIT).body == HTML
    assert decode(gzip.compress(body), ["gzip"] * 6, LIMIT).reason is Reason.BAD_ENCODING


@pytest.mark.parametrize("value", ["", "identity", "Identity, ", "none"])
def test_identity_is_nothing(value):
    decoded = decode(HTML, [value], LIMIT)
    assert (decoded.body, decoded.notes) == (HTML, [])


@pytest.mark.parametrize("name", ENCODERS)
def test_an_empty_body_is_empty_whatever_was_declared(name):
    assert decode(b"", [name], LIMIT).body == b""
    assert decode(b"", [name], LIMIT).reason is None


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_is_too_large(name):
    bomb = ENCODERS[name](bytes(20 * LIMIT))
    assert len(bomb) < 30_000
    assert decode(bomb, [name], LIMIT).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("name", ENCODERS)
def test_exactly_the_limit_is_not_too_large(name):
    assert decode(ENCODERS[name](HTML), [name], len(HTML)).body == HTML
    assert decode(ENCODERS[name](HTML), [name], len(HTML) - 1).reason is Reason.TOO_LARGE


def test_a_bomb_within_a_bomb_is_too_large():
    assert decode(gzip.compress(gzip.compress(bytes(20 * LIMIT))), ["gzip, gzip"], LIMIT).reason is Reason.TOO_LARGE


def test_a_plain_body_above_the_limit_is_too_large():
    assert decode(HTML, [], len(HTML) - 1).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_all_members_count(name):
    body = b"".join(ENCODERS[name](part) for part in (HTML, b"", b"second", HTML))
    decoded = decode(body, [name], LIMIT)
    assert (decoded.body, decoded.notes) == (HTML + b"second" + HTML, [])


def test_members_beyond_the_limit_are_left_out_with_a_note():
    decoded = decode(gzip.compress(b"x") * (MAX_MEMBERS + 1), ["gzip"], LIMIT)
    assert decoded.body == b"x" * MAX_MEMBERS
    assert decoded.notes == ["gzip followed by other bytes"]


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "br"])
def test_a_truncated_stream_keeps_what_came(name):
    noise = b" ".join(b"%d" % number for number in random.Random(1).sample(range(10**6), 100_000))
    encoded = ENCODERS[name](noise)
    decoded = decode(encoded[: len(encoded) // 2], [name], LIMIT)
    assert decoded.reason is None
    assert noise.startswith(decoded.body)
    assert len(decoded.body) > len(noise) // 10
    assert decoded.notes == [f"{name} truncated"]


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (lambda body: body[:-8] + b"\0\0\0\0" + body[-4:], "gzip corrupt"),  # wrong checksum
        (lambda body: body[:-4] + b"\1\1\1\1", "gzip corrupt"),  # wrong length
        (lambda body: body[:-8], "gzip truncated"),
        (lambda body: body[:-3], "gzip truncated"),
        (lambda body: body + b"garbage", "gzip followed by other bytes"),
    ],
)
def test_a_gzip_with_a_bad_end_is_whole_but_noted(spoil, note):
    decoded = decode(spoil(gzip.compress(HTML)), ["gzip"], LIMIT)
    assert decoded.body == HTML
    assert len(decoded.notes) == 1
    assert decoded.notes[0].startswith(note)


def test_zero_padding_after_gzip_is_nothing():
    decoded = decode(gzip.compress(HTML) + bytes(512), ["gzip"], LIMIT)
    assert (decoded.body, decoded.notes) == (HTML, [])


def test_corruption_in_the_middle_keeps_what_precedes():
    noise = b" ".join(b"%d" % number for number in random.Random(1).sample(range(10**6), 100_000))
    encoded = bytearray(gzip.compress(noise))
    middle = len(encoded) // 2
    encoded[middle : middle + 64] = b"\xff" * 64
    decoded = decode(bytes(encoded), ["gzip"], LIMIT)
    assert decoded.reason is None
    assert decoded.body[:1000] == noise[:1000]
    assert decoded.notes[0].startswith("gzip corrupt")


@pytest.mark.parametrize("name", ENCODERS)
def test_markup_that_was_declared_compressed_is_taken_as_it_is(name):
    decoded = decode(b"\n " + HTML, [name], LIMIT)
    assert decoded.body == b"\n " + HTML
    assert "sent plain" in decoded.notes[0]


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "deflate", "br", "zstd"])
def test_rubbish_from_the_first_byte_is_a_bad_encoding(name):
    assert decode(b"\xff\xfe\xfd rubbish" * 10, [name], LIMIT).reason is Reason.BAD_ENCODING


@pytest.mark.parametrize("name", ["compress", "aes128gcm", "rot13", "x" * 100_000, "gzip;q=1"])
def test_an_unknown_encoding_is_a_bad_encoding(name):
    decoded = decode(b"\x1f\x9d\x90 whatever", [name], LIMIT)
    assert decoded.reason is Reason.BAD_ENCODING
    assert len(decoded.detail) < 100


def test_an_unknown_encoding_on_plain_markup_is_noted():
    decoded = decode(HTML, ["utf-8"], LIMIT)
    assert decoded.body == HTML
    assert decoded.notes == ["unknown encoding 'utf-8' on plain text"]


def test_gzip_that_nobody_declared():
    body = gzip.compress(HTML)
    assert decode(body, [], LIMIT, expect_text=True).body == HTML
    assert decode(body, [], LIMIT, expect_text=True).notes == ["gzip undeclared"]
    assert decode(body, [], LIMIT).body == body
    assert decode(gzip.compress(bytes(20 * LIMIT)), [], LIMIT, expect_text=True).reason is Reason.TOO_LARGE
    assert decode(b"\x1f\x8b\x08 not gzip", [], LIMIT, expect_text=True).body == b"\x1f\x8b\x08 not gzip"


def test_a_zstd_window_beyond_the_limit_is_refused():
    huge = zstd.compress(bytes(100_000), options={zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0})
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    streamed = compressor.compress(bytes(1000)) + compressor.flush()
    assert decode(huge, ["zstd"], LIMIT).body in (bytes(100_000), b"")
    assert decode(streamed, ["zstd"], LIMIT).reason is Reason.BAD_ENCODING


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(ENCODERS)), st.integers(0, 4))
def test_any_bytes_give_a_value(data, name, how):
    encoded = ENCODERS[name](HTML)
    position = len(data) * 7 % len(encoded)
    bodies = [data, encoded + data, encoded[:position] + data, encoded[:position] + data + encoded[position + len(data) :], data + encoded]
    decoded = decode(bodies[how], [name], LIMIT, expect_text=True)
    assert len(decoded.body) <= LIMIT
    assert decoded.reason in (None, Reason.BAD_ENCODING, Reason.TOO_LARGE)


@pytest.mark.parametrize("encodings", [[], ["gzip"], ["br"], ["gzip", "zstd"]])
def test_what_is_beyond_the_limit_can_be_left_out(encodings: list[str]) -> None:
    text = b"0123456789" * 100_000
    body = text
    for name in encodings:
        body = ENCODERS[name](body)
    assert decode(body, encodings, 1000).reason is Reason.TOO_LARGE
    assert decode(body, encodings, 1000, cut=True) == Decoded(text[:1000])
    answer = Fetched("http://a/", 200, [("content-encoding", name) for name in encodings], body, None, 0.0, 0.0)
    assert decode_start(answer, 1000) == (answer, text[:1000])


def test_what_cannot_be_decoded_at_all_is_a_failure_in_any_case() -> None:
    answer = Fetched("http://a/", 200, [("content-encoding", "compress")], b"\x1f\x9d", None, 0.0, 0.0)
    failed, body = decode_start(answer, 1000)
    assert isinstance(failed, FetchFailed)
    assert (failed.reason, body) == (Reason.BAD_ENCODING, b"")
    assert decode_start(failed, 1000) == (failed, b"")
