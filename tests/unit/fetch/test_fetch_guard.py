"""Which addresses may be connected to, as a table."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from crawler.fetch.guard import Guard, parse_address

REFUSED = [
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "reserved"),
    ("10.0.0.0", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.100.100.200", "metadata"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("168.63.129.16", "metadata"),
    ("169.254.1.1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.1", "reserved"),
    ("192.0.0.192", "reserved"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "reserved"),
    ("192.168.0.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.9", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::127.0.0.1", "IPv4-compatible"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:a9fe:a9fe", "metadata"),
    ("::ffff:0:10.0.0.1", "private"),
    ("64:ff9b::7f00:1", "loopback"),
    ("64:ff9b::10.0.0.1", "NAT64"),
    ("64:ff9b:1::8.8.8.8", "local NAT64"),
    ("100::1", "reserved"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
    ("2001:10::1", "reserved"),
    ("2001:20::1", "reserved"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::", "6to4"),
    ("2002:c0a8:101::1", "private"),
    ("2606:4700::5efe:10.0.0.1", "ISATAP"),
    ("2606:4700::200:5efe:7f00:1", "ISATAP"),
    ("3fff::1", "documentation"),
    ("5f00::1", "reserved"),
    ("4000::1", "reserved"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "metadata"),
    ("fdff::1", "private"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("not an address", "not an IP address"),
    ("", "not an IP address"),
]

ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2606:4700::5efe:8.8.8.8",
]


@pytest.mark.parametrize(("address", "kind"), REFUSED)
def test_refused(address: str, kind: str) -> None:
    refusal = Guard([]).refusal(address, 80)
    assert refusal is not None
    assert kind in refusal


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed(address: str) -> None:
    assert Guard([]).refusal(address, 80) is None
    assert Guard([]).allows(address, 443)


def test_the_refusal_names_address_and_port() -> None:
    guard = Guard([])
    assert guard.refusal("127.0.0.1", 6379) == "127.0.0.1:6379 is a loopback address"
    assert guard.refusal("::1", 8000) == "[::1]:8000 is a loopback address"
    mapped = str(IPv6Address("::ffff:10.0.0.1"))  # Python 3.13 writes it in another way
    assert guard.refusal(mapped, 80) == f"[{mapped}]:80 is a private (10.0.0.1, IPv4-mapped) address"


@pytest.mark.parametrize("port", [0, 1, 22, 25, 110, 143, 993, 2049, 5060, 6000, 6667, 10080])
def test_bad_ports_are_refused_on_public_addresses(port: int) -> None:
    assert Guard([]).refusal("8.8.8.8", port) == f"port {port} belongs to another protocol"


@pytest.mark.parametrize("port", [80, 443, 8000, 8080, 8443, 3000, 65535])
def test_other_ports_are_not(port: int) -> None:
    assert Guard([]).allows("8.8.8.8", port)


@pytest.mark.parametrize(
    ("seed", "address", "port", "allowed"),
    [
        ("http://127.0.0.1:8000/", "127.0.0.1", 8000, True),
        ("http://127.0.0.1:8000/", "127.0.0.1", 8001, False),
        ("http://127.0.0.1:8000/", "127.0.0.2", 8000, False),
        ("http://127.0.0.1/", "127.0.0.1", 80, True),
        ("http://127.0.0.1/", "127.0.0.1", 443, False),
        ("https://10.1.2.3/", "10.1.2.3", 443, True),
        ("http://[::1]:8000/", "::1", 8000, True),
        ("http://[::1]:8000/", "127.0.0.1", 8000, False),
        ("http://127.0.0.1:6000/", "127.0.0.1", 6000, True),
        ("http://public.test/", "127.0.0.1", 80, False),
    ],
)
def test_a_literal_seed_is_exempt_exactly(seed: str, address: str, port: int, allowed: bool) -> None:
    assert Guard([seed]).allows(address, port) is allowed


def test_a_named_seed_is_exempt_at_its_first_addresses() -> None:
    guard = Guard(["http://intra.test:8000/", "http://intra.test:9000/a", "http://other.test/"])
    assert not guard.allows("10.0.0.1", 8000)
    guard.resolved("stranger.test", ["10.0.0.9"])
    guard.resolved("intra.test", [])  # nothing learnt yet
    guard.resolved("intra.test", ["10.0.0.1", "fd00::1"])
    guard.resolved("intra.test", ["10.0.0.2"])  # rebound
    assert [guard.allows(address, 8000) for address in ("10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.9")] == [True, True, False, False]
    assert guard.allows("10.0.0.1", 9000)
    assert not guard.allows("10.0.0.1", 80)


@pytest.mark.parametrize(
    ("text", "parsed"), [("[::1]", "::1"), ("10.0.0.1", "10.0.0.1"), ("a.test", None), ("2130706433", None), ("", None)]
)
def test_parse_address(text: str, parsed: str | None) -> None:
    address = parse_address(text)
    assert (None if address is None else str(address)) == parsed


# What the operator allows


@pytest.mark.parametrize(
    ("allowed", "address", "passes"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("0.0.0.0/0", "127.0.0.1", True),
        ("0.0.0.0/0", "169.254.169.254", True),
        ("0.0.0.0/0", "::1", False),
        ("0.0.0.0/0", "fd00::1", False),
        ("0.0.0.0/0", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "64:ff9b::7f00:1", True),
        ("127.0.0.0/8", "2002:7f00:1::", True),
        ("127.0.0.0/8", "2606:4700::5efe:127.0.0.1", True),
        ("10.0.0.0/8", "2606:4700::5efe:127.0.0.1", False),
        ("::/0", "fd00::1", True),
        ("::/0", "::1", True),
        ("::/0", "::", True),
        ("::/0", "2001:0:4136:e378:8000:63bf:3fff:fdd2", True),
        ("::/0", "127.0.0.1", False),
        ("::/0", "::ffff:127.0.0.1", False),
        ("::/0", "2002:7f00:1::", False),
        ("fd00::/8", "fd00::5efe:127.0.0.1", False),
        ("[::1]", "::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.200.0.1", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.200.0.1", True),
        ("::ffff:10.0.0.0/104", "127.0.0.1", False),
        ("64:ff9b::/96", "10.0.0.1", True),
    ],
)
def test_an_allowed_network(allowed: str, address: str, passes: bool) -> None:
    assert Guard([], [allowed]).allows(address, 8080) is passes
    assert not Guard([], ["198.51.100.0/24"]).allows(address, 8080)


def test_allowed_networks_open_no_ports_of_other_protocols() -> None:
    guard = Guard([], ["10.0.0.0/8"])
    assert guard.refusal("10.0.0.1", 6000) == "port 6000 belongs to another protocol"
    assert guard.allows("10.0.0.1", 6001)
    assert guard.allows("8.8.8.8", 80)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("fd00::1/8", "write fd00::/8"),
        ("10.0.0.0/33", "no address or network"),
        ("localhost", "no address or network"),
        ("10.0.0", "no address or network"),
        ("", "no address or network"),
        ("10.0.0.1:80", "no address or network"),
    ],
)
def test_what_is_no_network_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Guard([], [text])
