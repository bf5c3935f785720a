# ruff: noqa: E501 - one production a line reads best
"""Random selectors and fixed devices, for asking the oracle and ours the same questions.

Expressions grow along types, so most compile; now and then a part of another type is put in, a name is
misspelt or the text is damaged, so that errors are compared too. The same seed gives the same expressions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

DRIVER = "dra.example.com"
DEVICES: list[dict[str, Any]] = [
    {
        "driver": DRIVER,
        "allowMultipleAllocations": True,
        "attributes": {
            "count": {"int": 96},
            "name": {"string": "NVIDIA H100 80GB HBM3"},
            "ready": {"bool": True},
            "version": {"version": "580.95.5"},
            "tags": {"strings": ["a", "b", "fast"]},
            "ports": {"ints": [3, 1, 2]},
            "flags": {"bools": [True, False]},
            "releases": {"versions": ["1.2.3", "2.0.0-rc.1"]},
            "other.example.com/zone": {"string": "eu-1"},
            "other.example.com/level": {"int": -7},
        },
        "capacity": {"memory": {"value": "80Gi"}, "other.example.com/slots": {"value": "350500m"}},
    },
    {
        "driver": DRIVER,
        "attributes": {
            "count": {"int": 1},
            "name": {"string": ""},
            "ready": {"bool": False},
            "version": {"version": "1.0.0-alpha.1+build"},
            "tags": {"strings": []},
            "ports": {"ints": [1]},
        },
        "capacity": {"memory": {"value": "1"}},
    },
    {"driver": "other.example.com", "attributes": {"zone": {"string": "größe"}, "level": {"int": 0}}},
    {
        "driver": DRIVER,
        "attributes": {"count": {"string": "many"}, "name": {"int": 5}, "tags": {"string": "fast"}},
        "capacity": {"memory": {"value": "40Gi"}},
    },
    {"driver": DRIVER, "attributes": {"version": {"version": "1.2"}}},
    {"driver": DRIVER, "attributes": {"name": {}}},
    {"driver": "", "attributes": {}},
]
NAMES = ["count", "name", "ready", "version", "tags", "ports", "flags", "releases", "nope", "zone", "level"]
STRINGS = [
    "",
    "a",
    "b",
    "fast",
    "eu-1",
    "NVIDIA",
    "H100",
    "x y",
    "größe",
    "1",
    "1.2.3",
    "10Gi",
    "é%s",
    "a,b,c",
]
INTS = [0, 1, 2, -1, 3, 96, 5, 10, -7, 9223372036854775807, -9223372036854775808]
REGEXES = ["a", "^N.*3$", "[0-9]+", "(a|b)*", "", "\\\\d+", "(?i)nvidia", "[", "\\\\w", "(x", "a{2,1}", "é"]
VERSIONS = ["1.2.3", "580.95.5", "1.0", "v1.2.3", "01.2.3", "2.0.0-rc.1", "1.2.3+b", "x", "1.2.3-01"]
QUANTITIES = ["1", "80Gi", "40Gi", "350500m", "1.5", "1e3", "x", "", "0.1n", "12Ei", "-5", "1Zi", "1e30"]
IPS = ["127.0.0.1", "10.1.2.3", "::1", "fe80::1", "224.0.0.1", "1.2.3", "::ffff:1.2.3.4", "255.255.255.255"]
CIDRS = ["10.0.0.0/8", "10.1.2.3/16", "::/0", "fe80::/10", "1.2.3.4/33", "x", "10.0.0.0", "192.168.0.0/24"]
URLS = [
    "https://a.example.com:8443/p/q?x=1&y=2&x=3",
    "/path",
    "x",
    "http://[::1]:80/",
    "ftp://h",
    "http://a b/",
]
DURATIONS = ["1h", "90m", "1.5s", "-3ms", "0", "1h30m", "x", "5"]
TIMES = [
    "2020-01-01T00:00:00Z",
    "2026-11-22T01:02:03.5Z",
    "2020-02-30T00:00:00Z",
    "1969-12-31T23:59:59+02:00",
    "x",
]
FORMATS = [
    "dns1123Label",
    "dns1123Subdomain",
    "labelValue",
    "uuid",
    "byte",
    "date",
    "datetime",
    "nope",
    "uri",
]
TYPES = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "quantity",
    "semver",
    "list(int)",
    "list(string)",
    "optional(int)",
]


class Generator:
    """Expressions of a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._fresh = 0
        self._scope: list[tuple[str, str]] = []
        self._makers: dict[str, list[Callable[[int], str]]] = {
            "bool": self._bools(),
            "int": self._ints(),
            "uint": self._uints(),
            "double": self._doubles(),
            "string": self._strings(),
            "quantity": self._quantities(),
            "semver": self._semvers(),
            "duration": self._durations(),
            "timestamp": self._timestamps(),
            "list(int)": self._int_lists(),
            "list(string)": self._string_lists(),
            "map(string, int)": self._maps(),
            "optional(int)": self._optional_ints(),
            "optional(string)": self._optional_strings(),
            "ip": self._ips(),
            "cidr": self._cidrs(),
            "url": self._urls(),
            "format": self._formats(),
            "dyn": self._dyns(),
        }

    def expression(self) -> str:
        """One selector, damaged in one of twenty."""
        depth = self.random.choice([1, 2, 2, 3, 3, 4])
        text = self("bool" if self.random.random() < 0.93 else self.random.choice(TYPES), depth)
        if self.random.random() < 0.05:
            text = self._damaged(text)
        return text

    def __call__(self, kind: str, depth: int) -> str:
        if self.random.random() < 0.012:
            kind = self.random.choice(list(self._makers))
        visible = [name for name, has in self._scope if has == kind]
        if visible and self.random.random() < 0.5:
            return self.random.choice(visible)
        if kind != "dyn" and depth > 0 and self.random.random() < 0.03:
            return f"dyn({self(kind, depth - 1)})"
        makers = self._makers[kind]
        if depth <= 0:
            return makers[0](0)
        return self.random.choice(makers)(depth - 1)

    # --- pieces -------------------------------------------------------------------------------------------

    def _one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def _quoted(self, choices: list[str]) -> str:
        return '"' + self.random.choice(choices) + '"'

    def _attributes(self) -> str:
        domain = self._one(
            f'"{DRIVER}"', '"other.example.com"', '"absent.example.com"', f"'{DRIVER}'", "device.driver"
        )
        return f"device.attributes[{domain}]"

    def _attribute(self, *names: str) -> str:
        name = (
            self.random.choice(names or NAMES) if self.random.random() < 0.93 else self.random.choice(NAMES)
        )
        return f"{self._attributes()}{self._one('.' + name, '.' + name, f'[{chr(34)}{name}{chr(34)}]')}"

    def _optional(self, *names: str) -> str:
        name = self.random.choice(names or NAMES)
        shape = self._one(f".?{name}", f'[?"{name}"]')
        return f"{self._attributes()}{shape}"

    def _capacity(self) -> str:
        name = self._one("memory", "memory", "slots", "nope")
        domain = self._one(f'"{DRIVER}"', f'"{DRIVER}"', '"other.example.com"')
        return f"device.capacity[{domain}].{name}"

    def _variable(self, kind: str, body: str, depth: int) -> tuple[str, str]:
        self._fresh += 1
        name = f"v{self._fresh}"
        self._scope.append((name, kind))
        text = self(body, depth)
        self._scope.pop()
        return name, text

    def _macro(self, macro: str, source: str, element: str, body: str, depth: int) -> str:
        name, text = self._variable(element, body, depth)
        return f"{self(source, depth)}.{macro}({name}, {text})"

    def _bind(self, depth: int, kind: str) -> str:
        bound = self.random.choice(list(self._makers))
        value = self(bound, depth)
        name, text = self._variable(bound, kind, depth)
        return f"cel.bind({name}, {value}, {text})"

    def _two(self, macro: str, depth: int) -> str:
        self._fresh += 2
        one, other = f"v{self._fresh - 1}", f"v{self._fresh}"
        source, kinds = self.random.choice(
            [
                ("list(int)", ("int", "int")),
                ("list(string)", ("int", "string")),
                ("map(string, int)", ("string", "int")),
            ]
        )
        text = self(source, depth)
        self._scope += [(one, kinds[0]), (other, kinds[1])]
        body = self("bool", depth)
        del self._scope[-2:]
        return f"{text}.{macro}({one}, {other}, {body})"

    def _ternary(self, kind: str) -> Callable[[int], str]:
        return lambda d: f"({self('bool', d)} ? {self(kind, d)} : {self(kind, d)})"

    # --- productions --------------------------------------------------------------------------------------

    def _bools(self) -> list[Callable[[int], str]]:
        s = self
        compare = ["==", "!=", "<", "<=", ">", ">="]
        return [
            lambda d: s._one("true", "false", "device.allowMultipleAllocations"),
            lambda d: f"({s('bool', d)} && {s('bool', d)})",
            lambda d: f"({s('bool', d)} || {s('bool', d)})",
            lambda d: f"!{s('bool', d)}",
            lambda d: f"{s._attribute('ready')}",
            lambda d: f"{s('int', d)} {s._one(*compare)} {s('int', d)}",
            lambda d: f"{s('string', d)} {s._one(*compare)} {s('string', d)}",
            lambda d: f"{s('double', d)} {s._one(*compare)} {s(s._one('double', 'int', 'uint'), d)}",
            lambda d: f"{s('uint', d)} {s._one(*compare)} {s(s._one('int', 'uint'), d)}",
            lambda d: f"{s('dyn', d)} {s._one('==', '!=', '<', '>=')} {s('dyn', d)}",
            lambda d: f"{s._attribute()} {s._one('==', '!=')} {s(s._one('int', 'string', 'bool'), d)}",
            lambda d: f"{s('quantity', d)} == {s('quantity', d)}",
            lambda d: f"{s('quantity', d)}.{s._one('isGreaterThan', 'isLessThan')}({s('quantity', d)})",
            lambda d: f"{s('quantity', d)}.isInteger()",
            lambda d: f"{s('semver', d)} == {s('semver', d)}",
            lambda d: f"{s('semver', d)}.{s._one('isGreaterThan', 'isLessThan')}({s('semver', d)})",
            lambda d: f"{s._one('isSemver', 'isQuantity', 'isIP', 'isCIDR', 'isURL')}({s('string', d)})",
            lambda d: f"isSemver({s('string', d)}, {s('bool', d)})",
            lambda d: f"{s('string', d)}.{s._one('startsWith', 'endsWith', 'contains')}({s('string', d)})",
            lambda d: f"{s('string', d)}.matches({s._quoted(REGEXES)})",
            lambda d: f"{s('string', d)}.matches({s('string', d)})",
            lambda d: f'"{s._one(*NAMES)}" in {s._attributes()}',
            lambda d: (
                f"{s._one(chr(34) + DRIVER + chr(34), chr(34) + 'absent' + chr(34))} in device.attributes"
            ),
            lambda d: f"has({s._attribute().split('[' + chr(34) + 'n')[0]})",
            lambda d: f"has({s._attributes()}.{s._one(*NAMES)})",
            lambda d: f"{s('int', d)} in {s('list(int)', d)}",
            lambda d: f"{s('string', d)} in {s(s._one('list(string)', 'map(string, int)'), d)}",
            lambda d: f"{s('dyn', d)} in {s('dyn', d)}",
            lambda d: f"{s._attribute('tags', 'ports', 'name')}.includes({s(s._one('string', 'int'), d)})",
            lambda d: s._macro(s._one("exists", "all", "exists_one"), "list(int)", "int", "bool", d),
            lambda d: s._macro(s._one("exists", "all", "exists_one"), "list(string)", "string", "bool", d),
            lambda d: f"{s._attribute('tags')}.{s._one('exists', 'all')}(t, t == {s('string', d)})",
            lambda d: f"{s._attributes()}.{s._one('exists', 'all', 'exists_one')}(k, k == {s('string', d)})",
            lambda d: f"device.attributes.exists(k, k == {s('string', d)})",
            lambda d: s._two(s._one("all", "exists", "existsOne", "exists_one"), d),
            lambda d: (
                f"{s(s._one('list(int)', 'list(string)'), d)} == {s(s._one('list(int)', 'list(string)'), d)}"
            ),
            lambda d: f"{s('map(string, int)', d)} == {s('map(string, int)', d)}",
            lambda d: f"{s('optional(int)', d)}.hasValue()",
            lambda d: f"{s('optional(int)', d)} == {s('optional(int)', d)}",
            lambda d: f"{s._optional('ready')}.orValue({s('bool', d)})",
            lambda d: (
                f"sets.{s._one('contains', 'equivalent', 'intersects')}({s('list(int)', d)}, {s('list(int)', d)})"
            ),
            lambda d: f"{s('list(int)', d)}.isSorted()",
            lambda d: (
                f"{s('ip', d)}.{s._one('isLoopback', 'isUnspecified', 'isGlobalUnicast', 'isLinkLocalUnicast', 'isLinkLocalMulticast')}()"
            ),
            lambda d: f"ip.isCanonical({s._quoted(IPS)})",
            lambda d: f"{s('ip', d)} == {s('ip', d)}",
            lambda d: f"{s('cidr', d)}.containsIP({s._one(s._quoted(IPS), s('ip', d))})",
            lambda d: f"{s('cidr', d)}.containsCIDR({s._one(s._quoted(CIDRS), s('cidr', d))})",
            lambda d: f"{s('url', d)} == {s('url', d)}",
            lambda d: f"{s('format', d)}.validate({s('string', d)}).hasValue()",
            lambda d: f"{s('duration', d)} {s._one(*compare)} {s('duration', d)}",
            lambda d: f"{s('timestamp', d)} {s._one(*compare)} {s('timestamp', d)}",
            lambda d: (
                f"type({s('dyn', d)}) == {s._one('int', 'string', 'list', 'map', 'net.IP', 'null_type', 'type')}"
            ),
            lambda d: f"{s._one('bool(', 'dyn(')}{s('bool', d)})",
            lambda d: f"bool({s._quoted(['true', 'yes', 'F', 'False'])})",
            lambda d: s._bind(d, "bool"),
            s._ternary("bool"),
        ]

    def _ints(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: str(s.random.choice(INTS)) if s.random.random() < 0.3 else str(s.random.randint(-3, 9)),
            lambda d: f"({s('int', d)} {s._one('+', '-', '*', '/', '%')} {s('int', d)})",
            lambda d: f"-({s('int', d)})",
            lambda d: s._attribute("count", "level"),
            lambda d: f"size({s(s._one('string', 'list(int)', 'list(string)', 'map(string, int)'), d)})",
            lambda d: f"{s(s._one('string', 'list(int)', 'map(string, int)'), d)}.size()",
            lambda d: f"size({s._attributes()})",
            lambda d: f"int({s(s._one('string', 'double', 'uint', 'int', 'duration', 'timestamp'), d)})",
            lambda d: f"{s('list(int)', d)}[{s('int', d)}]",
            lambda d: f"{s('map(string, int)', d)}[{s('string', d)}]",
            lambda d: f"{s('list(int)', d)}.{s._one('sum', 'max', 'min')}()",
            lambda d: f"{s('list(int)', d)}.{s._one('indexOf', 'lastIndexOf')}({s('int', d)})",
            lambda d: f"{s('string', d)}.{s._one('indexOf', 'lastIndexOf')}({s('string', d)})",
            lambda d: f"{s('string', d)}.{s._one('indexOf', 'lastIndexOf')}({s('string', d)}, {s('int', d)})",
            lambda d: f"{s(s._one('quantity', 'semver'), d)}.compareTo({s(s._one('quantity', 'semver'), d)})",
            lambda d: f"{s('semver', d)}.{s._one('major', 'minor', 'patch')}()",
            lambda d: f"{s('quantity', d)}.asInteger()",
            lambda d: f"sign({s('quantity', d)})",
            lambda d: f"{s('optional(int)', d)}.{s._one('orValue(' + s('int', d) + ')', 'value()')}",
            lambda d: (
                f"{s('timestamp', d)}.{s._one('getFullYear', 'getMonth', 'getDayOfWeek', 'getHours', 'getDayOfYear', 'getDate')}()"
            ),
            lambda d: (
                f"{s('duration', d)}.{s._one('getHours', 'getMinutes', 'getSeconds', 'getMilliseconds')}()"
            ),
            lambda d: f"{s('ip', d)}.family()",
            lambda d: f"{s('cidr', d)}.prefixLength()",
            lambda d: s._bind(d, "int"),
            s._ternary("int"),
        ]

    def _uints(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one("0u", "1u", "5u", "18446744073709551615u", "0x1Fu"),
            lambda d: f"({s('uint', d)} {s._one('+', '-', '*', '/', '%')} {s('uint', d)})",
            lambda d: f"uint({s(s._one('int', 'string', 'double'), d)})",
        ]

    def _doubles(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one("0.0", "1.5", "-2.25", "1e10", "3.0", "1e-7", "123456789.0"),
            lambda d: f"({s('double', d)} {s._one('+', '-', '*', '/')} {s('double', d)})",
            lambda d: f"double({s(s._one('int', 'string', 'uint'), d)})",
            lambda d: f"{s('quantity', d)}.asApproximateFloat()",
            lambda d: f"-({s('double', d)})",
        ]

    def _strings(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one(s._quoted(STRINGS), s._quoted(STRINGS), "device.driver"),
            lambda d: f"({s('string', d)} + {s('string', d)})",
            lambda d: s._attribute("name", "zone", "tags"),
            lambda d: (
                f"string({s(s._one('int', 'double', 'bool', 'uint', 'duration', 'timestamp', 'ip', 'cidr'), d)})"
            ),
            lambda d: f"{s('string', d)}.{s._one('lowerAscii', 'upperAscii', 'trim')}()",
            lambda d: f"{s('string', d)}.charAt({s('int', d)})",
            lambda d: f"{s('string', d)}.substring({s('int', d)})",
            lambda d: f"{s('string', d)}.substring({s('int', d)}, {s('int', d)})",
            lambda d: f"{s('string', d)}.replace({s('string', d)}, {s('string', d)})",
            lambda d: f"{s('string', d)}.replace({s('string', d)}, {s('string', d)}, {s('int', d)})",
            lambda d: f"{s('string', d)}.find({s._one(s._quoted(REGEXES), s('string', d))})",
            lambda d: f"{s('list(string)', d)}.join({s._one('', s('string', d))})",
            lambda d: f"{s('list(string)', d)}[{s('int', d)}]",
            lambda d: f"strings.quote({s('string', d)})",
            lambda d: f'"%s-%s".format([{s("dyn", d)}, {s("string", d)}])',
            lambda d: f'"{s._one("%d", "%x", "%b", "%o", "%X", "%s")}".format([{s("int", d)}])',
            lambda d: f'"{s._one("%f", "%e", "%.2f", "%s")}".format([{s("double", d)}])',
            lambda d: f"{s('optional(string)', d)}.{s._one('orValue(' + s('string', d) + ')', 'value()')}",
            lambda d: (
                f"{s('url', d)}.{s._one('getHost', 'getHostname', 'getPort', 'getScheme', 'getEscapedPath')}()"
            ),
            lambda d: s._bind(d, "string"),
            s._ternary("string"),
        ]

    def _quantities(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one(f"quantity({s._quoted(QUANTITIES)})", s._capacity()),
            lambda d: s._capacity(),
            lambda d: f"quantity({s('string', d)})",
            lambda d: f"{s('quantity', d)}.{s._one('add', 'sub')}({s(s._one('quantity', 'int'), d)})",
            s._ternary("quantity"),
        ]

    def _semvers(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one(f"semver({s._quoted(VERSIONS)})", s._attribute("version")),
            lambda d: f"semver({s._quoted(VERSIONS)}, {s('bool', d)})",
            lambda d: f"{s._attribute('releases')}[{s('int', d)}]",
        ]

    def _durations(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: f"duration({s._quoted(DURATIONS)})",
            lambda d: f"({s('duration', d)} {s._one('+', '-')} {s('duration', d)})",
            lambda d: f"({s('timestamp', d)} - {s('timestamp', d)})",
        ]

    def _timestamps(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: f"timestamp({s._quoted(TIMES)})",
            lambda d: f"({s('timestamp', d)} {s._one('+', '-')} {s('duration', d)})",
            lambda d: f"timestamp({s('int', d)})",
        ]

    def _int_lists(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one("[1, 2, 3]", "[]", "[3, 1, 2]", f"[{s('int', d)}]", s._attribute("ports")),
            lambda d: f"[{s('int', d)}, {s('int', d)}]",
            lambda d: f"[?{s('optional(int)', d)}, {s('int', d)},]",
            lambda d: f"({s('list(int)', d)} + {s('list(int)', d)})",
            lambda d: s._macro("map", "list(int)", "int", "int", d),
            lambda d: s._macro("filter", "list(int)", "int", "bool", d),
            lambda d: s._macro("map", "list(string)", "string", "int", d),
            lambda d: s._macro("sortBy", "list(int)", "int", "int", d),
            lambda d: f"{s('list(int)', d)}.{s._one('sort', 'reverse', 'distinct')}()",
            lambda d: f"{s('list(int)', d)}.slice({s('int', d)}, {s('int', d)})",
            lambda d: f"[{s('list(int)', d)}, {s('list(int)', d)}].flatten()",
            lambda d: f"lists.range({s('int', d)})",
            lambda d: f"{s('list(int)', d)}.transformList(i, v, i + v)",
            lambda d: f"[{s('optional(int)', d)}].unwrapOpt()",
        ]

    def _string_lists(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one('["a", "b"]', "[]", f"[{s('string', d)}]", s._attribute("tags")),
            lambda d: f"[{s('string', d)}, {s('string', d)}]",
            lambda d: f"{s('string', d)}.split({s('string', d)})",
            lambda d: f"{s('string', d)}.split({s('string', d)}, {s('int', d)})",
            lambda d: f"{s('string', d)}.findAll({s._quoted(REGEXES)})",
            lambda d: f"{s('string', d)}.findAll({s._quoted(REGEXES)}, {s('int', d)})",
            lambda d: s._macro("map", "list(int)", "int", "string", d),
            lambda d: s._macro("filter", "list(string)", "string", "bool", d),
            lambda d: f"{s('list(string)', d)}.{s._one('sort', 'reverse', 'distinct')}()",
        ]

    def _maps(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one('{"a": 1, "b": 2}', "{}", f'{{"a": {s("int", d)}}}'),
            lambda d: f"{{{s('string', d)}: {s('int', d)}}}",
            lambda d: f'{{?"a": {s("optional(int)", d)}}}',
            lambda d: f"{s('map(string, int)', d)}.transformMap(k, v, v + 1)",
            lambda d: f"{s('list(int)', d)}.transformMapEntry(i, v, {{string(i): v}})",
        ]

    def _optional_ints(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one("optional.none()", f"optional.of({s('int', d)})", s._optional("count", "level")),
            lambda d: s._optional("count", "level", "nope"),
            lambda d: f"optional.ofNonZeroValue({s('int', d)})",
            lambda d: f"{s('optional(int)', d)}.or({s('optional(int)', d)})",
            lambda d: f"{s('list(int)', d)}[?{s('int', d)}]",
            lambda d: f"{s('map(string, int)', d)}[?{s('string', d)}]",
            lambda d: f"{s('list(int)', d)}.{s._one('first', 'last')}()",
            lambda d: s._macro("optMap", "optional(int)", "int", "int", d),
            lambda d: s._macro("optFlatMap", "optional(int)", "int", "optional(int)", d),
            s._ternary("optional(int)"),
        ]

    def _optional_strings(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: s._one(
                "optional.none()", f"optional.of({s('string', d)})", s._optional("name", "zone")
            ),
            lambda d: f"optional.ofNonZeroValue({s('string', d)})",
            lambda d: s._macro("optMap", "optional(string)", "string", "string", d),
        ]

    def _ips(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: f"ip({s._quoted(IPS)})",
            lambda d: f"{s('cidr', d)}.ip()",
            lambda d: f"ip({s('string', d)})",
        ]

    def _cidrs(self) -> list[Callable[[int], str]]:
        s = self
        return [lambda d: f"cidr({s._quoted(CIDRS)})", lambda d: f"{s('cidr', d)}.masked()"]

    def _urls(self) -> list[Callable[[int], str]]:
        return [lambda d: f"url({self._quoted(URLS)})"]

    def _formats(self) -> list[Callable[[int], str]]:
        s = self
        return [
            lambda d: f"format.{s._one(*FORMATS[:7])}()",
            lambda d: f"format.named({s._quoted(FORMATS)}).value()",
        ]

    def _dyns(self) -> list[Callable[[int], str]]:
        s = self
        kinds = [
            "int",
            "string",
            "bool",
            "list(int)",
            "map(string, int)",
            "quantity",
            "semver",
            "double",
            "optional(int)",
        ]
        return [
            lambda d: s._attribute(),
            lambda d: f"dyn({s(s.random.choice(kinds), d)})",
            lambda d: s(s.random.choice(kinds), d),
            lambda d: "dyn(null)",
            lambda d: f"{s._attribute()}[{s(s._one('int', 'string'), d)}]",
            lambda d: (
                f"{s._attribute()}.{s._one('x', 'name', 'size()', 'lowerAscii()', 'isSorted()', 'major()')}"
            ),
            lambda d: (
                f"dyn({s('dyn', d)}).{s._one('contains', 'startsWith', 'add', 'compareTo', 'split')}({s('dyn', d)})"
            ),
            lambda d: f"(dyn({s('dyn', d)}) {s._one('+', '-', '*', '/', '%')} dyn({s('dyn', d)}))",
        ]

    def _damaged(self, text: str) -> str:
        way = self.random.random()
        at = self.random.randrange(len(text) + 1)
        if way < 0.3:
            return (
                text[:at]
                + self._one("(", ")", "]", '"', "?", ".", " ", "\\", "\n", "}", ",", "é")
                + text[at:]
            )
        if way < 0.5:
            return text[:at] + text[at + 1 :]
        if way < 0.7:
            return text[:at]
        names = ["device", "attributes", "size", "exists", "quantity", "startsWith", "driver", "in "]
        name = self.random.choice(names)
        return text.replace(name, name[:-1] + "z", 1)
