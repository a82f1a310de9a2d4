"""Which addresses may be connected to: the public ones, the seeds' own, and those that the operator allows.

Pure: nothing is resolved or connected here. An IPv6 address that carries an IPv4 address (mapped, compatible, translated,
NAT64, 6to4, ISATAP) is judged by what it carries; `ipaddress.is_global` alone would let NAT64, 6to4 and multicast pass.
Sources: IANA's special-purpose address registries (RFC 6890), the cloud providers' metadata addresses, and the bad ports
of the WHATWG Fetch standard (section 2.9).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from crawler import url as urls

_V4_REFUSED: Final = [
    (IPv4Network(network), name)
    for network, name in [
        ("168.63.129.16/32", "a cloud metadata"),  # Azure's; it lies in public space
        ("169.254.169.254/32", "a cloud metadata"),
        ("100.100.100.200/32", "a cloud metadata"),
        ("0.0.0.0/32", "the unspecified"),
        ("0.0.0.0/8", "a reserved"),
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a carrier-grade NAT"),
        ("127.0.0.0/8", "a loopback"),
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a reserved"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("224.0.0.0/4", "a multicast"),
        ("255.255.255.255/32", "the broadcast"),
        ("240.0.0.0/4", "a reserved"),
    ]
]
_V6_REFUSED: Final = [
    (IPv6Network(network), name)
    for network, name in [
        ("::/128", "the unspecified"),
        ("::1/128", "a loopback"),
        ("fd00:ec2::254/128", "a cloud metadata"),
        ("fd20:ce::254/128", "a cloud metadata"),
        ("fc00::/7", "a private"),
        ("fe80::/10", "a link-local"),
        ("fec0::/10", "a site-local"),
        ("ff00::/8", "a multicast"),
        ("64:ff9b:1::/48", "a local NAT64"),
        ("2001::/32", "a Teredo"),
        ("2001:db8::/32", "a documentation"),
        ("2001::/23", "a reserved"),
        ("3fff::/20", "a documentation"),
    ]
]
_V6_GLOBAL: Final = IPv6Network("2000::/3")  # the only space from which unicast addresses are handed out

_LOW_32_BITS: Final = [
    (IPv6Network("::ffff:0:0/96"), "IPv4-mapped"),
    (IPv6Network("::ffff:0:0:0/96"), "IPv4-translated"),
    (IPv6Network("64:ff9b::/96"), "NAT64"),
    (IPv6Network("::/96"), "IPv4-compatible"),
]
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # upper half of the interface identifier, RFC 5214

_BAD_PORTS_TEXT: Final = """
0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 123 135 137 139
143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049
3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080
"""
BAD_PORTS: Final = frozenset(int(port) for port in _BAD_PORTS_TEXT.split())


class Guard:
    """The public addresses, the networks in `allowed` and, exactly, the address and port of each seed.

    A seed that is an IP literal is exempt at once. A seed's host name is exempt with the addresses of its first
    successful resolution in this process (`resolved`); a later, different private answer for it is refused. What is
    allowed are addresses: the ports of other protocols stay shut there, too.
    """

    def __init__(self, seeds: Iterable[str], allowed: Iterable[str] = ()) -> None:
        """Take the canonical URLs of the seeds, and addresses and networks. Raises ValueError for what is no network."""
        self._allowed = [parse_network(network) for network in allowed]
        self._exempt: set[tuple[IPv4Address | IPv6Address, int]] = set()
        self._unresolved: dict[str, set[int]] = {}
        for seed in seeds:
            self._add(urls.host(seed), urls.port(seed))

    def _add(self, host: str, port: int) -> None:
        address = parse_address(host)
        if address is None:
            self._unresolved.setdefault(host, set()).add(port)
        else:
            self._exempt.add((address, port))

    def resolved(self, host: str, addresses: Iterable[str]) -> None:
        """Note what `host` was resolved to; the first time it is a seed's name, these become the seed's own addresses."""
        ports = self._unresolved.get(host)
        found = [address for address in map(parse_address, addresses) if address is not None]
        if ports is None or not found:
            return
        del self._unresolved[host]
        self._exempt.update((address, port) for address in found for port in ports)

    def refusal(self, address: str, port: int) -> str | None:
        """Say why `address` (an IP literal) may not be connected to at `port`, or return None."""
        parsed = parse_address(address)
        if parsed is None:
            return f"{address} is not an IP address"
        if (parsed, port) in self._exempt:
            return None
        if port in BAD_PORTS:
            return f"port {port} belongs to another protocol"
        kind = forbidden_kind(parsed)
        return f"{_with_port(parsed, port)} is {kind} address" if kind and not self._is_allowed(parsed) else None

    def _is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        if not self._allowed:
            return False
        judged = carried_by(address) or address
        return any(judged in network for network in self._allowed)

    def allows(self, address: str, port: int) -> bool:
        """Tell whether `address` (an IP literal) may be connected to at `port`."""
        return self.refusal(address, port) is None


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that an IP literal (with or without brackets) names, or None; a zone (``%eth0``) is dropped."""
    try:
        return ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network that an address or a CIDR block names; one of IPv6 addresses that carry IPv4 is that of the IPv4 addresses.

    Raises ValueError saying what to write.
    """
    bare = text.strip("[]")
    try:
        network = ip_network(bare)
    except ValueError as error:
        raise ValueError(f"{text!r}: {_remedy(bare)}") from error
    if isinstance(network, IPv4Network):
        return network
    mechanism = next((outer for outer, _ in _LOW_32_BITS if network.subnet_of(outer)), None)
    carried = carried_by(network.network_address)
    if mechanism is None or carried is None:
        return network
    return IPv4Network((carried, network.prefixlen - mechanism.prefixlen))


def _remedy(text: str) -> str:
    try:
        return f"its last bits are not zero; write {ip_network(text, strict=False)}, or the address alone"
    except ValueError:
        return "no address or network; write one as in 192.168.1.7, 10.0.0.0/8 or fd00::/8"


def forbidden_kind(address: IPv4Address | IPv6Address) -> str | None:
    """Return what kind of address it is ("a loopback", "a private"), or None when it is a public one."""
    if isinstance(address, IPv4Address):
        return next((name for network, name in _V4_REFUSED if address in network), None)
    for network, name in _V6_REFUSED:
        if address in network:
            return name
    carried, how = _carried(address)
    if carried is not None:
        kind = forbidden_kind(carried)
        return f"{kind} ({carried}, {how})" if kind else None
    return None if address in _V6_GLOBAL else "a reserved"


def carried_by(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside an IPv6 address, or None; the unspecified and the loopback address have their own meaning."""
    if isinstance(address, IPv4Address) or address.is_unspecified or address.is_loopback:
        return None
    return _carried(address)[0]


def _carried(address: IPv6Address) -> tuple[IPv4Address | None, str]:
    """Return the IPv4 address inside an IPv6 address and the name of the transition mechanism."""
    number = int(address)
    for network, name in _LOW_32_BITS:
        if address in network:
            return IPv4Address(number & 0xFFFFFFFF), name
    if address in _SIX_TO_FOUR:
        return IPv4Address(number >> 80 & 0xFFFFFFFF), "6to4"
    if number >> 32 & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF), "ISATAP"
    return None, ""


def _with_port(address: IPv4Address | IPv6Address, port: int) -> str:
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"
