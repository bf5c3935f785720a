"""What is published of each simulated node: exactly the attributes of NVIDIA's own driver."""

from __future__ import annotations

import pytest

from dracore import Quantity, Semver

V = Semver
DRIVER = {"driverVersion": V(580, 95, 5), "cudaDriverVersion": V(13, 0, 0)}

PRODUCTS = {
    "single-t4": ("Tesla T4", "Turing", V(7, 5, 0), "15360Mi", "None"),
    "l40s-x8": ("NVIDIA L40S", "Ada Lovelace", V(8, 9, 0), "46068Mi", "None"),
    "dgx-a100-40": ("NVIDIA A100-SXM4-40GB", "Ampere", V(8, 0, 0), "40Gi", "None"),
    "dgx-a100-80": ("NVIDIA A100-SXM4-80GB", "Ampere", V(8, 0, 0), "80Gi", "None"),
    "dgx-h100": ("NVIDIA H100 80GB HBM3", "Hopper", V(9, 0, 0), "81559Mi", "None"),
    "hgx-h200": ("NVIDIA H200", "Hopper", V(9, 0, 0), "143771Mi", "None"),
    "hgx-b200": ("NVIDIA B200", "Blackwell", V(10, 0, 0), "183359Mi", "None"),
    "gb200-node": ("NVIDIA GB200", "Blackwell", V(10, 0, 0), "189471Mi", "ATS"),
    "gb10": ("NVIDIA GB10", "Blackwell", V(12, 1, 0), None, "ATS"),
}

HGX = [
    ("0000:1b:00.0", "pci0000:15", 0),
    ("0000:43:00.0", "pci0000:3d", 0),
    ("0000:52:00.0", "pci0000:4c", 0),
    ("0000:61:00.0", "pci0000:5b", 0),
    ("0000:9d:00.0", "pci0000:97", 1),
    ("0000:c3:00.0", "pci0000:bd", 1),
    ("0000:d1:00.0", "pci0000:cb", 1),
    ("0000:df:00.0", "pci0000:d9", 1),
]
DGX_A100 = [
    ("0000:07:00.0", "pci0000:00", 3),
    ("0000:0f:00.0", "pci0000:00", 3),
    ("0000:47:00.0", "pci0000:40", 1),
    ("0000:4e:00.0", "pci0000:40", 1),
    ("0000:87:00.0", "pci0000:80", 7),
    ("0000:90:00.0", "pci0000:80", 7),
    ("0000:b7:00.0", "pci0000:b0", 5),
    ("0000:bd:00.0", "pci0000:b0", 5),
]
PLACES = {
    "single-t4": [("0000:00:04.0", "pci0000:00", 0)],
    "l40s-x8": [
        ("0000:18:00.0", "pci0000:15", 0),
        ("0000:19:00.0", "pci0000:15", 0),
        ("0000:3b:00.0", "pci0000:37", 0),
        ("0000:3c:00.0", "pci0000:37", 0),
        ("0000:98:00.0", "pci0000:95", 1),
        ("0000:99:00.0", "pci0000:95", 1),
        ("0000:bb:00.0", "pci0000:b7", 1),
        ("0000:bc:00.0", "pci0000:b7", 1),
    ],
    "dgx-a100-40": DGX_A100,
    "dgx-a100-80": DGX_A100,
    "dgx-h100": HGX,
    "hgx-h200": HGX,
    "hgx-b200": HGX,
    "gb200-node": [
        ("0008:01:00.0", "pci0008:00", 0),
        ("0009:01:00.0", "pci0009:00", 0),
        ("0018:01:00.0", "pci0018:00", 1),
        ("0019:01:00.0", "pci0019:00", 1),
    ],
    "gb10": [("000f:01:00.0", "pci000f:00", 0)],
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_attribute_of_every_node(node, name):
    product, architecture, capability, memory, addressing = PRODUCTS[name]
    under_test = node(name)
    uuids = {gpu.pci.sysfs: gpu.uuid for gpu in under_test.simulator.spec.gpus}

    found = under_test.discover()

    assert found.problems == ()
    assert [device.name for device in found.devices] == [f"gpu-{n}" for n in range(len(PLACES[name]))]
    for device, (bus, root, numa) in zip(found.devices, PLACES[name], strict=True):
        assert device.attributes == DRIVER | {
            "type": "gpu",
            "uuid": uuids[bus],
            "productName": product,
            "brand": "Nvidia",
            "architecture": architecture,
            "cudaComputeCapability": capability,
            "addressingMode": addressing,
            "resource.kubernetes.io/pciBusID": bus,
            "resource.kubernetes.io/pcieRoot": root,
            "resource.kubernetes.io/numaNode": numa,
            "simulated": True,
        }
        types = {name: type(value) for name, value in device.attributes.items()}
        assert types["resource.kubernetes.io/numaNode"] is int
        assert types["simulated"] is bool
        capacity = {key: amount.value for key, amount in device.capacity.items()}
        assert capacity == ({"memory": Quantity.parse(memory)} if memory else {})
        assert all(amount.policy is None for amount in device.capacity.values())
        assert device.kind == "gpu"
        assert device.identity == uuids[bus]
        assert device.occupies == {uuids[bus]: 1}
        assert device.description == (f"{product} {Quantity.parse(memory)}" if memory else product)
        assert device.facts == {
            "uuid": uuids[bus],
            "minor": int(device.name.removeprefix("gpu-")),
            "busId": bus,
        }
        assert not device.taints
        assert not device.consumes


def test_memory_is_published_in_bytes_with_binary_suffix(node):
    device = node("dgx-a100-40").devices()["gpu-0"]
    assert int(device.capacity["memory"].value) == 40 * 2**30
    assert str(device.capacity["memory"].value) == "40Gi"


def test_devices_come_in_bus_order_whatever_their_minors(node, tmp_path):
    """The scheduler takes the first that fits; names follow the minors, which the driver hands out as it
    likes."""
    file = tmp_path / "mixed.yaml"
    file.write_text(
        "description: three GPUs, minors not in bus order\n"
        "source: made up\n"
        "confidence: unconfirmed\n"
        "driver: {version: 580.95.05, cuda: 13000}\n"
        "machine: x86_64\n"
        "numa: {0: 0-7}\n"
        "gpus:\n"
        '  - {product: l40s, pci: "0000:c1:00.0", root: "pci0000:c0", numa: 0, minor: 0}\n'
        '  - {product: l40s, pci: "0000:21:00.0", root: "pci0000:20", numa: 0, minor: 2}\n'
        '  - {product: t4, pci: "0001:01:00.0", root: "pci0001:00", numa: 0, minor: 1}\n'
    )
    found = node(file).discover()
    assert [(d.name, d.facts["busId"]) for d in found.devices] == [
        ("gpu-2", "0000:21:00.0"),
        ("gpu-0", "0000:c1:00.0"),
        ("gpu-1", "0001:01:00.0"),
    ]


def test_a_second_look_finds_the_same(node):
    under_test = node("gb200-node")
    assert under_test.discover().devices == under_test.discover().devices


def test_numa_node_and_root_are_left_out_where_sysfs_has_none(node):
    under_test = node("single-t4")
    device = next((under_test.simulator.sysfs_root / "devices/pci0000:00").iterdir())
    (device / "numa_node").write_text("-1\n")
    link = under_test.simulator.sysfs_root / "bus/pci/devices" / device.name
    link.unlink()
    link.symlink_to("../../../devices/platform/" + device.name)

    attributes = under_test.devices()["gpu-0"].attributes

    assert "resource.kubernetes.io/numaNode" not in attributes
    assert "resource.kubernetes.io/pcieRoot" not in attributes
    assert attributes["resource.kubernetes.io/pciBusID"] == "0000:00:04.0"
