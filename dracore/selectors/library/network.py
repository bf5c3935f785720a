"""``url()``, ``ip()`` and ``cidr()``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault
from dracore.selectors.values import NO_OVERLOAD, register, register_equality, register_size

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IP:
    """An address."""

    address: _Address


@dataclass(frozen=True, slots=True)
class CIDR:
    """A network: an address, not masked, and the length of the prefix."""

    address: _Address
    length: int

    def network(self) -> int:
        """The bits of the prefix."""
        return int(self.address) >> (self.address.max_prefixlen - self.length)


@dataclass(frozen=True, slots=True)
class URL:
    """A parsed URL; `path` is escaped as it was written."""

    text: str
    scheme: str
    host: str
    path: str
    query: str


for _kind, _name in ((IP, "net.IP"), (CIDR, "net.CIDR"), (URL, "kubernetes.URL")):
    register(_kind, _name)
    register_equality(_kind, lambda one, other: one == other)
register_size(IP, lambda ip: ip.address.max_prefixlen // 8)
register_size(CIDR, lambda cidr: -(-cidr.length // 8))


_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def _quoted(text: str) -> str:
    """A text in quotes, as Go shows it."""
    return f'"{text.translate(_ESCAPED)}"'


def _parse(text: str) -> _Address:
    """An address without a zone; Go reads the same ones as Python but for IPv4 inside IPv6."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Fault(f"ParseAddr({_quoted(text)}): {_why(text)}") from None


def _why(text: str) -> str:
    """Go's words for an address that is none: exact for IPv4, general for IPv6."""
    first = next((character for character in text if character in ".:%"), "")
    if first == "%":
        return "missing IPv6 address"
    if first != ".":
        return "unable to parse IP"
    fields = digits = value = 0
    for index, character in enumerate(text):
        rest = f" (at {_quoted(text[index:])})"
        if "0" <= character <= "9":
            if digits == 1 and value == 0:
                return "IPv4 field has octet with leading zero"
            value, digits = value * 10 + int(character), digits + 1
            if value > 255:
                return "IPv4 field has value >255"
        elif character == ".":
            if index in (0, len(text) - 1) or text[index - 1] == ".":
                return "IPv4 field must have at least one digit" + rest
            if fields == 3:
                return "IPv4 address too long"
            fields, digits, value = fields + 1, 0, 0
        else:
            return "unexpected character" + rest
    return "IPv4 address too short"


def ip(text: str) -> IP:
    """The address that `text` says."""
    try:
        address = _parse(text)
    except Fault as fault:
        message = f"IP Address {_quoted(text)} parse error during conversion from string: {fault.message}"
        raise Fault(message) from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise Fault(f"IP address {_quoted(text)} with zone value is not allowed")
        if address.ipv4_mapped is not None:
            raise Fault(f"IPv4-mapped IPv6 address {_quoted(text)} is not allowed")
    return IP(address)


def cidr(text: str) -> CIDR:
    """The network that `text` says."""
    head, slash, length = text.rpartition("/")
    failed = "network address parse error during conversion from string: " * 2
    failed += f"netip.ParsePrefix({_quoted(text)}): "
    if not slash:
        raise Fault(f"{failed}no '/'")
    try:
        address = _parse(head)
    except Fault as fault:
        raise Fault(failed + fault.message) from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise Fault(f"{failed}IPv6 zones cannot be present in a prefix")
    if not _LENGTH.fullmatch(length):
        raise Fault(f'{failed}bad bits after slash: "{length}"')
    if int(length) > address.max_prefixlen:
        raise Fault(f"{failed}prefix length out of range")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise Fault(
            "network address parse error during conversion from string: "
            f"IPv4-mapped IPv6 address {_quoted(text)} is not allowed"
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


# --- URLs -------------------------------------------------------------------------------------------------

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"%]*|[^\x00-\x7f]*", re.ASCII)


def _invalid(text: str, reason: str) -> Fault:
    return Fault(f"URL parse error during conversion from string: parse {_quoted(text)}: {reason}")


def url(text: str) -> URL:
    """An absolute URL or an absolute path, as Go's ``ParseRequestURI`` takes it."""
    if _CONTROL.search(text):
        raise _invalid(text, "net/url: invalid control character in URL")
    if not text:
        raise _invalid(text, "empty url")
    if text == "*":
        return URL(text, "", "", "*", "")
    found = _SCHEME.match(text)
    if found is None and text[0] == ":":
        raise _invalid(text, "missing protocol scheme")
    scheme = found[1].lower() if found else ""
    rest = text[found.end() :] if found else text
    if not rest.startswith("/"):
        raise _invalid(text, "invalid URI for request")
    _escapes(text, rest)
    # ParseRequestURI knows no fragment; the URL itself is then parsed with one.
    rest = rest.partition("#")[0]
    rest, _, query = rest.partition("?")
    host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        _, _, host = authority.rpartition("@")
        _check_host(text, host)
    return URL(text, scheme, host, rest, query)


def _escapes(text: str, rest: str) -> None:
    bad = _ESCAPES.search(rest.partition("?")[0])
    if bad is not None:
        raise _invalid(text, f'invalid URL escape "{rest[bad.start() : bad.start() + 3]}"')


def _check_host(text: str, host: str) -> None:
    if host.startswith("["):
        inner, bracket, port = host.rpartition("]")
        if not bracket:
            raise _invalid(text, "missing ']' in host")
        colon, port = port[:1], port[1:]
        if colon not in ("", ":"):
            raise _invalid(text, f'invalid port "{colon}{port}" after host')
        literal = inner[1:].partition("%25")[0]
        try:
            ipaddress.IPv6Address(literal)
        except ValueError:
            raise _invalid(text, f"invalid host: ParseAddr({_quoted(literal)}): {_why(literal)}") from None
    else:
        _, colon, port = host.rpartition(":")
        port = port if colon else ""
    if port and not (port.isascii() and port.isdigit()):
        raise _invalid(text, f'invalid port ":{port}" after host')
    for character in host:
        if character in ' {}|\\^`#?/"':
            raise _invalid(text, f'invalid character "{character}" in host name')


def is_url(text: str) -> bool:
    """Whether ``url(text)`` succeeds."""
    try:
        url(text)
    except Fault:
        return False
    return True


def _split_host(value: URL) -> tuple[str, str]:
    host = value.host
    if host.startswith("["):
        name, _, port = host.rpartition("]")
        return name[1:], port[1:]
    name, colon, port = host.rpartition(":")
    return (name, port) if colon else (host, "")


def query(value: URL) -> dict[str, list[str]]:
    """The parameters of the query, each with its values."""
    found: dict[str, list[str]] = {}
    for pair in value.query.split("&"):
        if not pair or ";" in pair:
            continue
        key, _, content = pair.partition("=")
        if _ESCAPES.search(pair):
            continue
        found.setdefault(unquote_plus(key), []).append(unquote_plus(content))
    return found


URLS: Library = library(
    "url",
    (1, 0),
    {
        "url": {"string_to_url": ("(string) -> URL", url)},
        "getScheme": {"url_get_scheme": ("URL.() -> string", lambda value: value.scheme)},
        "getHost": {"url_get_host": ("URL.() -> string", lambda value: value.host)},
        "getHostname": {"url_get_hostname": ("URL.() -> string", lambda value: _split_host(value)[0])},
        "getPort": {"url_get_port": ("URL.() -> string", lambda value: _split_host(value)[1])},
        "getEscapedPath": {"url_get_escaped_path": ("URL.() -> string", lambda value: value.path)},
        "getQuery": {"url_get_query": ("URL.() -> map(string, list(string))", query)},
        "isURL": {"is_url_string": ("(string) -> bool", is_url)},
    },
)


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
