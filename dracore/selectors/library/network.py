"""``ip()`` and ``cidr()``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.equality import register_equality
from dracore.selectors.faults import Fault
from dracore.selectors.library.addresses import Address, BadAddress, parse
from dracore.selectors.shown import quoted
from dracore.selectors.values import NO_OVERLOAD, register, register_size

_LENGTH = re.compile(r"[0-9]|[1-9][0-9]{1,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IP:
    """An address."""

    address: Address


@dataclass(frozen=True, slots=True)
class CIDR:
    """A network: an address, not masked, and the length of the prefix."""

    address: Address
    length: int

    def network(self) -> int:
        """The bits of the prefix."""
        return int(self.address) >> (self.address.max_prefixlen - self.length)


for _kind, _name in ((IP, "net.IP"), (CIDR, "net.CIDR")):
    register(_kind, _name)
    register_equality(_kind, lambda one, other: one == other)
register_size(IP, lambda ip: ip.address.max_prefixlen // 8)
register_size(CIDR, lambda cidr: -(-cidr.length // 8))


def ip(text: str) -> IP:
    """The address that `text` says."""
    try:
        parsed = parse(text)
    except BadAddress as bad:
        message = f"IP Address {quoted(text)} parse error during conversion from string: {bad}"
        raise Fault(message) from None
    if parsed.zone:
        raise Fault(f"IP address {quoted(text)} with zone value is not allowed")
    address = parsed.address()
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise Fault(f"IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return IP(address)


def cidr(text: str) -> CIDR:
    """The network that `text` says."""
    head, slash, length = text.rpartition("/")
    failed = "network address parse error during conversion from string: " * 2
    failed += f"netip.ParsePrefix({quoted(text)}): "
    if not slash:
        raise Fault(f"{failed}no '/'")
    try:
        parsed = parse(head)
    except BadAddress as bad:
        raise Fault(f"{failed}{bad}") from None
    if parsed.zone:
        raise Fault(f"{failed}IPv6 zones cannot be present in a prefix")
    if not _LENGTH.fullmatch(length):
        raise Fault(f"{failed}bad bits after slash: {quoted(length)}")
    if len(length) > 3 or int(length) > parsed.bits:
        raise Fault(f"{failed}prefix length out of range")
    address = parsed.address()
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise Fault(
            "network address parse error during conversion from string: "
            f"IPv4-mapped IPv6 address {quoted(text)} is not allowed"
        )
    return CIDR(address, int(length))


def is_canonical(text: str) -> bool:
    """Whether an address is written as it would be printed."""
    return show_ip(ip(text)) == text


def show_ip(value: IP) -> str:
    """``string(ip)``"""
    return str(value.address)


def show_cidr(value: CIDR) -> str:
    """``string(cidr)``"""
    return f"{value.address}/{value.length}"


def _is(name: str) -> Any:
    return lambda value: bool(getattr(value.address, name))


def _link_local_multicast(value: IP) -> bool:
    packed = value.address.packed
    return packed[:3] == b"\xe0\x00\x00" if len(packed) == 4 else packed[0] == 0xFF and packed[1] & 15 == 2


def _global_unicast(value: IP) -> bool:
    address = value.address
    limited = isinstance(address, ipaddress.IPv4Address) and int(address) == 0xFFFFFFFF
    return not (
        limited
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


def contains_ip(network: CIDR, other: Any) -> bool:
    """Whether an address, or its text, lies in the network."""
    if isinstance(other, str):
        try:
            other = ip(other)
        except Fault:
            raise Fault(NO_OVERLOAD) from None
    return other.address.version == network.address.version and (
        int(other.address) >> (network.address.max_prefixlen - network.length) == network.network()
    )


def contains_cidr(network: CIDR, other: Any) -> bool:
    """Whether another network, or its text, lies in the network."""
    if isinstance(other, str):
        other = cidr(other)
    return other.length >= network.length and contains_ip(network, IP(other.address))


def masked(network: CIDR) -> CIDR:
    """The network without the bits after its prefix."""
    shift = network.address.max_prefixlen - network.length
    return CIDR(type(network.address)(network.network() << shift), network.length)


def is_ip(text: str) -> bool:
    """Whether ``ip(text)`` succeeds."""
    try:
        ip(text)
    except Fault:
        return False
    return True


def is_cidr(text: str) -> bool:
    """Whether ``cidr(text)`` succeeds."""
    try:
        cidr(text)
    except Fault:
        return False
    return True


IPS: Library = library(
    "ip",
    (1, 30),
    {
        "ip": {"string_to_ip": ("(string) -> IP", ip)},
        "family": {"ip_family": ("IP.() -> int", lambda value: value.address.version)},
        "ip.isCanonical": {"ip_is_canonical": ("(string) -> bool", is_canonical)},
        "isUnspecified": {"ip_is_unspecified": ("IP.() -> bool", _is("is_unspecified"))},
        "isLoopback": {"ip_is_loopback": ("IP.() -> bool", _is("is_loopback"))},
        "isLinkLocalMulticast": {"ip_is_link_local_multicast": ("IP.() -> bool", _link_local_multicast)},
        "isLinkLocalUnicast": {"ip_is_link_local_unicast": ("IP.() -> bool", _is("is_link_local"))},
        "isGlobalUnicast": {"ip_is_global_unicast": ("IP.() -> bool", _global_unicast)},
        "isIP": {"is_ip": ("(string) -> bool", is_ip)},
        "string": {"ip_to_string": ("(IP) -> string", show_ip)},
    },
)
CIDRS: Library = library(
    "cidr",
    (1, 30),
    {
        "cidr": {"string_to_cidr": ("(string) -> CIDR", cidr)},
        "containsIP": {
            "cidr_contains_ip_string": ("CIDR.(string) -> bool", contains_ip),
            "cidr_contains_ip_ip": ("CIDR.(IP) -> bool", contains_ip),
        },
        "containsCIDR": {
            "cidr_contains_cidr_string": ("CIDR.(string) -> bool", contains_cidr),
            "cidr_contains_cidr": ("CIDR.(CIDR) -> bool", contains_cidr),
        },
        "ip": {"cidr_ip": ("CIDR.() -> IP", lambda value: IP(value.address))},
        "prefixLength": {"cidr_prefix_length": ("CIDR.() -> int", lambda value: value.length)},
        "masked": {"cidr_masked": ("CIDR.() -> CIDR", masked)},
        "isCIDR": {"is_cidr": ("(string) -> bool", is_cidr)},
        "string": {"cidr_to_string": ("(CIDR) -> string", show_cidr)},
    },
)
