"""/sys, /proc, /dev and the driver's files, as code that reads a real machine finds them."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dracore_nvidia_gpu.sim import Simulation
from dracore_nvidia_gpu.sim.procfs import ci_minor, gi_minor

NODES = ("single-t4", "l40s-x8", "dgx-a100-40", "dgx-h100", "gb200-node", "gb10")


def links(root: Path) -> list[Path]:
    return [
        Path(here, name)
        for here, inner, files in os.walk(root)
        for name in inner + files
        if Path(here, name).is_symlink()
    ]


@pytest.mark.parametrize("node", NODES)
def test_sysfs_leads_from_an_address_to_its_root(simulate: Callable[..., Simulation], node: str) -> None:
    simulation = simulate(node)
    sysfs = simulation.sysfs_root
    for gpu in simulation.spec.gpus:
        device = sysfs / "bus/pci/devices" / gpu.pci.sysfs
        parts = os.readlink(device).split("/")
        assert next(part for part in parts if part.startswith("pci")) == gpu.root
        assert (device / "vendor").read_text() == "0x10de\n"
        assert int((device / "device").read_text(), 16) == gpu.product.pci_device
        assert (device / "class").read_text() == "0x030200\n"
        assert int((device / "numa_node").read_text()) == gpu.numa
        assert (device / "driver").resolve().name == "nvidia"
        assert (device / "iommu_group/devices" / gpu.pci.sysfs).resolve() == device.resolve()
        names = sorted(os.listdir(device / "drm"))
        assert names == [f"card{simulation.spec.card_minor(gpu)}", f"renderD{128 + gpu.position}"]
        assert (device / "drm" / names[1] / "dev").read_text() == f"226:{128 + gpu.position}\n"
    assert links(sysfs)
    assert all(link.exists() for link in links(sysfs))


def test_switches_are_on_the_bus_and_no_gpus(simulate: Callable[..., Simulation]) -> None:
    devices = simulate("dgx-a100-40").sysfs_root / "bus/pci/devices"
    classes = [(devices / name / "class").read_text().strip() for name in os.listdir(devices)]
    assert classes.count("0x030200") == 8
    assert classes.count("0x068000") == 6


def test_proc_tells_versions_majors_and_gpus(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("gb200-node")
    proc = simulation.proc_root
    assert "580.95.05" in (proc / "driver/nvidia/version").read_text()
    assert "simulated" in (proc / "driver/nvidia/version").read_text()
    characters = (proc / "devices").read_text().partition("Block devices:")[0].split("\n")
    majors = dict(reversed(line.split()) for line in characters[1:] if line)
    assert majors["nvidia"] == majors["nvidiactl"] == majors["nvidia-modeset"] == "195"
    assert {"nvidia-uvm", "nvidia-caps", "nvidia-caps-imex-channels"} <= majors.keys()
    gpu = simulation.spec.gpus[3]
    text = (proc / f"driver/nvidia/gpus/{gpu.pci.sysfs}/information").read_text()
    known = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    assert known["GPU UUID"] == gpu.uuid
    assert known["Device Minor"] == "3"
    assert known["Model"] == "NVIDIA GB200"
    assert (proc / "driver/nvidia/capabilities/fabric-imex-mgmt").exists()


def test_capability_minors_are_those_of_the_driver(simulate: Callable[..., Simulation]) -> None:
    """Two pairs that upstream examples print."""
    assert (gi_minor(3, 3) + 4, ci_minor(3, 3, 3)) == (439, 439)
    assert ci_minor(6, 11, 5) == 918
    lines = (simulate("dgx-a100-40").proc_root / "driver/nvidia-caps/mig-minors").read_text().splitlines()
    minors = [int(line.split()[1]) for line in lines]
    assert minors == list(range(1, 3 + 32 * 135))
    assert "gpu6/gi11/ci5/access 918" in lines


def test_partitions_appear_and_go(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("dgx-a100-40")
    node, uuid = simulation.node, simulation.spec.gpus[1].uuid
    folder = simulation.proc_root / "driver/nvidia/capabilities/gpu1/mig"
    assert not folder.exists()
    node.set_mig_mode(uuid, 1)
    made = node.create_partition("1", "1g.5gb")
    gi, ci = gi_minor(1, made.id), ci_minor(1, made.id, 0)
    assert (folder / f"gi{made.id}/access").read_text().startswith(f"DeviceFileMinor: {gi}\n")
    assert (folder / f"gi{made.id}/ci0/access").read_text().startswith(f"DeviceFileMinor: {ci}\n")
    caps = simulation.spec.majors.caps
    nodes = simulation.dev
    assert [
        (nodes[f"/dev/nvidia-caps/nvidia-cap{m}"].major, nodes[f"/dev/nvidia-caps/nvidia-cap{m}"].minor)
        for m in (gi, ci)
    ] == [(caps, gi), (caps, ci)]
    with node.partition(uuid) as (_, now):
        now.instances.clear()
    assert not folder.exists()
    assert f"/dev/nvidia-caps/nvidia-cap{gi}" not in simulation.dev


def test_a_removed_gpu_leaves_the_bus(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("dgx-a100-40")
    simulation.node.remove("0")
    address = simulation.spec.gpus[0].pci.sysfs
    left = [p for p in links(simulation.sysfs_root) if address in str(p)]
    assert left == []
    assert not (simulation.proc_root / f"driver/nvidia/gpus/{address}").exists()
    assert "/dev/nvidia0" not in simulation.dev
    simulation.node.lose("1")
    assert (simulation.sysfs_root / "bus/pci/devices" / simulation.spec.gpus[1].pci.sysfs).exists()
    simulation.node.clear()
    assert (simulation.sysfs_root / "bus/pci/devices" / address / "numa_node").exists()


def test_without_the_driver_the_kernel_shows_devices_only(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("dgx-a100-40")
    simulation.node.set_driver(loaded=False)
    assert "nvidia" not in (simulation.proc_root / "devices").read_text()
    assert not (simulation.proc_root / "driver").exists()
    assert not (simulation.sysfs_root / "module/nvidia").exists()
    device = simulation.sysfs_root / "bus/pci/devices" / simulation.spec.gpus[0].pci.sysfs
    assert (device / "vendor").exists()
    assert not (device / "driver").is_symlink()
    assert simulation.dev == {}


@pytest.mark.parametrize(
    ("node", "libdir"), [("dgx-h100", "x86_64-linux-gnu"), ("gb10", "aarch64-linux-gnu")]
)
def test_a_driver_root_has_what_containers_get(
    simulate: Callable[..., Simulation], node: str, libdir: str
) -> None:
    simulation = simulate(node)
    root = simulation.driver_root
    libraries = root / "usr/lib" / libdir
    for name in ("libcuda", "libnvidia-ml"):
        assert (libraries / f"{name}.so.1").resolve() == (libraries / f"{name}.so.580.95.05").resolve()
        assert "simulated" in (libraries / f"{name}.so.1").read_text()
    assert os.readlink(libraries / "libcuda.so") == "libcuda.so.1"
    assert (libraries / "vdpau/libvdpau_nvidia.so.1").exists()
    assert (root / "lib/firmware/nvidia/580.95.05/gsp_ga10x.bin").is_file()
    assert stat.S_ISSOCK((root / "run/nvidia-persistenced/socket").stat().st_mode)
    assert (root / "run/nvidia-fabricmanager/socket").exists() == bool(simulation.spec.nvswitches)
    said = subprocess.run([root / "usr/bin/nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    assert "simulated by dracore" in said.stdout


def test_no_device_node_is_made_anywhere(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("dgx-h100")
    for here, _, files in os.walk(simulation.state_dir):
        for name in files:
            mode = os.lstat(os.path.join(here, name)).st_mode
            assert not stat.S_ISCHR(mode)
            assert not stat.S_ISBLK(mode)
    assert simulation.dev["/dev/nvidia3"].major == 195
    assert simulation.dev["/dev/nvidiactl"].minor == 255
    by_path = simulation.dev_root / "dev/dri/by-path/pci-0000:1b:00.0-card"
    assert os.readlink(by_path) == "../card1"


def snapshot(simulation: Simulation) -> dict[str, tuple[int, int]]:
    found = {}
    for root in (simulation.driver_root, simulation.sysfs_root, simulation.proc_root):
        for here, inner, files in os.walk(root):
            for name in inner + files:
                entry = os.lstat(os.path.join(here, name))
                found[os.path.join(here, name)] = (entry.st_ino, entry.st_mtime_ns)
    return found


def test_rendering_again_touches_nothing(simulate: Callable[..., Simulation]) -> None:
    first = snapshot(simulate("dgx-h100"))
    assert len(first) > 300
    assert snapshot(simulate("dgx-h100")) == first


def test_rendering_repairs_and_leaves_what_others_put_there(simulate: Callable[..., Simulation]) -> None:
    simulation = simulate("single-t4")
    hook = simulation.driver_root / "usr/bin/nvidia-cdi-hook"
    hook.write_text("mine")
    smi = simulation.driver_root / "usr/bin/nvidia-smi"
    smi.unlink()
    version = simulation.proc_root / "driver/nvidia/version"
    version.write_text("garbage")
    again = simulate("single-t4")
    assert hook.read_text() == "mine"
    assert os.access(smi, os.X_OK)
    assert "580.95.05" in version.read_text()
    again.node.reload_driver("590.10")
    libraries = again.driver_root / again.spec.libdir
    assert sorted(p.name for p in libraries.glob("libcuda.so*")) == [
        "libcuda.so",
        "libcuda.so.1",
        "libcuda.so.590.10",
    ]
    assert not (again.driver_root / "lib/firmware/nvidia/580.95.05").exists()
    assert hook.exists()
