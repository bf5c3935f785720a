"""Terms of selectors in the one form that is measured: what the device has, an operator, a constant."""

from __future__ import annotations

import re
from functools import lru_cache

from dracore.allocate.solved import amount, folded, whole

_LONGEST = 1_000
_NEGATIONS = 20
_NAME = r"""(?:\.\??[A-Za-z_]\w*(?![\w(])|\[(?:"[^"\\]+"|'[^'\\]+')\])"""
PATH = rf"""device\.(?:attributes|capacity)\[\??(?:"[^"\\]+"|'[^'\\]+')\]{_NAME}"""
_NUMBER = r"-?\d+(?:\.\d+)?"
_LITERAL = rf"""(?:{_NUMBER}|true|false|"[^"\\]*"|'[^'\\]*')"""
_OP = r"(==|!=|>=|<=|>|<)"
_MADE = r"""((?:quantity|semver)\((?:"[^"\\]+"|'[^'\\]+')\))"""

_FLIPPED = re.compile(rf"({_LITERAL})\s*{_OP}\s*({PATH})")
_COMPARE = re.compile(rf"({PATH})\.compareTo\({_MADE}\)\s*{_OP}\s*(-?[01])")
_COMPARE_BACK = re.compile(rf"{_MADE}\.compareTo\(({PATH})\)\s*{_OP}\s*(-?[01])")
_METHOD = re.compile(rf"({PATH})\.(isLessThan|isGreaterThan)\({_MADE}\)")
_METHOD_BACK = re.compile(rf"{_MADE}\.(isLessThan|isGreaterThan)\(({PATH})\)")
_EQUAL = re.compile(rf"({PATH})\s*(==|!=)\s*{_MADE}")
_WHOLE = re.compile(rf"({PATH})\.asInteger\(\)\s*{_OP}\s*(-?\d+)")
_APPROXIMATE = re.compile(
    rf"({PATH})\.asApproximateFloat\(\)\s*(>=|<=|>|<)\s*(\d{{1,18}}(?:\.0|e\d{{1,2}})?)"
)
_ARITHMETIC = re.compile(rf"({PATH}(?:\.asInteger\(\))?)\s*([-+*/])\s*(\d{{1,18}})\s*{_OP}\s*(-?\d{{1,18}})")
_TURNED = re.compile(rf"(-?\d+)\s*{_OP}\s*({PATH}[^=<>&|?:]+)")
_MOVED = re.compile(
    rf"({PATH})\.(add|sub)\(quantity\([\"']([^\"'\\]+)[\"']\)\)"
    rf"\.(compareTo|isLessThan|isGreaterThan)\(quantity\([\"']([^\"'\\]+)[\"']\)\)(.*)",
    re.DOTALL,
)
_SIMPLE = re.compile(rf"({PATH})\s*{_OP}\s*({_LITERAL})")
_ONE_OF = re.compile(rf"({PATH})\s+in\s+\[\s*({_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\]")
_CHOICE = re.compile(r"(.+?)\s*\?\s*(true|false)\s*:\s*(true|false)", re.DOTALL)
_DEFAULT = re.compile(rf"({PATH})\.orValue\({_LITERAL}\)")

_FLIP = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_NOT = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_TO_ZERO = {
    ("==", 1): ">", (">", 0): ">", (">=", 1): ">", ("!=", 1): "<=", ("<", 1): "<=", ("<=", 0): "<=",
    ("==", -1): "<", ("<", 0): "<", ("<=", -1): "<", ("!=", -1): ">=", (">", -1): ">=", (">=", 0): ">=",
    ("==", 0): "==", ("!=", 0): "!=",
}  # fmt: skip
"""What a comparison of -1, 0 or 1 with a constant says."""


@lru_cache(maxsize=1024)
def rewritten(term: str) -> str:
    """The term in the form that is measured, where it says the same as one; else the term itself."""
    if len(term) > _LONGEST or term.count("!") > _NEGATIONS:
        return term  # nobody wrote it by hand
    for _ in range(8):  # each step takes something away
        found = _step(term.strip())
        if found == term:
            break
        term = found
    return term


def _step(term: str) -> str:
    if match := _CHOICE.fullmatch(term):
        condition, yes, no = match.groups()
        if yes != no:
            return condition if yes == "true" else f"!({condition})"
    if term.startswith("!"):
        inner = rewritten(_unwrapped(term[1:]))
        return _negated(inner) or term
    bare = _unwrapped(term)
    if bare != term:
        return bare
    if match := _FLIPPED.fullmatch(term):
        return f"{match[3]} {_FLIP[match[2]]} {match[1]}"
    if match := _COMPARE_BACK.fullmatch(term):
        return f"{match[2]}.compareTo({match[1]}) {_FLIP[match[3]]} {-int(match[4])}"
    if match := _METHOD_BACK.fullmatch(term):
        return f"{match[3]}.compareTo({match[1]}) {'>' if match[2] == 'isLessThan' else '<'} 0"
    if match := _METHOD.fullmatch(term):
        return f"{match[1]}.compareTo({match[3]}) {'<' if match[2] == 'isLessThan' else '>'} 0"
    if match := _COMPARE.fullmatch(term):
        operator = _TO_ZERO.get((match[3], int(match[4])))
        return f"{match[1]}.compareTo({match[2]}) {operator} 0" if operator else term
    if match := _EQUAL.fullmatch(term):
        return f"{match[1]}.compareTo({match[3]}) {match[2]} 0"
    if match := _WHOLE.fullmatch(term):
        return f"{match[1]}.compareTo(quantity('{match[3]}')) {match[2]} 0"
    if match := _APPROXIMATE.fullmatch(term):
        return f"{match[1]}.compareTo(quantity('{match[3].removesuffix('.0')}')) {match[2]} 0"
    if match := _ARITHMETIC.fullmatch(term):
        solved = whole(match[2], int(match[3]), match[4], int(match[5]))
        return f"{match[1]} {solved[0]} {solved[1]}" if solved is not None else term
    if match := _TURNED.fullmatch(term):
        return f"{match[3].strip()} {_FLIP[match[2]]} {match[1]}"
    if match := _MOVED.fullmatch(term):
        bound = amount(match[2], match[3], match[5])
        return f"{match[1]}.{match[4]}(quantity('{bound}')){match[6]}" if bound is not None else term
    if match := _ONE_OF.fullmatch(term):
        return " || ".join(f"{match[1]} == {literal}" for literal in re.findall(_LITERAL, match[2]))
    return folded(_DEFAULT.sub(r"\1", term))


def _negated(term: str) -> str:
    if match := _SIMPLE.fullmatch(term):
        return f"{match[1]} {_NOT[match[2]]} {match[3]}"
    if (match := _COMPARE.fullmatch(term)) and match[4] == "0":
        return f"{match[1]}.compareTo({match[2]}) {_NOT[match[3]]} 0"
    return ""


def _unwrapped(term: str) -> str:
    """Without one pair of parentheses around all of it."""
    term = term.strip()
    if not (term.startswith("(") and term.endswith(")")):
        return term
    depth = 0
    for index, sign in enumerate(term):
        depth += (sign == "(") - (sign == ")")
        if not depth:
            return term[1:-1].strip() if index == len(term) - 1 else term
    return term
