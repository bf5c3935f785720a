"""Expressions for comparing with the oracle, made otherwise than those of tests/oracle/expressions.py.

Nothing here knows types: texts that somebody wrote are cut at their tokens and put together anew, functions are
called with whatever comes, and literals are the odd ones of each library. So more of it is refused, and what is
accepted is nothing that anybody would have thought of. The same seed gives the same expressions.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

DRIVER = "dra.example.com"
TOKEN = re.compile(
    r"""[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*')"""
    r"|\d+\.\d+(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+[uU]?|\d+[uU]?|[A-Za-z_]\w*|`[^`]*`|==|!=|<=|>=|&&|\|\||\s+|.",
    re.DOTALL,
)
ATTRIBUTES = ("count", "name", "ready", "version", "tags", "ports", "flags", "releases", "nope", "empty")
NUMBERS = (
    *("0", "1", "2", "-1", "7", "64", "100", "9223372036854775807", "-9223372036854775808"),
    *(
        "9223372036854775808",
        "0x7fffffffffffffff",
        "-0x8000000000000000",
        "0xff",
        "0XFF",
        "00",
        "007",
        "1_000",
    ),
    *("0u", "1u", "18446744073709551615u", "18446744073709551616u", "0xFFFFFFFFFFFFFFFFu", "5U", "-1u"),
    *("0.0", "-0.0", "1.5", ".5", "5.", "1e3", "1E3", "1e-400", "1.7976931348623157e308", "1e309", "5e-324"),
    *("123456789.123456789", "1e21", "1e20", "1e-7", "0.1", "9007199254740993.0", "1.0e+2", "3.0", "-2.5"),
)
TEXTS = (
    *('""', "''", '"a"', "'b'", '"fast"', '"dra.example.com"', '"count"', "'größe'", '"日本"', '"\\u00e9"'),
    *(
        "'\\x41'",
        "'\\101'",
        "'\\U0001F600'",
        "'😀'",
        "'a\\nb'",
        "'\\t '",
        '"\\""',
        "r'\\d+'",
        'R"\\n"',
        "'''x'y'''",
    ),
    *(
        '"""a\nb"""',
        "'\\d'",
        "'\\u12'",
        "'\\ud800'",
        "'\\400'",
        "'\\377'",
        "b'ab'",
        "b'\\xff'",
        "b'é'",
        "br'\\x'",
    ),
    *(
        "B'\\u0041'",
        "'%'",
        "'a,b,,c'",
        "' x '",
        "'A-Z'",
        "'\\0'",
        "'\\000'",
        "'\u2028'",
        "'e\u0301'",
        "'\\`'",
        "'\\?'",
    ),
    *(
        "'1'",
        "'-5'",
        "'+5'",
        "'1e3'",
        "'true'",
        "'0x10'",
        "'1.5'",
        "' 1'",
        "'NaN'",
        "'Infinity'",
        "'-inf'",
        "'1_0'",
    ),
)
QUANTITIES = (
    *(
        "1e3",
        "1E",
        "1E3",
        ".5Gi",
        "+1",
        "0x1",
        "1Ki2",
        "1.",
        ".",
        "-",
        "",
        "1Ki",
        "1ki",
        "1K",
        "1.5Ki",
        "0.1Ki",
        "1e-3",
    ),
    *(
        "1e-9",
        "1e-10",
        "100n",
        "0.5n",
        "1u",
        "1m",
        "1.0000000001",
        "9223372036854775807",
        "9223372036854775808",
    ),
    *(
        "8Ei",
        "7.9Ei",
        "-8Ei",
        "1Zi",
        "1 Gi",
        "1Gi ",
        "١",
        "1e",
        "1e+",
        "1e+3",
        "1E+3",
        "1e19",
        "-1e18",
        "00.5",
        "+.5k",
    ),
    *(
        "--1",
        "1.2.3",
        "1P",
        "0Ei",
        "-0",
        "1e1000",
        "12345678901234567890",
        "0.0000000001",
        "1Mi1",
        "1e3Ki",
        "5n5",
    ),
    *("999999999999999999", "9999999999999999999", "1000m", "1500m", "0.001", "1e0", "1e00", "1e01", "10E-1"),
)
VERSIONS = (
    *(
        "1.2.3",
        "v1.2.3",
        "1.2",
        "1",
        "01.2.3",
        "1.2.3-rc.1",
        "1.2.3-01",
        "1.2.3-0a",
        "1.2.3--",
        "1.2.3-",
        "1.2.3+",
    ),
    *(
        "1.2.3+a.b",
        "1.2.3-a+b",
        "1.2.3-a..b",
        "1.2.3.4",
        "",
        "v",
        "V1.2.3",
        "1.2.x",
        "-1.2.3",
        "1.-2.3",
        "1.2.3 ",
    ),
    *(
        "18446744073709551615.0.0",
        "18446744073709551616.0.0",
        "9223372036854775808.1.1",
        "1.2.3-α",
        "0.0.0",
        "1.0-rc",
    ),
    *(
        "v01.02.03",
        "v1",
        "1.2-",
        "00.0.0",
        "1.2.3-99999999999999999999",
        "1.2.03",
        "1..3",
        "1.2.3+01",
        "v1.2.3-rc1",
    ),
)
ADDRESSES = (
    *(
        "127.0.0.1",
        "127.1",
        "0.0.0.0",
        "255.255.255.255",
        "256.1.1.1",
        "1.2.3.04",
        "1.2.3.4.5",
        "::",
        "::1",
        "1::",
    ),
    *(
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "fe80::1%eth0",
        "fe80::1%",
        "2001:db8::",
        "2001:DB8::1",
        "1:2:3:4:5:6:7:8",
    ),
    *(
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::",
        "12345::",
        "g::",
        ":::",
        "[::1]",
        "",
        " ::1",
        "224.0.0.251",
        "ff02::1",
    ),
    *(
        "169.254.1.1",
        "10.0.0.1",
        "::ffff:0:0",
        "0:0:0:0:0:0:0:1",
        "1::2::3",
        "::00001",
        "1.2.3.4%a",
        "1.2.3.",
        ".1.2.3",
    ),
    *(
        "ff01::1",
        "fc00::1",
        "0177.0.0.1",
        "1.2.3.4/32",
        "::fffe:1.2.3.4",
        "64:ff9b::1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
    ),
)
NETWORKS = (
    *(
        "10.0.0.0/8",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "/8",
    ),
    *(
        "::/0",
        "::1/128",
        "::1/129",
        "2001:db8::/32",
        "::ffff:1.2.3.4/96",
        "fe80::1%eth0/64",
        "1.2.3.4/0",
        "0.0.0.0/0",
    ),
    *(
        "10.0.0.0/8/8",
        "10.0.0.0",
        "",
        "10.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.1/32",
        "2001:DB8:0::/48",
        "1.2.3.4/a",
    ),
)
ADDRESSES_OF_WEB = (
    *(
        "https://a.b:8443/p?q=1&q=2#f",
        "/p",
        "//h/p",
        "///p",
        "a",
        "",
        "http://",
        "http://[::1]:80/",
        "http://[::1",
        "*",
    ),
    *(
        "http://a:b/",
        "http://u:p@h/",
        "mailto:a@b",
        "http://h/%zz",
        "http://h/%41?%zz=1",
        "http://h?a=%zz",
        "HTTP://H/",
    ),
    *(
        "http://a b/",
        "http://é/é?é",
        "http://h/a b",
        "1http://h",
        ":x",
        "http://h:80:80/",
        "http://[fe80::1%25en0]/",
    ),
    *(
        "http://h/?a;b=1",
        "http://h/?a&b=&=c",
        "http://h#x",
        "/a?b+c=d%20e",
        "http://h/\\x7f",
        "http:/h",
        "http:h",
    ),
)
DURATIONS = (
    *(
        "1h",
        "1h1h",
        "-1h",
        "+1h",
        "--1h",
        "1.5h",
        ".5h",
        "1.h",
        ".h",
        "1",
        "0",
        "-0",
        "+0",
        "",
        "1d",
        "1H",
        "1us",
        "1µs",
    ),
    *(
        "1ns",
        "0.1ns",
        "1.9ns",
        "2562047h",
        "2562048h",
        "9223372036s",
        "9223372036.854775807s",
        "9223372037s",
        "1 h",
    ),
    *("-9223372036.854775808s", "1m1h", "1h1", "1e3s", "106751d", "315576000000s", "00001h", "1ms2us3ns"),
)
TIMES = (
    *(
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00z",
        "2020-01-01t00:00:00Z",
        "2020-01-01 00:00:00Z",
        "2020-01-01",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "10000-01-01T00:00:00Z",
    ),
    *("2020-02-29T12:00:00+05:30", "2021-02-29T12:00:00Z", "2020-01-01T24:00:00Z", "2020-01-01T23:59:60Z"),
    *(
        "2020-01-01T00:00:00.1234567891Z",
        "2020-01-01T00:00:00,5Z",
        "2020-01-01T00:00:00.Z",
        "2020-01-01T0:00:00Z",
    ),
    *(
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2020-01-01T00:00:00-24:00",
        "2020-01-01T00:00:00+00:60",
    ),
    *(
        "2020-06-30T12:30:45.678-07:00",
        "2020-13-01T00:00:00Z",
        "2020-00-01T00:00:00Z",
        "2020-12-31T23:59:59+00:00",
    ),
)
ZONES = (
    *(
        "UTC",
        "",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "+05:30",
        "-05:30",
        "05:30",
        "5:30",
        "+5",
        "Z",
    ),
    *(
        "Local",
        "utc",
        "Nowhere/City",
        "+25:00",
        "-00:30",
        "02:00",
        "x:y",
        "1:x",
        "+02:99",
        ":",
        "US/Pacific",
        "EST",
    ),
)
FORMATS = (
    *(
        "%s",
        "%d",
        "%f",
        "%e",
        "%b",
        "%x",
        "%X",
        "%o",
        "%.2f",
        "%.0f",
        "%.3e",
        "%.10f",
        "%%",
        "%",
        "%5d",
        "%.f",
        "%s%s",
    ),
    *("%q", "a%sb%dc", "%.d", "%S", "%.999f", "%-3d", "%+d", "%s %%", "%.2s", "%é", "%.2", "%s%"),
)
REGEXES = (
    *(
        "a",
        "a*",
        "(a|b)+",
        "^$",
        "\\\\d+",
        "\\\\pL",
        "\\\\p{Greek}",
        "[[:alpha:]]",
        "(?i)A",
        "(?P<n>a)",
        "(?<n>a)",
        "a{2}",
    ),
    *(
        "a{1001}",
        "a**",
        "(?=a)",
        "\\\\b",
        "\\\\1",
        "(",
        ")",
        "[",
        "a|",
        "|",
        "x*?",
        "a{,2}",
        "\\\\Qa.b\\\\E",
        "\\\\z",
        "\\\\Z",
        "^a$",
    ),
    *(
        "\\\\x{41}",
        "\\\\C",
        "[^a]",
        "[z-a]",
        "(?s).",
        "(?U)a+",
        "\\\\pN",
        "\\\\p{x}",
        "[[:x:]]",
        "(?i",
        "(?z)a",
        "é",
        "*a",
        "a++",
        "",
    ),
)
NAMED_FORMATS = (
    *(
        "dns1123Label",
        "dns1123Subdomain",
        "dns1035Label",
        "qualifiedName",
        "dns1123LabelPrefix",
        "uri",
        "uuid",
    ),
    *("dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "byte", "date", "datetime", "nope"),
)
FORMATTED = (
    *(
        "a",
        "A",
        "a-",
        "-a",
        "a.b",
        "a/b",
        "/",
        "a/b/c",
        "",
        "é",
        "1a",
        "a_b",
        "a..b",
        "YQ==",
        "YQ",
        "YQ=",
        "!",
        "aGk\\n",
    ),
    *(
        "2020-01-01",
        "2020-1-1",
        "20200101",
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00",
        "2020-01-01 00:00:00Z",
    ),
    *(
        "123e4567-e89b-12d3-a456-426614174000",
        "123E4567-E89B-12D3-A456-426614174000",
        "http://a",
        "/a",
        "x" * 64,
    ),
    *(
        "123e4567e89b12d3a456426614174000",
        "2020-01-01T00:00:00+01:00",
        "example.com/a",
        "a.b.",
        "W",
        "2020-W01-1",
    ),
)
MEMBERS = (
    *(
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "size",
        "charAt",
        "indexOf",
        "lastIndexOf",
        "join",
        "split",
    ),
    *(
        "lowerAscii",
        "upperAscii",
        "replace",
        "substring",
        "trim",
        "format",
        "find",
        "findAll",
        "isSorted",
        "sum",
    ),
    *(
        "min",
        "max",
        "slice",
        "flatten",
        "distinct",
        "sort",
        "reverse",
        "first",
        "last",
        "includes",
        "add",
        "sub",
    ),
    *(
        "compareTo",
        "isGreaterThan",
        "isLessThan",
        "isInteger",
        "asInteger",
        "asApproximateFloat",
        "major",
        "minor",
    ),
    *(
        "patch",
        "family",
        "isLoopback",
        "isUnspecified",
        "isGlobalUnicast",
        "isLinkLocalUnicast",
        "ip",
        "masked",
    ),
    *(
        "isLinkLocalMulticast",
        "containsIP",
        "containsCIDR",
        "prefixLength",
        "getHost",
        "getHostname",
        "getPort",
    ),
    *("getScheme", "getEscapedPath", "getQuery", "getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth"),
    *(
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "validate",
        "hasValue",
    ),
    *("value", "or", "orValue", "unwrapOpt", "check", "allowed", "driver", "attributes", "capacity"),
)
FUNCTIONS = (
    *(
        "size",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "bool",
        "dyn",
        "type",
        "duration",
        "timestamp",
        "quantity",
    ),
    *(
        "semver",
        "ip",
        "cidr",
        "url",
        "isQuantity",
        "isSemver",
        "isIP",
        "isCIDR",
        "isURL",
        "ip.isCanonical",
        "sign",
    ),
    *("optional.of", "optional.none", "optional.ofNonZeroValue", "optional.unwrap", "sets.contains", "has"),
    *(
        "sets.equivalent",
        "sets.intersects",
        "strings.quote",
        "lists.range",
        "format.named",
        "matches",
        "isSorted",
    ),
)
MACROS = (
    *("all", "exists", "exists_one", "existsOne", "map", "filter", "transformList", "transformMap", "sortBy"),
    *("transformMapEntry", "optMap", "optFlatMap"),
)
MESSAGES = (
    *("google.protobuf.Int64Value", "google.protobuf.BoolValue", "google.protobuf.StringValue"),
    *("google.protobuf.DoubleValue", "google.protobuf.UInt32Value", "google.protobuf.BytesValue"),
    *(
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "google.protobuf.Struct",
        "google.protobuf.Value",
    ),
    *("google.protobuf.ListValue", "google.protobuf.Any", "google.protobuf.Empty", "kubernetes.DRADevice"),
    *("google.protobuf.Int32Value", "google.protobuf.UInt64Value", "google.protobuf.FloatValue"),
)
FIELDS = (
    *(
        "value",
        "seconds",
        "nanos",
        "fields",
        "values",
        "string_value",
        "number_value",
        "bool_value",
        "null_value",
    ),
    *("struct_value", "list_value", "type_url", "driver", "attributes", "x"),
)
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in")
KINDS = (
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "type",
    "null_type",
    "net.IP",
    "net.CIDR",
)
NAMES = ("x", "y", "k", "v", "device", "cel", "e", "type", "int", "x", "y")
NOISE = (
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    ".",
    "!",
    "-",
    "'",
    '"',
    "`",
    "\\",
    "&",
    "|",
    "=",
    "@",
    "#",
    "é",
    "$",
)


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
