"""Characters to tokens, by the lexical rules of the CEL specification."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from dracore.selectors.faults import Issues
from dracore.selectors.values import UInt


class Token(NamedTuple):
    """`kind` is the operator itself, or ident, escaped, int, uint, double, string, bytes, end."""

    kind: str
    text: str
    pos: int


_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_PATTERN = re.compile(
    r"""
    (?P<space>[\t\r\n\f ]+|//[^\n]*)
  | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<uint>0x[0-9a-fA-F]+[uU]|\d+[uU])
  | (?P<int>0x[0-9a-fA-F]+|\d+)
  | (?P<string>[bB]?(?:
        [rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
      | \"{3}(?:ESCAPE|[^\\])*?\"{3}|'{3}(?:ESCAPE|[^\\])*?'{3}
      | "(?:ESCAPE|[^\\"\n\r])*"|'(?:ESCAPE|[^\\'\n\r])*'))
  | (?P<ident>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<escaped>`[A-Za-z0-9_.\-/ ]+`)
  | (?P<op>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,\-!?:+*/%])
    """.replace("ESCAPE", _ESCAPE),
    re.VERBOSE | re.ASCII | re.DOTALL,
)
WORDS = frozenset({"in", "true", "false", "null"})
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "null",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)
_BAD_ESCAPE = "unable to unescape string"
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_SIMPLE |= {character: ord(character) for character in "\\'\"`?"}
_HEX = {"x": 2, "X": 2, "u": 4, "U": 8}


def tokens(source: str, issues: Issues) -> tuple[list[Token], list[tuple[int, int]]]:
    """The tokens of `source`, with one of kind ``end`` last; what is none is reported and passed over.

    Beside them where these unknown parts begin and end.
    """
    unknown: list[tuple[int, int]] = []
    found: list[Token] = []
    at, size = 0, len(source)
    while at < size:
        match = _PATTERN.match(source, at)
        if match is None:
            end = _unknown_end(source, at)
            issues.report(at, f"Syntax error: token recognition error at: '{source[at:end]}'")
            unknown.append((at, end))
            at = end
            continue
        kind, text = match.lastgroup or "", match.group()
        if kind == "string" and text[0] in "bB":
            kind = "bytes"
        if kind == "op" or (kind == "ident" and text in WORDS):
            kind = text
        if kind != "space":
            found.append(Token(kind, text, at))
        at = match.end()
    found.append(Token("end", "<EOF>", size))
    return found, unknown


_BEGUN = re.compile(
    rf"""(?:"(?:{_ESCAPE}|[^\\"\n\r])*|'(?:{_ESCAPE}|[^\\'\n\r])*)"""
    r"(?:\\(?:[0-3][0-7]?|[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7})?)?"
    r"|[=&|]|`[A-Za-z0-9_.\-/ ]*|"
)


def _unknown_end(source: str, at: int) -> int:
    """The end of what is no token: the first character that no token goes on with."""
    begun = _BEGUN.match(source, at)
    assert begun is not None
    return min(begun.end() + 1, len(source))


def value(token: Token, sign: str = "") -> Any:
    """The value of a literal.

    :raises ValueError: with the API server's words, when it is out of range or wrongly escaped.
    """
    text = token.text
    if token.kind in ("int", "uint"):
        digits = text[:-1] if token.kind == "uint" else text
        # Python bounds the digits it reads at once; no literal of the language comes near.
        number = int(digits, 16 if digits.startswith("0x") else 10) if len(digits) < 100 else 1 << 64
        number = -number if sign else number
        if token.kind == "uint":
            if number >= 1 << 64:
                raise ValueError("invalid uint literal")
            return UInt(number)
        if not -(1 << 63) <= number < 1 << 63:
            raise ValueError("invalid int literal")
        return number
    if token.kind == "double":
        result = float(sign + text)
        if result in (float("inf"), float("-inf")):
            raise ValueError("invalid double literal")
        return result
    return unquote(text[1:], as_bytes=True) if token.kind == "bytes" else unquote(text)


def unquote(text: str, *, as_bytes: bool = False) -> str | bytes:
    """The content of a string or bytes literal, quotes and escapes removed."""
    raw = text[0] in "rR"
    if raw:
        text = text[1:]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    quotes = 3 if len(text) >= 6 and text[:3] in ('"""', "'''") else 1
    content = text[quotes:-quotes]
    if raw or "\\" not in content:
        return content.encode("utf-8", "surrogatepass") if as_bytes else content
    out: list[str | bytes] = []
    at = 0
    while at < len(content):
        character = content[at]
        if character != "\\":
            out.append(character)
            at += 1
            continue
        escape = content[at + 1]
        at += 2
        if escape in _SIMPLE:
            out.append(chr(_SIMPLE[escape]))
            continue
        if escape in _HEX:
            size = _HEX[escape]
            if as_bytes and size > 2:
                raise ValueError(_BAD_ESCAPE)
            code = int(content[at : at + size], 16)
        else:
            size, at = 3, at - 1
            code = int(content[at : at + 3], 8)
        at += size
        if as_bytes:
            out.append(bytes([code]))
        elif code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError("invalid unicode code point")
        else:
            out.append(chr(code))
    if as_bytes:
        return b"".join(part if isinstance(part, bytes) else part.encode() for part in out)
    return "".join(map(str, out))
