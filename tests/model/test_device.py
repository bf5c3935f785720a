import pytest

from dracore import Capacity, Device, Quantity, Semver, Taint, device_name
from dracore.errors import DracoreError
from dracore.model.names import is_dns_label, is_pool_name, is_qualified_name


def test_plain_values_become_typed() -> None:
    device = Device(
        "gpu-0", capacity={"memory": "80Gi", "n": 3}, attributes={"v": Semver(1, 2, 3), "l": ["a", "b"]}
    )
    assert device.capacity["memory"] == Capacity(Quantity.parse("80Gi"))
    assert device.capacity["n"].value == Quantity.parse("3")
    assert device.attributes["l"] == ("a", "b")


def test_a_device_occupies_one_unit_of_itself_by_default() -> None:
    assert Device("a").occupies == {"a": 1}
    assert Device("a", identity="GPU-1").occupies == {"GPU-1": 1}
    assert Device("a", identity="GPU-1", occupies={"GPU-1/slice-0": 1}).occupies == {"GPU-1/slice-0": 1}


def test_a_taint_of_the_same_key_and_effect_is_replaced() -> None:
    device = Device("a").with_taint(Taint("k", "NoSchedule", "1")).with_taint(Taint("k", "NoSchedule", "2"))
    assert [t.value for t in device.taints] == ["2"]
    assert len(device.with_taint(Taint("k", "NoExecute")).taints) == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("eth0.100", "eth0100"),
        ("0000:65:00.0", "0000-65-000"),
        ("ACME_X", "acme-x"),
        ("--", "device"),
        ("a" * 80, "a" * 63),
    ],
)
def test_device_names_are_dns_labels(text: str, name: str) -> None:
    assert device_name(text) == name
    assert is_dns_label(name)


def test_names_of_the_api() -> None:
    assert is_pool_name("node-1/rack.a")
    assert not is_pool_name("node-1//a")
    assert is_qualified_name("gpu.nvidia.com/memory")
    assert is_qualified_name("_a1")
    assert not is_qualified_name("a/b/c")
    assert not is_qualified_name("a-b")
    assert not is_qualified_name("x" * 33)


def test_an_error_for_an_event_is_one_short_line() -> None:
    error = DracoreError("it\nbroke " + "x" * 300, where="plugin p", fix="do y")
    assert str(error).startswith("plugin p: it\nbroke")
    text = error.for_event()
    assert len(text) == 200
    assert "\n" not in text
