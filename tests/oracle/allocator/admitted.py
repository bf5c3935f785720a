"""Claims that an API server lets in or refuses: `tests/cluster` asks a real one, `tests/allocate` ours."""

from __future__ import annotations

from typing import Any

JSON = Any
GPU = {"deviceClassName": "gpu"}
PAIR = [{"name": "r", "exactly": GPU}, {"name": "q", "exactly": GPU}]
PARAMETERS = {"driver": "d.example.com", "parameters": {}}


def _one(**body: JSON) -> JSON:
    return {"requests": [{"name": "r", "exactly": {**GPU, **body}}]}


def _tolerating(**toleration: JSON) -> JSON:
    return _one(tolerations=[toleration])


def _named(name: str) -> JSON:
    return {"requests": [{"name": name, "exactly": GPU}]}


def _pair(**constraint: JSON) -> JSON:
    return {"requests": PAIR, "constraints": [constraint]}


def _configured(opaque: JSON, **more: JSON) -> JSON:
    return {"requests": PAIR, "config": [{"opaque": opaque, **more}]}


def _first(*subs: JSON) -> JSON:
    return {"requests": [{"name": "r", "firstAvailable": list(subs)}]}


LET_IN: dict[str, JSON] = {
    "plain": _one(),
    "no count": _one(count=0),
    "more devices than a claim holds": _one(count=33),
    "all, with a count of 0": _one(allocationMode="All", count=0),
    "an empty mode": _one(allocationMode=""),
    "no requests": {},
    "a toleration of nothing": _tolerating(),
    "a toleration of no operator": _tolerating(key="k", value="v"),
    "a toleration of the effect None": _tolerating(operator="Exists", effect="None"),
    "a toleration of less than no seconds": _tolerating(operator="Exists", tolerationSeconds=-1),
    "many tolerations": _one(tolerations=[{"operator": "Exists"}] * 17),
    "both kinds of constraint in one": _pair(matchAttribute="a/b", distinctAttribute="a/b"),
    "a constraint on one request": _pair(matchAttribute="a.b/c", requests=["q"]),
    "a constraint on an alternative": {
        **_first({"name": "s", **GPU}),
        "constraints": [{"matchAttribute": "a/b", "requests": ["r/s"]}],
    },
    "a negative amount": _one(capacity={"requests": {"m": "-1"}}),
    "an amount of a strange name": _one(capacity={"requests": {"a b": "1"}}),
    "a huge amount": _one(capacity={"requests": {"m": "1e400"}}),
    "config": _configured(PARAMETERS, requests=["r"]),
    "config of a driver in capitals": _configured({**PARAMETERS, "driver": "D.example.com"}),
    "a name of a digit": _named("1"),
}
REFUSED: dict[str, tuple[str, JSON]] = {
    "a negative count": ("requests[0].exactly.count", _one(count=-1)),
    "all, with a count": ("requests[0].exactly.count", _one(allocationMode="All", count=2)),
    "a mode in small letters": ("requests[0].exactly.allocationMode", _one(allocationMode="all")),
    "an operator": ("requests[0].exactly.tolerations[0].operator", _tolerating(operator="Foo")),
    "a value": ("requests[0].exactly.tolerations[0].value", _tolerating(operator="Exists", value="v")),
    "a value with a space": ("requests[0].exactly.tolerations[0].value", _tolerating(key="k", value="a b")),
    "a key": ("requests[0].exactly.tolerations[0].key", _tolerating(key="a b")),
    "an effect": ("requests[0].exactly.tolerations[0].effect", _tolerating(operator="Exists", effect="Foo")),
    "an attribute without domain": ("constraints[0].matchAttribute", _pair(matchAttribute="b")),
    "an attribute of a wrong domain": ("constraints[0].matchAttribute", _pair(matchAttribute="A/b")),
    "an attribute of a wrong name": ("constraints[0].distinctAttribute", _pair(distinctAttribute="a/b-c")),
    "an empty attribute": ("constraints[0].matchAttribute", _pair(matchAttribute="")),
    "a long attribute": ("constraints[0].matchAttribute", _pair(matchAttribute="a/" + "b" * 33)),
    "an empty constraint": ("constraints[0]", _pair()),
    "a constraint on nothing": ("constraints[0].requests[0]", _pair(matchAttribute="a/b", requests=["x"])),
    "a constraint on one twice": (
        "constraints[0].requests[1]",
        _pair(matchAttribute="a/b", requests=["r", "r"]),
    ),
    "a name with an underscore": ("requests[0].name", _named("R_r")),
    "a name with a dot": ("requests[0].name", _named("a.b")),
    "a long name": ("requests[0].name", _named("a" * 64)),
    "no name": ("requests[0].name", _named("")),
    "two of one name": ("requests[1]", {"requests": [PAIR[0], PAIR[0]]}),
    "two alternatives of one name": (
        "requests[0].firstAvailable[1]",
        _first({"name": "s", **GPU}, {"name": "s", **GPU}),
    ),
    "an alternative's name": ("requests[0].firstAvailable[0].name", _first({"name": "S", **GPU})),
    "nine alternatives": (
        "requests[0].firstAvailable",
        _first(*({"name": f"s{index}", **GPU} for index in range(9))),
    ),
    "both ways to ask": (
        "requests[0]",
        {"requests": [{**PAIR[0], "firstAvailable": [{"name": "s", **GPU}]}]},
    ),
    "neither way to ask": ("requests[0]", {"requests": [{"name": "r"}]}),
    "no class": ("requests[0].exactly.deviceClassName", _one(deviceClassName="")),
    "a class's name": ("requests[0].exactly.deviceClassName", _one(deviceClassName="A_b")),
    "a selector of no kind": ("requests[0].exactly.selectors[0].cel", _one(selectors=[{}])),
    "an empty selector": (
        "requests[0].exactly.selectors[0].cel.expression",
        _one(selectors=[{"cel": {"expression": ""}}]),
    ),
    "33 selectors": (
        "requests[0].exactly.selectors",
        _one(selectors=[{"cel": {"expression": "true"}}] * 33),
    ),
    "33 requests": ("requests", {"requests": [{"name": f"r{n}", "exactly": GPU} for n in range(33)]}),
    "33 constraints": ("constraints", {"requests": PAIR, "constraints": [{"matchAttribute": "a/b"}] * 33}),
    "config of nothing": ("config[0].opaque", {"requests": PAIR, "config": [{}]}),
    "config without a driver": ("config[0].opaque.driver", _configured({"parameters": {}})),
    "config of a wrong driver": ("config[0].opaque.driver", _configured({**PARAMETERS, "driver": "D_x"})),
    "config without parameters": ("config[0].opaque.parameters", _configured({"driver": "d.example.com"})),
    "config of a list": ("config[0].opaque.parameters", _configured({**PARAMETERS, "parameters": []})),
    "config that is too long": (
        "config[0].opaque.parameters",
        _configured({**PARAMETERS, "parameters": {"a": "x" * 10_240}}),
    ),
    "config for nothing": ("config[0].requests[0]", _configured(PARAMETERS, requests=["x"])),
}
"""Name to the field, below ``spec.devices``, and the claim's devices."""
