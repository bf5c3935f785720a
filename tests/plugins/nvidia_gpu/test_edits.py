"""What containers get: the content of NVIDIA's CDI generator for full GPUs, on rendered driver roots."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from dracore_nvidia_gpu.cdihook import HookSearch
from dracore_nvidia_gpu.common import CommonEdits
from dracore_nvidia_gpu.devnodes import DeviceNodes
from dracore_nvidia_gpu.driverroot import Root

from dracore import ContainerEdits, DeviceNode

GOLDEN = Path(__file__).parent / "golden"
LIBDIR = "/usr/lib/x86_64-linux-gnu"


def plain(edits: ContainerEdits, root: Path) -> dict:
    """The edits without order and without the folder that the test was given."""

    def path(text):
        return text.replace(str(root), "$ROOT")

    return {
        "env": dict(edits.env),
        "nodes": sorted(
            f"{node.path} {node.type} {node.major}:{node.minor}"
            if node.type
            else f"{node.path} from {path(node.host_path) or node.path}"
            for node in edits.device_nodes
        ),
        "mounts": sorted(
            f"{path(mount.host_path)} -> {mount.container_path} ({','.join(mount.options)})"
            for mount in edits.mounts
        ),
        "hooks": sorted(
            f"{hook.name} {path(hook.path)}: {' '.join(map(path, hook.args))} [{' '.join(hook.env)}]"
            for hook in edits.hooks
        ),
    }


def put_hook(driver_root: Path, name: str = "nvidia-cdi-hook") -> Path:
    hook = driver_root / "usr/bin" / name
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    return hook


# --- golden -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", [False, True], ids=["without hook", "with hook"])
@pytest.mark.parametrize("name", ["dgx-h100", "gb200-node"])
def test_golden(node, name, hook):
    under_test = node(name)
    if hook:
        put_hook(under_test.driver_root)
    prepared = under_test.prepare(under_test.devices()["gpu-2"])

    expected = json.loads((GOLDEN / f"{name}{'-hook' if hook else ''}.json").read_text())

    assert plain(prepared.common, under_test.driver_root) == expected["common"]
    assert plain(prepared.edits, under_test.driver_root) == expected["edits"]


def test_every_library_of_the_version_is_mounted_and_nothing_of_another(node):
    under_test = node("dgx-h100")
    libdir = under_test.driver_root / LIBDIR[1:]
    (libdir / "libcuda.so.570.1.1").write_text("an older driver's")
    (libdir / "libc.so.6").write_text("not the driver's")
    prepared = under_test.prepare(under_test.devices()["gpu-0"])
    mounted = {m.container_path for m in prepared.common.mounts if m.container_path.startswith(LIBDIR)}
    of_version = {f"{LIBDIR}/{f.name}" for f in libdir.glob("*.so.580.95.05")}
    assert of_version <= mounted
    assert f"{LIBDIR}/libcuda.so.570.1.1" not in mounted
    assert f"{LIBDIR}/libc.so.6" not in mounted


def test_facts_name_the_hardware(node):
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-6"]
    assert under_test.prepare(device).facts == {
        "uuid": device.identity,
        "minor": 6,
        "busId": "0000:d1:00.0",
    }


def test_a_gpu_without_drm_nodes_gets_its_node_alone(node):
    under_test = node("single-t4")
    folder = under_test.simulator.sysfs_root / "devices/pci0000:00/0000:00:04.0/drm"
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    folder.rmdir()
    prepared = under_test.prepare(under_test.devices()["gpu-0"])
    assert prepared.edits == ContainerEdits(
        device_nodes=(DeviceNode("/dev/nvidia0", type="c", major=195, minor=0),)
    )


# --- what is kept -------------------------------------------------------------------------------------


@pytest.fixture
def distrustful(monkeypatch):
    """Files are looked at by every prepare."""
    monkeypatch.setattr("dracore_nvidia_gpu.common.TRUST_SECONDS", 0.0)


def test_files_are_trusted_for_half_a_second(installation, tmp_path):
    now = [100.0]
    nodes = DeviceNodes(installation, str(tmp_path))
    edits = CommonEdits(
        installation, nodes, HookSearch(installation, own_host=False), str(tmp_path), clock=lambda: now[0]
    )
    first = edits.get("550.54.15", 1)
    (Path(installation.here) / "usr/lib64/libnvidia-new.so.550.54.15").write_text("x")
    now[0] += 0.4
    assert edits.get("550.54.15", 1) is first
    now[0] += 0.2
    assert len(edits.get("550.54.15", 1).edits.mounts) == len(first.edits.mounts) + 1
    (Path(installation.here) / "usr/lib64/libnvidia-newer.so.550.54.15").write_text("x")
    after_reload = edits.get("550.54.15", 2)
    assert len(after_reload.edits.mounts) == len(first.edits.mounts) + 2


def test_edits_are_the_same_objects_while_nothing_changes(node):
    """The core writes identical common edits once, and compares them by identity first."""
    under_test = node("dgx-h100")
    devices = under_test.devices()
    first, second = under_test.prepare(devices["gpu-0"]), under_test.prepare(devices["gpu-1"])
    again = under_test.prepare(devices["gpu-0"])
    assert first.common is second.common is again.common
    assert first.edits is again.edits
    assert first.edits != second.edits


def test_a_file_that_appears_is_mounted_by_the_next_prepare(node, distrustful):
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-0"]
    before = under_test.prepare(device)
    (under_test.driver_root / LIBDIR[1:] / "libnvidia-new.so.580.95.05").write_text("x")
    after = under_test.prepare(device)
    new = {m.container_path for m in after.common.mounts} - {m.container_path for m in before.common.mounts}
    assert new == {f"{LIBDIR}/libnvidia-new.so.580.95.05"}


def test_a_socket_that_disappears_is_not_mounted_by_the_next_prepare(node, distrustful):
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-0"]
    socket = "/run/nvidia-persistenced/socket"
    mounts = {m.container_path: m for m in under_test.prepare(device).common.mounts}
    assert "noexec" in mounts[socket].options
    (under_test.driver_root / socket[1:]).unlink()
    assert socket not in {m.container_path for m in under_test.prepare(device).common.mounts}


def test_hooks_are_used_as_soon_as_the_toolkit_is_installed(node, distrustful):
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-0"]
    assert under_test.prepare(device).common.hooks == ()
    put_hook(under_test.driver_root)
    prepared = under_test.prepare(device)
    assert {hook.args[1] for hook in prepared.common.hooks} == {
        "create-symlinks",
        "enable-cuda-compat",
        "update-ldcache",
        "disable-device-node-modification",
    }
    assert [hook.args[1] for hook in prepared.edits.hooks] == ["create-symlinks"]


def test_drm_nodes_that_appear_are_given_by_the_next_prepare(node):
    under_test = node("single-t4")
    device = under_test.devices()["gpu-0"]
    under_test.prepare(device)
    extra = under_test.simulator.sysfs_root / "devices/pci0000:00/0000:00:04.0/drm/card7"
    extra.mkdir()
    (extra / "dev").write_text("226:7\n")
    nodes = {n.path: (n.major, n.minor) for n in under_test.prepare(device).edits.device_nodes}
    assert nodes["/dev/dri/card7"] == (226, 7)


# --- hooks --------------------------------------------------------------------------------------------


def test_without_the_program_links_are_mounted_and_no_variable_points_at_libraries(node):
    under_test = node("dgx-h100")
    prepared = under_test.prepare(under_test.devices()["gpu-0"])
    mounts = {m.container_path: m.host_path for m in prepared.common.mounts}
    library = str(under_test.driver_root / LIBDIR[1:] / "libcuda.so.580.95.05")
    assert mounts[f"{LIBDIR}/libcuda.so"] == mounts[f"{LIBDIR}/libcuda.so.1"] == library
    assert "LD_LIBRARY_PATH" not in prepared.common.env


def test_what_containers_miss_without_the_program_is_said_on_real_nodes(installation, tmp_path):
    (problem,) = common_of(installation, installation, tmp_path).problems
    assert problem.startswith("nvidia-cdi-hook was not found under the driver root: ")
    assert problem.endswith("install the NVIDIA container toolkit or set nvidiaCdiHookPath")


def test_with_the_program_links_are_its_affair(node):
    under_test = node("dgx-h100")
    put_hook(under_test.driver_root)
    prepared = under_test.prepare(under_test.devices()["gpu-0"])
    assert f"{LIBDIR}/libcuda.so.1" not in {m.container_path for m in prepared.common.mounts}
    (links,) = (h.args for h in prepared.common.hooks if h.args[1] == "create-symlinks")
    assert "libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so" in links
    assert "libcuda.so.580.95.05::/usr/lib/x86_64-linux-gnu/libcuda.so.1" in links


def test_hooks_can_be_left_out(node):
    under_test = node("dgx-h100", disabledHooks=["enable-cuda-compat", "disable-device-node-modification"])
    put_hook(under_test.driver_root)
    prepared = under_test.prepare(under_test.devices()["gpu-0"])
    assert {hook.args[1] for hook in prepared.common.hooks} == {"create-symlinks", "update-ldcache"}


def test_the_toolkits_own_program_takes_another_first_argument(node, tmp_path):
    program = tmp_path / "nvidia-ctk"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    search = HookSearch(Root(), str(program))
    found, why = search.find()
    assert why == ""
    assert found.disable_device_node_modification()[0].args == (
        "nvidia-ctk",
        "hook",
        "disable-device-node-modification",
    )


def test_a_configured_program_that_is_not_there_is_said(tmp_path):
    found, why = HookSearch(Root(), str(tmp_path / "nvidia-cdi-hook")).find()
    assert found is None
    assert why == f"nvidiaCdiHookPath {tmp_path}/nvidia-cdi-hook is not a program on this node"


def test_a_configured_program_that_this_process_cannot_see_is_believed(tmp_path):
    search = HookSearch(
        Root("/run/nvidia/driver", str(tmp_path)), "/opt/toolkit/nvidia-cdi-hook", own_host=False
    )
    assert search.find()[0].path == "/opt/toolkit/nvidia-cdi-hook"


def test_a_configured_program_under_the_driver_root_is_checked_where_it_is_seen(tmp_path):
    search = HookSearch(
        Root("/run/nvidia/driver", str(tmp_path)), "/run/nvidia/driver/bin/nvidia-cdi-hook", own_host=False
    )
    assert search.find()[0] is None
    hook = tmp_path / "bin/nvidia-cdi-hook"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    assert search.find()[0].path == "/run/nvidia/driver/bin/nvidia-cdi-hook"


def test_the_path_is_searched_only_where_it_is_the_hosts(tmp_path, monkeypatch):
    program = tmp_path / "bin/nvidia-cdi-hook"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    root = Root("/driver", str(tmp_path / "driver"))
    assert HookSearch(root).find()[0].path == str(program)
    assert HookSearch(root, own_host=False).find()[0] is None


# --- roots --------------------------------------------------------------------------------------------


@pytest.fixture
def installation(tmp_path):
    """A driver in a folder of its own, as the GPU operator has it, seen under another path."""
    here = tmp_path / "driver-root"
    libdir = here / "usr/lib64"
    libdir.mkdir(parents=True)
    for name in ("libcuda.so.550.54.15", "libnvidia-ml.so.550.54.15"):
        (libdir / name).write_text("x")
    (libdir / "libcuda.so.1").symlink_to("/usr/lib64/libcuda.so.550.54.15")
    (here / "usr/bin").mkdir()
    (here / "usr/bin/nvidia-smi").write_text("x")
    (here / "usr/bin/nvidia-smi").chmod(0o755)
    return Root("/run/nvidia/driver", str(here))


def common_of(root, dev, proc, version="550.54.15"):
    nodes = DeviceNodes(dev, str(proc))
    return CommonEdits(root, nodes, HookSearch(root, own_host=False), str(proc)).get(version, 1)


def test_containers_get_paths_without_the_root_and_the_host_gets_its_own(installation, tmp_path):
    common = common_of(installation, installation, tmp_path)
    mounts = {m.container_path: m.host_path for m in common.edits.mounts}
    assert mounts == {
        "/usr/lib64/libcuda.so.550.54.15": "/run/nvidia/driver/usr/lib64/libcuda.so.550.54.15",
        "/usr/lib64/libcuda.so.1": "/run/nvidia/driver/usr/lib64/libcuda.so.550.54.15",
        "/usr/lib64/libcuda.so": "/run/nvidia/driver/usr/lib64/libcuda.so.550.54.15",
        "/usr/lib64/libnvidia-ml.so.550.54.15": "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.550.54.15",
        "/usr/bin/nvidia-smi": "/run/nvidia/driver/usr/bin/nvidia-smi",
    }
    assert common.edits.env == {
        "NVIDIA_VISIBLE_DEVICES": "void",
        "NVIDIA_CTK_LIBCUDA_DIR": "/usr/lib64",
    }


def test_nodes_of_another_root_say_where_the_host_has_them(installation, tmp_path):
    """A link to a real character device stands for the node: this test may not make one."""
    dev = Path(installation.here) / "dev"
    dev.mkdir()
    (dev / "nvidiactl").symlink_to("/dev/null")
    common = common_of(installation, installation, tmp_path)
    assert common.edits.device_nodes == (
        DeviceNode("/dev/nvidiactl", host_path="/run/nvidia/driver/dev/nvidiactl"),
    )


def test_nodes_of_the_host_stand_by_their_path():
    nodes = DeviceNodes(Root())
    assert nodes.node("/dev/null", 1, 3) == DeviceNode("/dev/null")


def test_numbers_come_from_the_kernel_where_no_node_is_made_yet(installation, tmp_path):
    (tmp_path / "devices").write_text(
        "Character devices:\n  1 mem\n195 nvidia-frontend\n508 nvidia-uvm\n\n"
        "Block devices:\n  8 nvidia-modeset\n"
    )
    common = common_of(installation, installation, tmp_path)
    assert set(common.edits.device_nodes) == {
        DeviceNode("/dev/nvidiactl", type="c", major=195, minor=255),
        DeviceNode("/dev/nvidia-uvm", type="c", major=508, minor=0),
        DeviceNode("/dev/nvidia-uvm-tools", type="c", major=508, minor=1),
    }


def test_libraries_of_another_version_are_said(installation, tmp_path):
    common = common_of(installation, installation, tmp_path, "580.95.05")
    assert common.problems[0] == (
        "the driver 580.95.05 is loaded, but /run/nvidia/driver has libraries of version 550.54.15: "
        "reload the driver, or set driverRoot to where its libraries are"
    )


def test_no_libraries_at_all_are_said(tmp_path):
    root = Root("/run/nvidia/driver", str(tmp_path / "empty"))
    common = common_of(root, root, tmp_path)
    assert common.problems[0] == ("no libraries of driver 550.54.15 under /run/nvidia/driver: set driverRoot")


def test_firmware_comes_from_the_first_folder_that_has_it(installation, tmp_path):
    here = Path(installation.here)
    for folder in ("lib/firmware/updates", "lib/firmware", "opt/firmware"):
        (here / folder / "nvidia/550.54.15").mkdir(parents=True)
        (here / folder / "nvidia/550.54.15/gsp_ga10x.bin").write_text(folder)

    def firmware():
        common = common_of(installation, installation, tmp_path)
        return [m.container_path for m in common.edits.mounts if "gsp" in m.container_path]

    assert firmware() == ["/lib/firmware/updates/nvidia/550.54.15/gsp_ga10x.bin"]
    own = tmp_path / "module/firmware_class/parameters/path"
    own.parent.mkdir(parents=True)
    own.write_text("/opt/firmware\n")
    assert firmware() == ["/opt/firmware/nvidia/550.54.15/gsp_ga10x.bin"]


def test_a_configuration_in_etc_hides_that_of_usr_share(installation, tmp_path):
    here = Path(installation.here)
    for folder in ("etc", "usr/share"):
        (here / folder / "vulkan/icd.d").mkdir(parents=True)
        (here / folder / "vulkan/icd.d/nvidia_icd.json").write_text("{}")
    common = common_of(installation, installation, tmp_path)
    vulkan = [m.host_path for m in common.edits.mounts if "vulkan" in m.container_path]
    assert vulkan == ["/run/nvidia/driver/etc/vulkan/icd.d/nvidia_icd.json"]


def test_no_host_node_is_made_for_a_simulated_gpu(node):
    under_test = node("dgx-h100")
    under_test.prepare(under_test.devices()["gpu-0"])
    for folder, _, names in os.walk(under_test.state_dir):
        for name in names:
            mode = os.lstat(os.path.join(folder, name)).st_mode
            assert not stat.S_ISCHR(mode)
            assert not stat.S_ISBLK(mode)
