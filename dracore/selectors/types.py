"""Types of the checker, and which is assignable to which (the rules of the CEL specification)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_

_NULLABLE = frozenset({"opaque", "struct", "any", "duration", "timestamp"})


class Type:
    """A type; equal when written alike. `kind` groups, `name` is its name in declarations."""

    __slots__ = ("key", "kind", "name", "nullable", "params", "text")
    text: str
    key: str
    """What types are compared by."""
    nullable: bool

    def __init__(self, kind: str, name: str = "", params: tuple[Type, ...] = ()) -> None:
        self.kind = kind
        self.name = name or kind
        self.params = params
        inner = ", ".join(param.text for param in params)
        self.text = f"{_SHOWN.get(kind, self.name)}({inner})" if params else _SHOWN.get(kind, self.name)
        if any(each.key != each.text for each in params):
            self.key = f"{self.name}({', '.join(each.key for each in params)})"
        else:
            self.key = self.text
        self.nullable = kind in _NULLABLE

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Type) and self.kind == other.kind and self.key == other.key
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return self.text

    def declared(self) -> str:
        """As the API server names it where it refuses the type of a whole expression."""
        if self.kind == "param":
            return f"<{self.name}>"
        if self.nullable and not self.params and self.text.startswith("wrapper("):
            return self.text
        name = _DECLARED.get(self.kind, self.name)
        if not self.params:
            return name
        return f"{name}({', '.join(param.declared() for param in self.params)})"


_SHOWN = {"error": "!error!"}
_DECLARED = {
    "any": "google.protobuf.Any",
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
    "null": "null_type",
    "error": "*error*",
}

BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL, DURATION, TIMESTAMP, DYN, ANY, ERROR, TYPE = (
    Type(kind)
    for kind in (
        *("bool", "int", "uint", "double", "string", "bytes", "null", "duration", "timestamp"),
        *("dyn", "any", "error", "type"),
    )
)
QUANTITY, SEMVER, URL, FORMAT, DEVICE = (
    Type("struct", f"kubernetes.{name}") for name in ("Quantity", "Semver", "URL", "NamedFormat", "DRADevice")
)
AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION = (
    Type("struct", f"kubernetes.authorization.{name}")
    for name in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")
)
EMPTY = Type("struct", "google.protobuf.Empty")
IP, CIDR = Type("opaque", "net.IP"), Type("opaque", "net.CIDR")
COMPARABLE = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)
SUMMABLE = (INT, UINT, DOUBLE, DURATION)
_SCALAR = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})
_DYNAMIC = frozenset({"dyn", "any"})


def param(name: str) -> Type:
    """A type variable."""
    return Type("param", name)


def list_of(element: Type) -> Type:
    """``list(element)``."""
    return Type("list", "", (element,))


def map_of(key: Type, value: Type) -> Type:
    """``map(key, value)``."""
    return Type("map", "", (key, value))


def optional_of(value: Type) -> Type:
    """``optional_type(value)``."""
    return Type("opaque", "optional_type", (value,))


def type_of(value: Type) -> Type:
    """``type(value)``, the type of a type."""
    return Type("type", "", (value,))


def wrapper_of(kind: Type) -> Type:
    """``wrapper(kind)``, which is `kind` or null."""
    wrapper = Type(kind.kind, kind.name)
    wrapper.text, wrapper.nullable = f"wrapper({kind.text})", True
    return wrapper


def unwrapped(kind: Type) -> tuple[Type, bool]:
    """What an optional holds, and whether it was one."""
    if kind.kind == "opaque" and kind.name == "optional_type":
        return kind.params[0], True
    return kind, False


def is_dynamic(kind: Type) -> bool:
    """Whether only the value tells."""
    return kind.kind in _DYNAMIC


def is_scalar(kind: Type) -> bool:
    """Whether every value of it has the same size."""
    if kind.kind == "opaque" and kind.name == "optional_type":
        return is_scalar(kind.params[0])
    return kind.kind in _SCALAR


class Mappings:
    """What type variables stand for. A trial works on a copy, kept when it succeeds."""

    __slots__ = ("_known", "_next")

    def __init__(self) -> None:
        self._known: dict[str, Type] = {}
        self._next = 0

    def fresh(self) -> Type:
        """A new variable."""
        self._next += 1
        return param(f"_var{self._next - 1}")

    def assignable(self, one: Type, other: Type) -> bool:
        """Whether both can be the same type; what that needs is remembered only if so."""
        return self.assignable_all((one,), (other,))

    def assignable_all(self, ones: Sequence[Type], others: Sequence[Type]) -> bool:
        """As :meth:`assignable`, for all at once."""
        before = dict(self._known) if self._known else {}
        if len(ones) == len(others) and all(map(self._fits, ones, others)):
            return True
        self._known = before
        return False

    def resolve(self, kind: Type, dynamic: bool = False) -> Type:
        """`kind` with variables replaced; those still free become dyn where `dynamic`."""
        while kind.kind == "param":
            found = self._known.get(kind.text)
            if found is None:
                return DYN if dynamic else kind
            kind = found
        if not kind.params:
            return kind
        params = tuple([self.resolve(each, dynamic) for each in kind.params])
        if all(map(is_, params, kind.params)):
            return kind  # writing out a type nested deeply costs more than comparing it
        return Type(kind.kind, kind.name, params)

    def _fits(self, one: Type, other: Type) -> bool:
        if other.kind == "param":
            valid, known = self._substitute(one, other)
            if valid:
                return True
            if known:
                return False
        if one.kind == "param":
            return self._substitute(other, one)[0]
        if one.kind in _DYNAMIC or one.kind == "error" or other.kind in _DYNAMIC or other.kind == "error":
            return True
        if one.kind == "null":
            return other.kind == "null" or other.nullable
        if other.kind == "null":
            return one.nullable
        if one.kind == "type":
            return other.kind == "type"
        if one.kind in ("opaque", "list", "map"):
            return (
                one.kind == other.kind
                and one.name == other.name
                and len(one.params) == len(other.params)
                and all(map(self._fits, one.params, other.params))
            )
        return one.kind == other.kind and one.name == other.name

    def _substitute(self, kind: Type, variable: Type) -> tuple[bool, bool]:
        """Whether the variable can stand for `kind`, and whether it already stood for something."""
        if kind == variable:
            return True, True
        found = self._known.get(variable.text)
        if found is not None:
            if kind == found:
                return True, True
            if self._fits(kind, found):
                wider = kind if at_least_as_general(kind, found) else found
                if self._free_of(variable, wider):
                    self._known[variable.text] = wider
                return True, True
            return False, True
        if self._free_of(variable, kind):
            self._known[variable.text] = kind
            return True, False
        return False, False

    def _free_of(self, variable: Type, within: Type) -> bool:
        if variable == within:
            return False
        if within.kind == "param":
            found = self._known.get(within.text)
            return found is None or self._free_of(variable, found)
        return all(self._free_of(variable, each) for each in within.params)


def at_least_as_general(one: Type, other: Type) -> bool:
    """Whether `one` takes all that `other` takes."""
    if one.kind in _DYNAMIC or one.kind == "param":
        return True
    if other.kind in _DYNAMIC or other.kind == "param" or one.kind != other.kind:
        return False
    if one.kind in ("list", "map", "opaque"):
        return (
            one.name == other.name
            and len(one.params) == len(other.params)
            and all(map(at_least_as_general, one.params, other.params))
        )
    return one.kind == "type" or one == other


def instantiate(kind: Type, variables: Mapping[str, Type]) -> Type:
    """`kind` with the named type variables replaced."""
    if kind.kind == "param":
        return variables.get(kind.name, kind)
    if not kind.params:
        return kind
    return Type(kind.kind, kind.name, tuple(instantiate(each, variables) for each in kind.params))


def variables_of(*kinds: Type) -> tuple[str, ...]:
    """The names of the type variables in `kinds`, each once."""
    found: dict[str, None] = {}
    pending = list(kinds)
    while pending:
        kind = pending.pop(0)
        if kind.kind == "param":
            found[kind.name] = None
        pending.extend(kind.params)
    return tuple(found)


def equivalent(one: Type, other: Type) -> bool:
    """The same type, whatever their type variables are called."""
    if one.kind != other.kind or len(one.params) != len(other.params):
        return False
    if one.kind != "param" and one.name != other.name:
        return False
    return all(map(equivalent, one.params, other.params))
