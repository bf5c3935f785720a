"""Derived attributes (KEP-6080): expressions whose value is an attribute."""

from __future__ import annotations

from typing import Any

import pytest

from dracore.errors import SelectorError
from dracore.model.device import Device
from dracore.selectors import CompileError, Fault, Features, compile_derived, new

DEVICE = {
    "name": "gpu-0",
    "attributes": {"cores": {"int": 132}, "links": {"strings": ["a", "b"]}, "v": {"version": "1.2.3"}},
    "capacity": {"memory": {"value": "80Gi"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("device.attributes['d'].cores / 4", {"int": 33}),
        ("device.driver + '-x'", {"string": "d-x"}),
        ("device.attributes['d'].cores > 100", {"bool": True}),
        ("device.attributes['d'].v", {"version": "1.2.3"}),
        ("device.attributes['d'].links.map(x, x + '!')", {"strings": ["a!", "b!"]}),
        ("device.capacity['d'].memory.asInteger()", {"int": 85899345920}),
        ("[semver('1.0.0')]", {"versions": ["1.0.0"]}),
        ("[]", {"strings": []}),
        ("dyn(optional.of(1))", {"int": 1}),
        ("dyn(int)", {"string": "int"}),
    ],
)
def test_values(text: str, value: dict[str, Any]) -> None:
    assert compile_derived(text).value("d", DEVICE) == value


def test_discovered_devices_have_derived_attributes_too() -> None:
    assert compile_derived("device.attributes['d'].x + 1").value("d", Device("a", attributes={"x": 1})) == {
        "int": 2
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.5", "(string, integer, boolean, semver) or a list of these scalars, not double"),
        ("[[1]]", "or a list of these scalars, not list(list(int))"),
        ("device.nope", "undefined field 'nope'"),
    ],
)
def test_what_no_attribute_is_made_of(text: str, message: str) -> None:
    with pytest.raises(CompileError) as error:
        compile_derived(text)
    assert message in error.value.detail


def test_lists_need_their_gate() -> None:
    without = new((1, 36), Features(consumable_capacity=True, list_attributes=False))
    with pytest.raises(CompileError) as error:
        compile_derived("[1]", without)
    assert error.value.detail == (
        "must evaluate to a primitive scalar (string, integer, boolean, semver), not list(int)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dyn(1u)", "unsupported CEL return type: uint64"),
        ("dyn(device.capacity['d'].memory)", "unsupported CEL return type: *resource.Quantity"),
        ("[dyn(1), dyn('a')]", "expected list element at index 1 to be int, got string"),
        ("dyn([1.5])", "unsupported list element type: float64"),
        ("dyn(optional.none())", "unsupported CEL return type: <nil>"),
        ("device.attributes['d'].nope", "no such key: nope"),
    ],
)
def test_what_fails_on_a_device(text: str, message: str) -> None:
    derived = compile_derived(text)
    with pytest.raises(Fault) as fault:
        derived.evaluate("d", DEVICE)
    assert fault.value.message == message
    with pytest.raises(SelectorError, match="fails on device gpu-0"):
        derived.value("d", DEVICE)
