"""Selectors: what they see of a device, what they answer, and how they fail."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dracore.errors import SelectorError
from dracore.model.device import Capacity, Device
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.selectors import compile
from dracore.selectors.reads import reads

DRIVER = "gpu.nvidia.com"
DEVICE = Device(
    "gpu-0",
    attributes={
        "productName": "NVIDIA H100 80GB HBM3",
        "cores": 132,
        "ecc": True,
        "driverVersion": Semver.parse("580.95.5"),
        "resource.kubernetes.io/pcieRoot": "pci0000:01",
        "links": ("a", "b"),
        "ports": (1, 2),
    },
    capacity={"memory": Capacity(Quantity.parse("80Gi"))},
    allow_multiple_allocations=True,
)
PUBLISHED = {
    "name": "gpu-0",
    "attributes": {
        "productName": {"string": "NVIDIA H100 80GB HBM3"},
        "cores": {"int": 132},
        "ecc": {"bool": True},
        "driverVersion": {"version": "580.95.5"},
        "resource.kubernetes.io/pcieRoot": {"string": "pci0000:01"},
        "links": {"strings": ["a", "b"]},
        "ports": {"ints": [1, 2]},
        "versions": {"versions": ["1.0.0"]},
    },
    "capacity": {"memory": {"value": "80Gi"}},
    "allowMultipleAllocations": True,
}


@pytest.mark.parametrize("device", [DEVICE, PUBLISHED], ids=["discovered", "published"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("device.driver == 'gpu.nvidia.com'", True),
        ("device.driver == 'other'", False),
        ("device.attributes['gpu.nvidia.com'].productName.startsWith('NVIDIA H100')", True),
        ("device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^.*h100.*$')", True),
        ("device.attributes['gpu.nvidia.com'].cores > 100 && device.attributes['gpu.nvidia.com'].ecc", True),
        ("device.attributes['resource.kubernetes.io'].pcieRoot == 'pci0000:01'", True),
        ("'cores' in device.attributes['gpu.nvidia.com']", True),
        ("'nothing' in device.attributes['gpu.nvidia.com']", False),
        ("'x' in device.attributes['absent.example.com']", False),
        ("has(device.attributes['absent.example.com'].x)", False),
        ("'b' in device.attributes['gpu.nvidia.com'].links", True),
        ("device.attributes['gpu.nvidia.com'].ports.exists(p, p == 2)", True),
        ("device.allowMultipleAllocations", True),
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) > 0", True),
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('81920Mi')) == 0", True),
        ("device.capacity['gpu.nvidia.com'].memory.isLessThan(quantity('100G'))", True),
        ("device.capacity['gpu.nvidia.com'].memory == quantity('80Gi')", True),
        ("device.capacity['gpu.nvidia.com'].memory.asInteger() == 85899345920", True),
        ("device.capacity['gpu.nvidia.com'].memory.sub(quantity('80Gi')).asInteger() == 0", True),
        ("device.capacity['gpu.nvidia.com'].memory.add(1).isInteger()", True),
        ("device.attributes['gpu.nvidia.com'].driverVersion.isGreaterThan(semver('580.65.6'))", True),
        ("device.attributes['gpu.nvidia.com'].driverVersion.compareTo(semver('580.95.5')) == 0", True),
        ("device.attributes['gpu.nvidia.com'].driverVersion.major() >= 580", True),
        ("semver('v580.95', true).minor() == 95", True),
        ("isSemver('1.2') || isQuantity('1x')", False),
        ("isSemver('1.2.3') && isQuantity('10Gi')", True),
        # An error on one side of || is absorbed when the other side decides.
        ("device.attributes['gpu.nvidia.com'].nothing == 1 || true", True),
    ],
)
def test_answers(text: str, expected: bool, device: object) -> None:
    assert compile(text).matches(DRIVER, device) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device.driver ==", r"selector 'device.driver ==': not valid at line 1, column 17: Syntax error"),
        ("device.\n  driver == == 'x'", r"not valid at line 2, column 13"),
        ("", "not valid at line 1"),
        ("unknown == 1", "undeclared reference to 'unknown'"),
        ("device.driver", "must evaluate to bool or the unknown type, not string"),
        ("device.driver + 1 == 'x'", "column 15: found no matching overload for '_\\+_' applied to"),
        ("true || " * 1500 + "true", "longer than 10240 bytes"),
    ],
)
def test_what_does_not_compile(text: str, message: str) -> None:
    with pytest.raises(SelectorError, match=message):
        compile(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device.attributes['gpu.nvidia.com'].nothing == 1", "fails on device gpu-0: .*nothing.*guard it"),
        (
            "device.attributes['gpu.nvidia.com'].cores",
            "CEL result of type int could not be converted to bool",
        ),
        ("device.attributes['gpu.nvidia.com'].core > 1", "no such key: core; did you mean 'cores'"),
        ("device.attributes['gpu.nvidia.co'].cores > 1", "did you mean the domain 'gpu.nvidia.com'"),
        ("device.attributes['x.example.com'].cores > 1", "'cores' is in the domain 'gpu.nvidia.com'"),
        ("semver('x').major() == 1", "fails on device gpu-0"),
    ],
)
@pytest.mark.parametrize("device", [DEVICE, PUBLISHED], ids=["discovered", "published"])
def test_what_fails_on_a_device(text: str, message: str, device: object) -> None:
    with pytest.raises(SelectorError, match=message) as error:
        compile(text).matches(DRIVER, device)  # type: ignore[arg-type]
    assert text[:40] in str(error.value)


def test_the_same_text_is_compiled_once() -> None:
    assert compile("device.driver == 'once'") is compile("device.driver == 'once'")


def test_the_process_stays_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    limit = sys.getrecursionlimit()
    with caplog.at_level(logging.DEBUG), pytest.raises(SelectorError):
        compile("device.attributes['a'].unseen == 7").matches(DRIVER, DEVICE)
    assert sys.getrecursionlimit() == limit
    assert not [record for record in caplog.records if record.name.startswith("celpy")]


def test_selectors_are_imported_without_cel_python_and_re2() -> None:
    code = "import sys, dracore.selectors; print({'celpy', 're2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_node_plugin_imports_no_selectors_before_it_has_a_filter() -> None:
    code = (
        "import sys, dracore.cli.run, dracore.node.plugin, dracore.plugins; "
        "print([name for name in sys.modules if name.startswith('dracore.selectors')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("text", ["'a'.matches('b') || device.driver == 'd'", "semver('1.2.3').major() == 1"])
def test_valid_expressions_need_no_reader_of_faults(text: str) -> None:
    code = (
        f"import sys; from dracore.selectors import compile; compile({text!r}).cost; "
        "print('dracore.selectors.syntax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_answers_about_published_devices_are_remembered_by_what_is_read() -> None:
    selector = compile("device.attributes['d'].x == 1 || device.capacity['d'].m.isInteger()")

    def published(attributes: dict[str, object], **amounts: str) -> dict[str, object]:
        capacity = {name: {"value": value} for name, value in amounts.items()}
        return {"name": "a", "attributes": attributes, "capacity": capacity}

    cases = [
        (published({"x": {"int": 1}, "uuid": {"string": "1"}}), True),
        (published({"x": {"int": 1}, "uuid": {"string": "2"}}), True),
        (published({"x": {"bool": True}}, m="1"), True),
        (published({"x": {"bool": True}}, m="1500m"), False),
        (published({"d/x": {"ints": [1]}}, m="500m"), False),
        (published({"x": {"int": 1}, "bad": {"version": "1"}}), None),
        (published({"x": {"int": "1"}}, m="1"), None),
        (published({"x": {"int": 1}}, m="x"), None),
        (published({"x": {"versions": ["1.2.3"]}}, m="1"), True),
        (published({"x": {}}), None),
        (published({}), None),
    ]
    for _ in range(2):
        for device, expected in cases:
            if expected is None:
                with pytest.raises(SelectorError):
                    selector.matches("d", device)
            else:
                assert selector.matches("d", device) is expected


def test_several_threads_compile_and_match() -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                selector = compile(f"device.attributes['gpu.nvidia.com'].cores > {number * 5 + step}")
                assert selector.matches(DRIVER, DEVICE)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_expressions_of_the_page_compile() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "selectors.md").read_text()
    (block,) = re.findall(r"```cel\n(.*?)```", page, flags=re.DOTALL)
    for line in block.splitlines():
        compile(line)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("device.driver == 'a'", set()),
        ("device.attributes['d'].x == 1", {("attributes", "d", "x")}),
        ("device.attributes['d']['x'] == 1", {("attributes", "d", "x")}),
        ("device.attributes['d'].?x.orValue(1) == 1", {("attributes", "d", "x")}),
        ("device.attributes[device.driver].x == 1", {("attributes", "", "x")}),
        ("'x' in device.attributes['d']", {("attributes", "d", "x")}),
        ("has(device.capacity['d'].x)", {("capacity", "d", "x")}),
        (
            "cel.bind(d, device.attributes['d'], d.x == 1 && d.y == 2)",
            {("attributes", "d", "x"), ("attributes", "d", "y")},
        ),
        (
            "device.attributes['d'].x.exists(x, x == device.attributes['e'].y)",
            {("attributes", "d", "x"), ("attributes", "e", "y")},
        ),
        ("device.attributes['d'].exists(k, k == 'x')", None),
        ("device.attributes['d'] == {}", None),
        ("device == device", None),
        ("device.attributes['d'][device.attributes['d'].x] == 1", None),
        ("device.attributes[device.attributes['d'].x].y == 1", None),
        ("cel.bind(device, device.attributes, device['d'].x == 1)", {("attributes", "d", "x")}),
        ("'d' in device.attributes", None),
    ],
)
def test_what_an_expression_reads(text: str, read: set[tuple[str, str, str]] | None) -> None:
    assert reads(compile(text).program.tree) == read


def test_remembered_answers_are_those_of_devices_that_look_alike() -> None:
    selector = compile("device.attributes['d'].x == 1 || device.capacity['d'].m.isInteger()")
    one = {"m": Capacity(Quantity.parse("1"))}
    devices = [
        Device("a", attributes={"x": 1}),
        Device("b", attributes={"x": True}, capacity=one),
        Device("c", attributes={"x": True}, capacity={"m": Capacity(Quantity.parse("500m"))}),
        Device("d", attributes={"x": (1,)}, capacity=one),
        Device("e", attributes={"x": (True,)}, capacity={"m": Capacity(Quantity.parse("500m"))}),
        Device("f", attributes={"d/x": 1, "y": 5}),
        Device("g"),
    ]
    expected = [True, True, False, True, False, True]
    for _ in range(2):
        *answers, last = selector.matches_all("d", devices)
        assert answers == expected
        assert isinstance(last, SelectorError)
        assert "device g" in str(last)
    assert next(iter(selector.matches_all("e", devices[:1]))) is not True
    assert [selector.evaluate("d", device)[0] for device in devices[:-1]] == expected


def test_a_remembered_failure_names_each_device() -> None:
    selector = compile("device.attributes['d'].x == 1")
    for name in ("a", "b"):
        with pytest.raises(SelectorError, match=f"fails on device {name}: no such key: x"):
            selector.matches("d", Device(name))


@pytest.mark.parametrize(
    ("pattern", "refused"),
    [(r"\C", True), (r"\Q\C\E", False), (r"\\C", False), (r"a\Q\E\C", True), ("\\", True)],
)
def test_single_bytes_are_no_part_of_a_pattern(pattern: str, refused: bool) -> None:
    text = f"'x'.matches(r'{pattern}')"
    if refused:
        with pytest.raises(SelectorError, match="invalid matches argument"):
            compile(text)
    else:
        assert compile(text).evaluate("d", {})[0] is False
