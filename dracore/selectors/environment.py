"""What an expression may use: functions, macros and the shape of ``device``, by version and feature gates.

The API server checks new expressions in an environment that the previous minor version would understand too,
and runs stored ones in the environment that holds all it knows (KEP-4381).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from dracore.selectors import types
from dracore.selectors.declarations import Library, Overload
from dracore.selectors.types import Type

NEWEST = (1, 37)
"""The Kubernetes version whose answers these are."""
OLDEST = (1, 31)


@dataclass(frozen=True, slots=True)
class Features:
    """Feature gates that change the environment of new expressions."""

    consumable_capacity: bool = True
    list_attributes: bool = True

    @classmethod
    def defaults(cls, version: tuple[int, int]) -> Features:
        """What a server of that version has on where nobody chose."""
        return cls(consumable_capacity=version >= (1, 36), list_attributes=False)


class Environment:
    """Everything that checking an expression needs. Made by :func:`stored` and :func:`new`."""

    def __init__(
        self,
        version: tuple[int, int],
        features: Features,
        *,
        everything: bool = False,
        early_semver: bool = False,
    ) -> None:
        self.version = version
        self.early_semver = early_semver
        """Whether versions are there as before 1.33, when selectors had them for themselves."""
        self.features = features
        self.everything = everything
        attribute = types.DYN if everything or features.list_attributes else types.ANY
        self.attribute: Type = attribute
        fields = {
            "driver": types.STRING,
            "attributes": types.map_of(types.STRING, types.map_of(types.STRING, attribute)),
            "capacity": types.map_of(types.STRING, types.map_of(types.STRING, types.QUANTITY)),
        }
        if everything or features.consumable_capacity:
            fields["allowMultipleAllocations"] = types.BOOL
        self.fields: Mapping[str, Type] = fields

    @cached_property
    def libraries(self) -> tuple[Library, ...]:
        """Those of this environment, oldest first."""
        found = [library for library in _libraries() if self._has(library)]
        if self.everything or self.version >= (1, 37):
            # There the lists library is the newest, and the order decides between overloads.
            found.sort(key=lambda library: library.name == "lists")
        return tuple(found)

    @cached_property
    def functions(self) -> Mapping[str, tuple[Overload, ...]]:
        """Function name to its overloads, of all libraries together."""
        merged: dict[str, tuple[Overload, ...]] = {}
        for library in self.libraries:
            early = library.name == "semver" and not self.everything and self.version < library.since
            for name, overloads in library.functions.items():
                if early:  # nothing was completed then: one argument each
                    overloads = tuple(each for each in overloads if len(each.args) == 1 or each.member)
                merged[name] = merged.get(name, ()) + overloads
        return merged

    @cached_property
    def macros(self) -> frozenset[str]:
        """The libraries whose macros are expanded."""
        return frozenset({library.name for library in self.libraries} | {"bindings"})

    @cached_property
    def names(self) -> Mapping[str, Type]:
        """Global names: ``device``, the types, and a constant."""
        from dracore.selectors.messages import NULL_VALUE, SHAPES

        found: dict[str, Type] = {"device": types.DEVICE}
        found |= {name: types.type_of(shape.type) for name, shape in SHAPES.items()}
        found |= {"kubernetes.DRADevice": types.type_of(types.DEVICE), NULL_VALUE: types.INT}
        return {**found, **{name: types.type_of(kind) for name, kind in _TYPES.items()}}

    def _has(self, library: Library) -> bool:
        if library.name == "lists":
            return True
        if library.name == "includes":
            return self.everything or self.features.list_attributes or self.version >= library.since
        if library.name == "semver" and self.early_semver:
            return True
        return self.everything or self.version >= library.since


_TYPES: dict[str, Type] = {
    **{
        kind.kind: kind
        for kind in (types.BOOL, types.BYTES, types.DOUBLE, types.INT, types.STRING, types.UINT)
    },
    "duration": types.DURATION,
    "timestamp": types.TIMESTAMP,
    "google.protobuf.Duration": types.DURATION,
    "google.protobuf.Timestamp": types.TIMESTAMP,
    "list": types.list_of(types.DYN),
    "map": types.map_of(types.DYN, types.DYN),
    "null_type": types.NULL,
    "type": types.TYPE,
    "optional_type": types.optional_of(types.DYN),
    "net.IP": types.IP,
    "net.CIDR": types.CIDR,
}
NAMED_TYPES = (frozenset(_TYPES) | {"google.protobuf.Empty"}) - {"duration", "timestamp"}
"""Names of types that exist when an expression runs."""


@lru_cache(maxsize=1)
def _libraries() -> tuple[Library, ...]:
    from dracore.selectors.library import (
        authorization,
        collections,
        formats,
        kubernetes,
        network,
        regexes,
        standard,
        texts,
        urls,
    )

    return (
        *(standard.STANDARD, urls.URLS, regexes.REGEX, collections.LISTS),
        *(collections.OPTIONALS, kubernetes.QUANTITIES, texts.STRINGS, collections.SETS),
        *(
            authorization.AUTHORIZATION,
            authorization.SELECTORS,
            network.IPS,
            network.CIDRS,
            formats.FORMATS,
            collections.COMPREHENSIONS,
            kubernetes.SEMVERS,
        ),
        *(collections.EXTENDED_LISTS, collections.INCLUDES),
    )


SINCE = {"bindings": (1, 31)}
"""Libraries that are macros alone."""


def since(library: str) -> tuple[int, int]:
    """The Kubernetes version that first had a library."""
    return SINCE.get(library) or next(each.since for each in _libraries() if each.name == library)


@lru_cache(maxsize=1)
def stored() -> Environment:
    """The environment of expressions that are stored already: everything, gates ignored."""
    return Environment(NEWEST, Features(), everything=True)


@lru_cache(maxsize=32)
def new(compatibility: tuple[int, int], features: Features) -> Environment:
    """The environment of new expressions, compatible with a version."""
    return Environment(compatibility, features)


@lru_cache(maxsize=32)
def _early(compatibility: tuple[int, int], features: Features) -> Environment:
    return Environment(compatibility, features, early_semver=True)


def of_server(version: tuple[int, int], features: Features | None = None) -> Environment:
    """What a server of that version admits: compatible with the version before, gates as by default."""
    compatibility = (version[0], version[1] - 1)
    chosen = features if features is not None else Features.defaults(version)
    # From 1.31 on selectors had versions of their own, until all of Kubernetes had them.
    return (_early if compatibility < (1, 33) else new)(compatibility, chosen)
