"""Input that is broken anywhere ends in an answer or one clear error, never in a defect."""

from __future__ import annotations

import copy
import json
from typing import Any

from cases import case
from handmade import CASES
from hypothesis import given, settings
from hypothesis import strategies as st

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.lint import lint
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World
from dracore.errors import ConfigError

JSON = Any
VERSION = "resource.k8s.io/v1"
JUNK: list[JSON] = [
    None, True, 0, -1, 1.5, 2**70, "", "x", "1Gi", "-1", "\x00", "é" * 300, [], [None], [{}], {}, {"a": None},
    {"": ""}, {"int": True}, [[]], {"cel": {"expression": "device."}},
]  # fmt: skip


def _objects(seed: int) -> list[JSON]:
    if seed % 2:
        one = CASES[seed % len(CASES)]
        found = [one.held_object("ns"), one.node_object(), one.class_object(), *one.slice_objects()]
        found += [*one.claim_objects("ns"), one.rule_object(), one.pod_object("ns")]
        return [item for item in found if item]
    made = case(seed)
    slices = [{"kind": "ResourceSlice", "apiVersion": VERSION, **item} for item in made["slices"]]
    classes = [{"kind": "DeviceClass", "apiVersion": VERSION, **item} for item in made["classes"]]
    claims = [{"kind": "ResourceClaim", "apiVersion": VERSION, **item} for item in made["claims"]]
    return [made["node"], *slices, *classes, *claims]


def _places(content: JSON, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(content, dict):
        for name, value in content.items():
            found += _places(value, (*path, name))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            found += _places(value, (*path, index))
    return found


@settings(max_examples=400, deadline=None)
@given(data=st.data(), seed=st.integers(0, 400))
def test_one_field_of_another_kind(data: st.DataObject, seed: int) -> None:
    items = copy.deepcopy(_objects(seed))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(_places(items)))
        target: Any = items
        try:
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
        except (KeyError, IndexError, TypeError):
            continue  # the first change took the place away
    text = json.dumps(items)
    lint([Source("f", text)], World())
    try:
        world = World().read(Source("f", text))
        simulation = Simulation(world, Features(), limit=2_000)
    except ConfigError as error:
        told = str(error)
        assert told.startswith("f: document 1") or "there is no node" in told
        return
    for outcome in simulation.run():
        assert outcome.allocation or outcome.reason
        json.dumps(outcome.json())
    json.dumps(simulation.left())


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="kind: NodePod[]{}&*!|>-'\"\n\t#,?%@`1a", max_size=80))
def test_any_text(text: str) -> None:
    try:
        World().read(Source("f", text))
    except ConfigError:
        return
