"""``url()``: URLs as Go's ``url.ParseRequestURI`` reads them, faults worded alike."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, replace

from dracore.selectors.declarations import Library, library
from dracore.selectors.equality import register_equality
from dracore.selectors.faults import Fault
from dracore.selectors.library.addresses import BadAddress, parse
from dracore.selectors.shown import quoted
from dracore.selectors.values import register


@dataclass(frozen=True, slots=True)
class URL:
    """A parsed URL; `path` is escaped, `whole` the URL written anew, by which two are compared."""

    scheme: str
    host: str
    path: str
    query: str
    whole: str


register(URL, "kubernetes.URL")
register_equality(URL, lambda one, other: one.whole == other.whole)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)?:", re.ASCII)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})?", re.ASCII)
_ALNUM = string.ascii_letters + string.digits
_USER_INFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_UNRESERVED = _ALNUM + "-_.~"
# What stands unescaped where a part is written anew; a path as it was given may hold a few more.
_PATH = frozenset(_UNRESERVED + "$&+,/:;=@")
_GIVEN_PATH = _PATH | frozenset("!'()*[]%")
_FRAGMENT = _PATH | frozenset("?!()*")
_HOST = frozenset(_UNRESERVED + "!$&'()*+,;=:[]<>\"")
_USER = frozenset(_UNRESERVED + "$&+,;=")


class _Bad(Exception):
    """Why a text is no URL."""


def url(text: str) -> URL:
    """An absolute URL or an absolute path."""
    head, mark, fragment = text.partition("#")
    shown = text
    try:
        parsed = _parsed(text, absolute=True)
        if mark or text.startswith("//"):
            # Read a second time, now with a fragment, and with hosts that need no scheme.
            shown = head
            parsed = _parsed(head, absolute=False)
            shown = text
            tail = f"#{_as_written(fragment, _GIVEN_PATH | {'?'}, _FRAGMENT)}" if fragment else ""
            parsed = replace(parsed, whole=parsed.whole + tail)
        return parsed
    except _Bad as bad:
        raise Fault(f"URL parse error during conversion from string: parse {quoted(shown)}: {bad}") from None


def why_not(text: str) -> str:
    """Why a text is no URL; nothing where it is one."""
    try:
        _parsed(text, absolute=True)
    except _Bad as bad:
        return f"parse {quoted(text)}: {bad}"
    return ""


def _parsed(text: str, absolute: bool) -> URL:
    if _CONTROL.search(text):
        raise _Bad("net/url: invalid control character in URL")
    if not text:
        if not absolute:
            return URL("", "", "", "", "")
        raise _Bad("empty url")
    if text == "*":
        return URL("", "", "*", "", "*")
    found = _SCHEME.match(text)
    if found is not None and found[1] is None:
        raise _Bad("missing protocol scheme")
    scheme = found[1].lower() if found is not None else ""
    rest, mark, query = (text[found.end() :] if found is not None else text).partition("?")
    tail = f"?{query}" if query or mark else ""
    head = f"{scheme}:" if scheme else ""
    if not rest.startswith("/"):
        if scheme:  # what has no path at all, such as mailto:a@b
            return URL(scheme, "", "", query, f"{head}{rest}{tail}")
        if absolute:
            raise _Bad("invalid URI for request")
        if ":" in rest.partition("/")[0]:
            raise _Bad("first path segment in URL cannot contain colon")
    user = host = ""
    may_have = bool(scheme) or (not absolute and not rest.startswith("///"))
    has_authority = may_have and rest.startswith("//")
    if has_authority:
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        user, at, place = authority.rpartition("@")
        host = _host(scheme, place)
        user = _user(user) + "@" if at else ""
    path = _as_written(rest, _GIVEN_PATH, _PATH)
    if has_authority and (host or path or user):
        head += f"//{user}{_escaped(host.encode(), _HOST)}"
    return URL(scheme, host, path, query, f"{head}{path}{tail}")


def _as_written(text: str, given: frozenset[str], kept: frozenset[str]) -> str:
    """An escaped text as it is, unless it holds what has to be escaped."""
    plain = _unescaped(text)
    return text if all(each in given for each in text) else _escaped(plain, kept)


def _user(info: str) -> str:
    if not _USER_INFO.fullmatch(info):
        raise _Bad("net/url: invalid userinfo")
    name, colon, password = info.partition(":")
    return _escaped(_unescaped(name), _USER) + colon + _escaped(_unescaped(password), _USER)


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise _Bad("invalid IP-literal")
    if bracket == 0:
        end = host.rfind("]")
        if end < 0:
            raise _Bad("missing ']' in host")
        port = _port(host[end + 1 :])
        name, percent, zone = host[1:end].partition("%25")
        name = _host_name(name) + (_zone(percent + zone) if percent else "")
        try:
            address = parse(name)
        except BadAddress as bad:
            raise _Bad(f"invalid host: {bad}") from None
        if address.bits == 32:
            raise _Bad("invalid IP-literal")
        return f"[{name}]{port}"
    colon = host.find(":")
    if colon >= 0:
        # Colons within a host are an error for the web alone, where others have lists of hosts.
        _port(host[colon:] if scheme in ("http", "https") else host[host.rfind(":") :])
    return _host_name(host)


def _port(text: str) -> str:
    if text and not (text[0] == ":" and all(each in string.digits for each in text[1:])):
        raise _Bad(f"invalid port {quoted(text)} after host")
    return text


def _host_name(text: str) -> str:
    for at, each in enumerate(text):
        if each == "%":
            escape = text[at : at + 3]
            bad = _ESCAPED.fullmatch(escape) is None or len(escape) < 3 or int(escape[1:], 16) < 0x80
            if bad and escape != "%25":
                raise _Bad(f"invalid URL escape {quoted(escape)}")
        elif each.isascii() and each not in _HOST:
            raise _Bad(f"invalid character {quoted(each)} in host name")
    return _unescaped(text).decode("utf-8", "replace")


def _zone(text: str) -> str:
    for at, each in enumerate(text):
        if each == "%":
            escape = text[at : at + 3]
            if _ESCAPED.fullmatch(escape) is None or len(escape) < 3:
                raise _Bad(f"invalid URL escape {quoted(escape)}")
            if escape not in ("%25", "%20") and chr(int(escape[1:], 16)) not in _HOST:
                raise _Bad(f"invalid URL escape {quoted(escape)}")
        elif each.isascii() and each not in _HOST:
            raise _Bad(f"invalid character {quoted(each)} in host name")
    return _unescaped(text).decode("utf-8", "replace")


def _unescaped(text: str, plus: bool = False) -> bytes:
    for found in _ESCAPED.finditer(text):
        if found[1] is None:
            raise _Bad(f"invalid URL escape {quoted(text[found.start() : found.start() + 3])}")
    encoded = text.replace("+", " ") if plus else text
    parts = re.split(r"%([0-9A-Fa-f]{2})", encoded)
    return b"".join(bytes.fromhex(part) if at % 2 else part.encode() for at, part in enumerate(parts))


def _escaped(text: bytes, kept: frozenset[str]) -> str:
    return "".join(chr(each) if chr(each) in kept else f"%{each:02X}" for each in text)


def is_url(text: str) -> bool:
    """Whether ``url(text)`` succeeds."""
    return not why_not(text)


def _split_host(value: URL) -> tuple[str, str]:
    """Name and port; brackets are no part of the name."""
    name, colon, port = value.host.rpartition(":")
    if not colon or not all(each in string.digits for each in port):
        name, port = value.host, ""
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, port


def query(value: URL) -> dict[str, list[str]]:
    """The parameters of the query, each with its values; what is malformed is left out."""
    found: dict[str, list[str]] = {}
    for pair in value.query.split("&"):
        if not pair or ";" in pair:
            continue
        key, _, content = pair.partition("=")
        try:
            name = _unescaped(key, plus=True).decode("utf-8", "replace")
            found.setdefault(name, []).append(_unescaped(content, plus=True).decode("utf-8", "replace"))
        except _Bad:
            continue
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
