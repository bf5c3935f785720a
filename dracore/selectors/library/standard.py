"""The standard functions and operators of CEL."""

from __future__ import annotations

from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.library import conversions, operators, times
from dracore.selectors.library.regexes import matches

_NUMBERS = ("int", "uint", "double")
_ORDERED = (
    *(("bool", "bool"), ("int", "int"), ("int", "double"), ("int", "uint"), ("uint", "uint")),
    *(("uint", "double"), ("uint", "int"), ("double", "double"), ("double", "int"), ("double", "uint")),
    *(("string", "string"), ("bytes", "bytes"), ("timestamp", "timestamp"), ("duration", "duration")),
)
_SHORT = {"int": "int64", "uint": "uint64"}


def _comparisons() -> dict[str, dict[str, tuple[str, Any]]]:
    table: dict[str, dict[str, tuple[str, Any]]] = {}
    words = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
    for operator, word in words.items():
        run = operators.ordering(operator)
        overloads: dict[str, tuple[str, Any]] = {}
        for one, other in _ORDERED:
            name = (
                _SHORT.get(one, one) if one == other else f"{_SHORT.get(one, one)}_{_SHORT.get(other, other)}"
            )
            overloads[f"{word}_{name}!"] = (f"({one}, {other}) -> bool", run)
        table[operator] = overloads
    return table


def _arithmetic(word: str, run: Any, *kinds: str) -> dict[str, tuple[str, Any]]:
    return {f"{word}_{_SHORT.get(kind, kind)}!": (f"({kind}, {kind}) -> {kind}", run) for kind in kinds}


def _conversions(target: str, run: Any, *kinds: str) -> dict[str, tuple[str, Any]]:
    own = {f"{target}_to_{target}": (f"({target}) -> {target}", run)}
    return own | {f"{kind}_to_{target}": (f"({kind}) -> {target}", run) for kind in kinds}


STANDARD: Library = library(
    "standard",
    (1, 0),
    {
        "_?_:_": {"conditional": ("(bool, A, A) -> A", None)},
        "_&&_": {"logical_and": ("(bool, bool) -> bool", None)},
        "_||_": {"logical_or": ("(bool, bool) -> bool", None)},
        "!_": {"logical_not!": ("(bool) -> bool", operators.invert)},
        "@not_strictly_false": {"not_strictly_false": ("(bool) -> bool", None)},
        "_==_": {"equals": ("(A, A) -> bool", None)},
        "_!=_": {"not_equals": ("(A, A) -> bool", None)},
        "_+_": {
            "add_bytes!": ("(bytes, bytes) -> bytes", operators.add),
            "add_double!": ("(double, double) -> double", operators.add),
            "add_duration_duration!": ("(duration, duration) -> duration", operators.add),
            "add_duration_timestamp!": ("(duration, timestamp) -> timestamp", operators.add),
            "add_timestamp_duration!": ("(timestamp, duration) -> timestamp", operators.add),
            "add_int64!": ("(int, int) -> int", operators.add),
            "add_list!": ("(list(A), list(A)) -> list(A)", operators.add),
            "add_string!": ("(string, string) -> string", operators.add),
            "add_uint64!": ("(uint, uint) -> uint", operators.add),
        },
        "_/_": _arithmetic("divide", operators.divide, "double", "int", "uint"),
        "_%_": _arithmetic("modulo", operators.modulo, "int", "uint"),
        "_*_": _arithmetic("multiply", operators.multiply, "double", "int", "uint"),
        "-_": {
            "negate_double!": ("(double) -> double", operators.negate),
            "negate_int64!": ("(int) -> int", operators.negate),
        },
        "_-_": {
            **_arithmetic("subtract", operators.subtract, "double"),
            "subtract_duration_duration!": ("(duration, duration) -> duration", operators.subtract),
            **_arithmetic("subtract", operators.subtract, "int"),
            "subtract_timestamp_duration!": ("(timestamp, duration) -> timestamp", operators.subtract),
            "subtract_timestamp_timestamp!": ("(timestamp, timestamp) -> duration", operators.subtract),
            **_arithmetic("subtract", operators.subtract, "uint"),
        },
        **_comparisons(),
        "_[_]": {
            "index_list": ("(list(A), int) -> A", None),
            "index_map": ("(map(A, B), A) -> B", None),
            "optional_list_index_int": ("(optional(list(V)), int) -> optional(V)", None),
            "optional_map_index_value": ("(optional(map(K, V)), K) -> optional(V)", None),
        },
        "@in": {
            "in_list!": ("(A, list(A)) -> bool", operators.is_in),
            "in_map!": ("(A, map(A, B)) -> bool", operators.is_in),
        },
        "size": {
            "size_bytes!": ("(bytes) -> int", operators.size),
            "bytes_size!": ("bytes.() -> int", operators.size),
            "size_list!": ("(list(A)) -> int", operators.size),
            "list_size!": ("list(A).() -> int", operators.size),
            "size_map!": ("(map(A, B)) -> int", operators.size),
            "map_size!": ("map(A, B).() -> int", operators.size),
            "size_string!": ("(string) -> int", operators.size),
            "string_size!": ("string.() -> int", operators.size),
        },
        "type": {"type!": ("(A) -> type(A)", conversions.to_type)},
        "bool": _conversions("bool", conversions.to_bool, "string"),
        "bytes": _conversions("bytes", conversions.to_bytes, "string"),
        "double": _conversions("double", conversions.to_double, "int", "string", "uint"),
        "duration": _conversions("duration", times.to_duration, "string"),
        "dyn": {"to_dyn!": ("(A) -> dyn", lambda value: value)},
        "int": _conversions("int", conversions.to_int, "double", "duration", "string", "timestamp", "uint"),
        "string": _conversions(
            "string", conversions.to_string, "bool", "bytes", "double", "duration", "int", "timestamp", "uint"
        ),
        "timestamp": _conversions("timestamp", times.to_timestamp, "int", "string"),
        "uint": _conversions("uint", conversions.to_uint, "double", "int", "string"),
        "contains": {"contains_string!": ("string.(string) -> bool", operators.of_text("__contains__"))},
        "endsWith": {"ends_with_string!": ("string.(string) -> bool", operators.of_text("endswith"))},
        "startsWith": {"starts_with_string!": ("string.(string) -> bool", operators.of_text("startswith"))},
        "matches": {
            "matches!": ("(string, string) -> bool", matches),
            "matches_string!": ("string.(string) -> bool", matches),
        },
        **times.FUNCTIONS,
    },
)
