"""What is said to a proxy until the tunnel stands: every answer, cut at every byte."""

from __future__ import annotations

import pytest

from crawler.fetch.failures import CannotConnect
from crawler.fetch.proxy import Proxy
from crawler.fetch.socks import SocksHandshake
from crawler.fetch.tunnel import MAX_HEAD, Handshake, HttpHandshake, handshake
from crawler.model import Reason

HTTP = Proxy("http", "p.example", 3128)
SOCKS = Proxy("socks5", "p.example", 1080)
SOCKS_ANN = Proxy("socks5", "p.example", 1080, "ann", "wörd")
BOUND = b"\x01\x00\x00\x00\x00\x00\x00"


def http() -> HttpHandshake:
    return HttpHandshake(HTTP, "a.test", 443)


def fed(shake: Handshake, data: bytes, cut: int) -> bytes:
    """Give `data` in pieces of `cut` bytes; return what was answered."""
    return b"".join(shake.receive(data[start : start + cut]) for start in range(0, len(data), cut))


def refusal(shake: Handshake, data: bytes, cut: int = 1 << 20) -> str:
    with pytest.raises(CannotConnect) as error:
        fed(shake, data, cut)
    assert error.value.reason is Reason.CONNECT
    assert not shake.done
    return error.value.detail


# CONNECT


@pytest.mark.parametrize(("host", "where"), [("a_b--c.test", b"a_b--c.test:8443"), ("[::1]", b"[::1]:8443")])
def test_connect(host: str, where: bytes) -> None:
    assert handshake(HTTP, host, 8443).hello() == b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (where, where)
    ann = Proxy("http", "p.example", 3128, "ann", "w")
    assert handshake(ann, host, 8443).hello().endswith(b"\r\nProxy-Authorization: Basic YW5uOnc=\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 \r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nVia: x\n\n",
    ],
)
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_any_2xx_is_the_tunnel(head: bytes, cut: int) -> None:
    shake = http()
    assert fed(shake, head[:-1], cut) == b""
    assert not shake.done
    assert shake.receive(head[-1:]) == b""
    assert shake.done


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!", "proxy: 407 Proxy Authentication Required"),
        (b"HTTP/1.0 503\r\n\r\n", "proxy: 503"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "proxy: 100 Continue"),
        (b"HTTP/1.1 302 \x1b[31mred\x00\r\n\r\n", "proxy: 302 ?[31mred?"),
        (b"HTTP/1.1 200 OK\r\n\r\nS", "proxy: it sent more than its answer"),
        (b"HTTP/2 200 OK\r\n\r\n", "proxy: its answer to CONNECT is no HTTP/1.x"),
        (b"SSH-2.0-x\r\n\r\n", "proxy: its answer to CONNECT is no HTTP/1.x"),
        (b"\r\n\r\n", "proxy: its answer to CONNECT is no HTTP/1.x"),
        (b"\x05\x00\n\n", "proxy: its answer to CONNECT is no HTTP/1.x"),
    ],
)
def test_any_other_answer_is_told(answer: bytes, detail: str) -> None:
    assert refusal(http(), answer) == detail


@pytest.mark.parametrize("cut", [1000, 65536, 1 << 20])
def test_a_head_is_bounded(cut: int) -> None:
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n"
    longest = start + b"x" * (MAX_HEAD - len(start) - len(end)) + end
    shake = http()
    fed(shake, longest, cut)
    assert shake.done
    assert "65536 bytes" in refusal(http(), longest.replace(b"X: ", b"X: x"), cut)
    assert "65536 bytes" in refusal(http(), b"x" * (MAX_HEAD + 1), cut)


def test_a_long_reason_is_cut() -> None:
    assert len(refusal(http(), b"HTTP/1.1 500 " + b"x" * 5000 + b"\r\n\r\n")) == 300


# SOCKS5


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("a_b--c.test", b"\x03\x0ba_b--c.test"),
        ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
        ("[2001:db8::1]", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
@pytest.mark.parametrize("bound", [BOUND, b"\x04" + bytes(18), b"\x03\x03abc\x00\x50"])
def test_socks_without_credentials(host: str, address: bytes, bound: bytes) -> None:
    shake = handshake(SOCKS, host, 8443)
    assert shake.hello() == b"\x05\x01\x00"
    assert fed(shake, b"\x05\x00", 1) == b"\x05\x01\x00" + address + b"\x20\xfb"
    assert fed(shake, b"\x05\x00\x00" + bound, 1) == b""
    assert shake.done


def test_socks_with_credentials() -> None:
    shake = handshake(SOCKS_ANN, "a.test", 80)
    assert shake.hello() == b"\x05\x02\x00\x02"
    assert fed(shake, b"\x05\x02", 1) == b"\x01\x03ann\x05w\xc3\xb6rd"
    assert fed(shake, b"\x01\x00", 1) == b"\x05\x01\x00\x03\x06a.test\x00\x50"
    assert fed(shake, b"\x05\x00\x00" + BOUND, 1) == b""
    assert shake.done


def test_credentials_are_not_sent_to_who_does_not_ask() -> None:
    shake = SocksHandshake(SOCKS_ANN, "a.test", 80)
    assert shake.receive(b"\x05\x00") == b"\x05\x01\x00\x03\x06a.test\x00\x50"


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (1, "general failure"),
        (2, "connection not allowed by the proxy's rules"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "time to live expired"),
        (7, "command not supported"),
        (8, "address type not supported"),
        (9, "reply 9"),
        (255, "reply 255"),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x00" + BOUND])
def test_every_refusal_has_its_name(reply: int, detail: str, rest: bytes) -> None:
    shake = SocksHandshake(SOCKS, "a.test", 80)
    shake.receive(b"\x05\x00")
    assert refusal(shake, bytes([5, reply]) + rest) == f"proxy (socks5): {detail}"


@pytest.mark.parametrize(
    ("proxy", "data", "detail"),
    [
        (SOCKS, b"\x05\xff", "wants a user and a password"),
        (SOCKS, b"\x05\x02", "none of the ways"),
        (SOCKS, b"\x05\x01", "none of the ways"),
        (SOCKS_ANN, b"\x05\xff", "none of the ways"),
        (SOCKS, b"\x04", "no SOCKS5 proxy"),
        (SOCKS, b"HTTP/1.1 400 Bad Request\r\n\r\n", "no SOCKS5 proxy"),
        (SOCKS, b"\x05\x00\x05", "more than its answer"),
        (SOCKS_ANN, b"\x05\x02\x01", "more than its answer"),
    ],
)
def test_a_first_answer_that_leads_nowhere(proxy: Proxy, data: bytes, detail: str) -> None:
    assert detail in refusal(SocksHandshake(proxy, "a.test", 80), data)


def test_a_wrong_password() -> None:
    shake = SocksHandshake(SOCKS_ANN, "a.test", 80)
    shake.receive(b"\x05\x02")
    assert refusal(shake, b"\x01\x01") == "proxy (socks5): user or password refused"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\x05\x00\x00" + BOUND + b"H", "more than its answer"),
        (b"\x05\x00\x00\x07\x00", "unknown type 7"),
        (b"\x04\x00", "no SOCKS5 proxy"),
    ],
)
def test_a_last_answer_that_is_odd(data: bytes, detail: str) -> None:
    shake = SocksHandshake(SOCKS, "a.test", 80)
    shake.receive(b"\x05\x00")
    assert detail in refusal(shake, data)


def test_a_name_too_long() -> None:
    SocksHandshake(SOCKS, "x" * 255, 80)
    with pytest.raises(CannotConnect, match="too long"):
        SocksHandshake(SOCKS, "x" * 256, 80)
