# ruff: noqa: E501 - one piece a line reads best
"""Expressions for comparing with the oracle, made otherwise than those of tests/oracle/expressions.py.

Nothing here knows types: texts that somebody wrote are cut at their tokens and put together anew, functions
are called with whatever comes, and literals are the odd ones of each library (literals.json). So more of it is
refused, and what is accepted is nothing that anybody would have thought of. The same seed gives the same
expressions.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

DRIVER = "dra.example.com"
TOKEN = re.compile(
    r"""[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*')"""
    r"|\d+\.\d+(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+[uU]?|\d+[uU]?|[A-Za-z_]\w*|`[^`]*`|==|!=|<=|>=|&&|\|\||\s+|.",
    re.DOTALL,
)
_ODD: dict[str, list[str]] = json.loads((Path(__file__).parent / "literals.json").read_text("utf-8"))
(ATTRIBUTES, NUMBERS, TEXTS, QUANTITIES, VERSIONS, ADDRESSES, NETWORKS, ADDRESSES_OF_WEB, *_OTHERS) = (
    _ODD.values()
)
(DURATIONS, TIMES, ZONES, FORMATS, REGEXES, NAMED_FORMATS, FORMATTED, MEMBERS, FUNCTIONS, *_OTHERS) = _OTHERS
(MACROS, MESSAGES, FIELDS, OPERATORS, KINDS, NAMES, NOISE) = _OTHERS


class Mutator:
    """Expressions of a seed, out of texts that somebody wrote."""

    def __init__(self, seed: int, written: Sequence[str], *, messages: bool = True) -> None:
        self.random = random.Random(seed)
        self._written = [tokens for text in written if (tokens := TOKEN.findall(text))]
        self._tokens = sorted({token for text in self._written for token in text if not token.isspace()})
        self._messages = messages
        self._names: list[str] = []
        self._loose = False
        self._pieces: list[tuple[int, Callable[[int], str]]] = [
            (6, lambda d: self.one(NUMBERS)),
            (6, lambda d: self.one(TEXTS)),
            (2, lambda d: self.one(("true", "false", "null"))),
            (8, lambda d: self._attribute()),
            (4, lambda d: self._read()),
            (12, lambda d: self._call(d)),
            (8, lambda d: f"{self.wrapped(d)} {self.one(OPERATORS)} {self.wrapped(d)}"),
            (6, lambda d: self._macro(d)),
            (4, lambda d: self._bind(d)),
            (4, lambda d: "[" + ", ".join(self._elements(d)) + self.one(("", "", "", ",")) + "]"),
            (3, lambda d: "{" + ", ".join(self._entries(d)) + "}"),
            (3, lambda d: f"{self.wrapped(d)}[{self.one(('', '', '?'))}{self(d)}]"),
            (2, lambda d: f"{self.wrapped(d)}.{self.one(('', '?'))}{self.one((*ATTRIBUTES, '`a-b`', 'x'))}"),
            (2, lambda d: f"({self(d)} ? {self(d)} : {self(d)})"),
            (2, lambda d: f"{self.one(('!', '-', '!!', '--'))}{self.wrapped(d)}"),
            (2, lambda d: f"dyn({self(d)})"),
            (2, lambda d: f"optional.{self.one(('of', 'ofNonZeroValue'))}({self(d)})"),
            (1, lambda d: self.one(KINDS)),
            (1 if messages else 0, lambda d: self._message(d)),
        ]
        self._makers = [make for weight, make in self._pieces for _ in range(weight)]

    def expressions(self) -> Iterator[str]:
        """Without end, now and then the same."""
        while True:
            self._names = []
            self._loose = self.random.random() < 0.75
            way = self.random.random()
            if way < 0.3:
                yield self._mutated()
            elif way < 0.45:
                yield self._whole(lambda d: f"{self.wrapped(d)} {self.one(OPERATORS[:6])} {self.wrapped(d)}")
            elif way < 0.8:
                yield self._whole(lambda d: self._read_and_used(d))
            else:
                yield self._whole(self)

    def one(self, choices: Sequence[str]) -> str:
        """Any of them."""
        return self.random.choice(choices)

    def __call__(self, depth: int) -> str:
        if self._names and self.random.random() < 0.25:
            return self.one(self._names)
        makers = self._makers if depth > 0 else self._makers[:26]
        text = self.random.choice(makers)(max(0, depth - 1))
        return f"dyn({text})" if self._loose and self.random.random() < 0.85 else text

    def wrapped(self, depth: int) -> str:
        """In brackets where it may need them."""
        text = self(depth)
        return text if re.fullmatch(r"[\w.'\"\\\[\]]*|dyn\([^()]*\)", text) else f"({text})"

    # --- by tokens ----------------------------------------------------------------------------------------

    def _mutated(self) -> str:
        tokens = list(self.random.choice(self._written))
        for _ in range(self.random.choice((1, 1, 1, 2, 2, 3, 5))):
            at = self.random.randrange(len(tokens)) if tokens else 0
            way = self.random.random()
            if way < 0.2:
                del tokens[at : at + self.random.choice((1, 1, 2))]
            elif way < 0.4:
                tokens[at : at + 1] = [self.one(self._tokens)]
            elif way < 0.5:
                tokens.insert(at, self.one(self._tokens))
            elif way < 0.58:
                tokens.insert(at, self.one(NOISE))
            elif way < 0.66 and tokens:
                other = self.random.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            elif way < 0.74:
                other = self.random.choice(self._written)
                start = self.random.randrange(len(other))
                tokens[at : at + self.random.randrange(4)] = other[start : start + self.random.randrange(8)]
            elif way < 0.9:
                tokens[at : at + 1] = [self.wrapped(1)]
            else:
                tokens[at : at + 1] = tokens[at : at + 1] * 2
        return "".join(tokens)

    # --- by pieces ----------------------------------------------------------------------------------------

    def _whole(self, make: Callable[[int], str]) -> str:
        text = make(self.random.choice((1, 2, 2, 3)))
        return text if self.random.random() < 0.5 else f"({text}) == {self(1)}"

    def quoted(self, choices: Sequence[str]) -> str:
        """One as a literal; those of a table may hold escapes already."""
        text = self.one(choices)
        quote = self.one(("'", '"'))
        return f"{quote}{text}{quote}" if quote not in text else repr(text)

    def _attribute(self) -> str:
        domain = self.one((f"'{DRIVER}'", f'"{DRIVER}"', "device.driver", "'other.example.com'", "'absent'"))
        part = self.one(("attributes", "attributes", "attributes", "capacity"))
        name = self.one(ATTRIBUTES if part == "attributes" else ("memory", "slots", "nope"))
        step = self.one(
            (f".{name}", f".{name}", f"['{name}']", f".?{name}", f"[?'{name}']", f".`{name}`", "")
        )
        return f"device.{part}[{domain}]{step}"

    def _read(self) -> str:
        """A literal of one of the libraries."""
        name, texts = self.random.choice(
            (
                *(
                    ("quantity", QUANTITIES),
                    ("isQuantity", QUANTITIES),
                    ("semver", VERSIONS),
                    ("isSemver", VERSIONS),
                ),
                *(("ip", ADDRESSES), ("isIP", ADDRESSES), ("ip.isCanonical", ADDRESSES), ("cidr", NETWORKS)),
                *(("isCIDR", NETWORKS), ("url", ADDRESSES_OF_WEB), ("isURL", ADDRESSES_OF_WEB)),
                *(("duration", DURATIONS), ("timestamp", TIMES), ("int", NUMBERS), ("uint", NUMBERS)),
                *(("double", NUMBERS), ("bool", ("1", "t", "TRUE", "tRue", "yes", ""))),
                ("format.named", NAMED_FORMATS),
            )
        )
        text = self.quoted(texts)
        if self.random.random() < 0.3:
            text = self.one((f"dyn({text})", f"({text} + '')", f"string({text})"))
        if name in ("semver", "isSemver") and self.random.random() < 0.4:
            text += self.one((", true", ", false"))
        return f"{name}({text})"

    def _read_and_used(self, depth: int) -> str:
        """What a literal of a library is for."""
        way = self.random.randrange(12)
        if way == 0:
            return f"{self.quoted(FORMATS)}.format([{', '.join(self._elements(depth))}]) == ''"
        if way == 1:
            return f"{self.one(TEXTS)}.{self.one(('matches', 'find', 'findAll'))}({self.quoted(REGEXES)})"
        if way == 2:
            zone = self.one((self.quoted(ZONES), ""))
            part = self.one([name for name in MEMBERS if name.startswith("get")])
            return f"timestamp({self.quoted(TIMES)}).{part}({zone}) {self.one(OPERATORS[:6])} {self.one(NUMBERS)}"
        if way == 3:
            form = (
                f"format.{self.one(NAMED_FORMATS)}()"
                if self.random.random() < 0.6
                else self._read() + ".value()"
            )
            return f"{form}.validate({self.quoted(FORMATTED)}).{self.one(('hasValue()', 'orValue([]).size() == 1'))}"
        if way == 4:
            return f"string({self._read()}) == {self.one(TEXTS)}"
        if way == 5:
            one, other = self.quoted(QUANTITIES), self.quoted(QUANTITIES)
            made = f"quantity({one}).{self.one(('add', 'sub'))}(quantity({other}))"
            end = self.one(
                ("isInteger()", "asInteger() == 1", "asApproximateFloat() > 1.0", f"compareTo({made}) == 0")
            )
            return f"{made}.{end}"
        if way == 6:
            one, other = self._read(), self._read()
            return f"{one}.{self.one(('compareTo', 'isLessThan', 'isGreaterThan', 'containsIP', 'containsCIDR'))}({other})"
        if way == 7:
            return f"{self._read()} {self.one(OPERATORS)} {self._read()}"
        if way == 8:
            return f"cidr({self.quoted(NETWORKS)}).{self.one(('containsIP', 'containsCIDR'))}({self.quoted((*ADDRESSES, *NETWORKS))})"
        if way == 9:
            made = f"url({self.quoted(ADDRESSES_OF_WEB)})"
            return f"{made}.{self.one([name for name in MEMBERS if name.startswith('get')])}() == {self.one(('{}', *TEXTS))}"
        if way == 10:
            return f"{self._read()}.{self.one(MEMBERS)}() == {self(depth)}"
        return f"'%s'.format([{self._read()}]) == {self.one(TEXTS)}"

    def _elements(self, depth: int) -> list[str]:
        optional = lambda: "?" if self.random.random() < 0.06 else ""  # noqa: E731
        return [optional() + self(depth) for _ in range(self.random.choice((0, 1, 1, 2, 2, 3)))]

    def _entries(self, depth: int) -> list[str]:
        optional = lambda: "?" if self.random.random() < 0.06 else ""  # noqa: E731
        return [f"{optional()}{self(depth)}: {self(depth)}" for _ in range(self.random.choice((0, 1, 1, 2)))]

    def _arguments(self, depth: int) -> str:
        return ", ".join(self(depth) for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3))))

    def _call(self, depth: int) -> str:
        if self.random.random() < 0.3:
            return f"{self.one(FUNCTIONS)}({self._arguments(depth)})"
        return f"{self.wrapped(depth)}.{self.one(MEMBERS)}({self._arguments(depth)})"

    def _message(self, depth: int) -> str:
        fields = [f"{self.one(FIELDS)}: {self(depth)}" for _ in range(self.random.choice((0, 1, 1, 1, 2)))]
        return f"{self.one(MESSAGES)}{{{', '.join(fields)}}}"

    def _macro(self, depth: int) -> str:
        source = self.one(
            (self.wrapped(depth), "[1, 2, 3]", "['a', 'b']", "{'a': 1}", "device.attributes", "[[1], [2]]")
        )
        names = [self.one(NAMES) for _ in range(self.random.choice((1, 1, 1, 2)))]
        known, self._names = self._names, [*self._names, *names]
        parts = [self(depth) for _ in range(self.random.choice((1, 1, 1, 1, 2)))]
        self._names = known
        return f"{source}.{self.one(MACROS)}({', '.join((*names, *parts))})"

    def _bind(self, depth: int) -> str:
        name, value = self.one(NAMES), self(depth)
        known, self._names = self._names, [*self._names, name, name]
        body = self(depth)
        self._names = known
        return f"cel.bind({name}, {value}, {body})"
