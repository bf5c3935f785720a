"""Reading sysfs."""

from __future__ import annotations

import pytest
from dracore_nvidia_gpu.pci import DrmNode, Pci, bus_id, bus_order


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:07:00.0", "0000:07:00.0"),
        ("0000:1B:00.0", "0000:1b:00.0"),
        ("00000008:01:00.0", "0008:01:00.0"),
        ("0000000F:01:00.0", "000f:01:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
    ],
)
def test_addresses_are_written_as_sysfs_does(text, address):
    assert bus_id(text) == address


@pytest.mark.parametrize("text", ["", "07:00.0", "0000:07:00", "0000:07:00.9", "GPU-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="is not a PCI address"):
        bus_id(text)


def test_addresses_are_ordered_by_number():
    order = ["0000:09:00.0", "0000:10:00.0", "0009:01:00.0", "000f:01:00.0", "10000:01:00.0"]
    assert sorted([order[i] for i in (3, 0, 4, 1, 2)], key=bus_order) == order


@pytest.fixture
def sysfs(tmp_path):
    def device(address, path, **files):
        folder = tmp_path / "devices" / path / address
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        link = tmp_path / "bus/pci/devices" / address
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../devices/{path}/{address}")
        return folder

    device.pci = Pci(str(tmp_path))
    return device


def test_the_root_is_the_first_of_the_path(sysfs):
    sysfs("0000:1b:00.0", "pci0000:15/0000:15:01.0/0000:16:00.0")
    assert sysfs.pci.pcie_root("0000:1b:00.0") == "pci0000:15"
    sysfs("10000:e1:00.0", "pci0000:e0/0000:e0:06.0/pci10000:e0/10000:e0:00.0")
    assert sysfs.pci.pcie_root("10000:e1:00.0") == "pci0000:e0"
    assert sysfs.pci.pcie_root("0000:ff:00.0") is None


@pytest.mark.parametrize(("text", "node"), [("1\n", 1), ("0\n", 0), ("-1\n", None), ("x\n", None)])
def test_numa_node(sysfs, text, node):
    sysfs("0000:1b:00.0", "pci0000:15", numa_node=text)
    assert sysfs.pci.numa_node("0000:1b:00.0") == node


def test_numa_node_of_a_device_without_the_file(sysfs):
    sysfs("0000:1b:00.0", "pci0000:15")
    assert sysfs.pci.numa_node("0000:1b:00.0") is None


def test_gpus_are_display_controllers_of_the_vendor(sysfs):
    sysfs("0000:c4:00.0", "pci0000:c0", vendor="0x10de\n", **{"class": "0x068000\n"})  # an NVSwitch
    sysfs("0000:03:00.0", "pci0000:00", vendor="0x1a03\n", **{"class": "0x030000\n"})  # another vendor's
    sysfs("0000:1b:00.0", "pci0000:15", vendor="0x10de\n", **{"class": "0x030200\n"})
    sysfs("0000:0a:00.0", "pci0000:00", vendor="0x10de\n", **{"class": "0x030000\n"})
    assert sysfs.pci.gpus() == ("0000:0a:00.0", "0000:1b:00.0")


def test_drm_nodes_with_their_numbers(sysfs):
    folder = sysfs("0000:1b:00.0", "pci0000:15")
    for name, numbers in (("renderD129", "226:129\n"), ("card2", "226:2\n"), ("card2-DP-1", "226:9\n")):
        (folder / "drm" / name).mkdir(parents=True)
        (folder / "drm" / name / "dev").write_text(numbers)
    (folder / "drm" / "card10").mkdir()
    assert sysfs.pci.drm_nodes("0000:1b:00.0") == (
        DrmNode("card10", None, None),
        DrmNode("card2", 226, 2),
        DrmNode("renderD129", 226, 129),
    )
    assert sysfs.pci.drm_nodes("0000:ff:00.0") == ()


def test_the_bound_driver(sysfs):
    folder = sysfs("0000:1b:00.0", "pci0000:15")
    assert sysfs.pci.driver("0000:1b:00.0") is None
    (folder / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    assert sysfs.pci.driver("0000:1b:00.0") == "vfio-pci"
