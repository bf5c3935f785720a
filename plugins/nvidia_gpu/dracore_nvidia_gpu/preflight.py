"""Checks of a node with a verdict that a person can act on."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dracore import Check
from dracore_nvidia_gpu.driverroot import find_nvml
from dracore_nvidia_gpu.gpus import Gpus

_PERSISTENCED = "/run/nvidia-persistenced/socket"
_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm")


def checks(gpus: Gpus) -> Iterator[Check]:
    """The checks, in the order in which one depends on another."""
    root = gpus.places.driver
    there = os.path.isdir(root.here)
    yield Check(
        "driver root",
        there,
        f"{root.host} is there" if there else f"{root.here} is no folder",
        ""
        if there
        else "set driverRoot (and driverRootMount, in a container) to where the driver is installed",
    )
    yield _library(gpus)
    yield _gpus(gpus)
    yield _nodes(gpus)
    common = gpus.current_common()
    yield Check(
        "driver files",
        bool(common.edits.mounts),
        f"{len(common.edits.mounts)} files of driver {common.version}",
        "" if common.edits.mounts else "install the driver's libraries, or set driverRoot",
    )
    program, why = gpus.hooks.find()
    if program is None and not gpus.hooks.needed:
        yield Check("nvidia-cdi-hook", True, "not needed, hardware is simulated")
    else:
        yield Check(
            "nvidia-cdi-hook",
            program is not None,
            program.path if program else why,
            "" if program else "install the NVIDIA container toolkit, or set nvidiaCdiHookPath",
        )
    running = os.path.exists(root.path_here(_PERSISTENCED))
    yield Check(
        "nvidia-persistenced",
        running,
        "is running"
        if running
        else "does not run: a GPU that nobody uses is shut down, and the next container waits for it",
        "" if running else "start nvidia-persistenced",
    )


def _library(gpus: Gpus) -> Check:
    found = find_nvml(gpus.places.driver)
    if found is None and not gpus.simulated:
        return Check(
            "NVML",
            False,
            f"no libnvidia-ml.so.1 under {gpus.places.driver.host}",
            "install NVIDIA's driver, or set driverRoot",
        )
    view = gpus.session.view
    if view.nvml is None:
        return Check(
            "NVML", False, view.problem or "nobody has looked yet", "load the driver: modprobe nvidia"
        )
    where = "simulated" if found is None or gpus.simulated else found.host
    return Check("NVML", True, f"{where}, driver {view.driver.version}")


def _gpus(gpus: Gpus) -> Check:
    view = gpus.session.view
    lost = sum(known.lost for known in view.known.values())
    offered = len(view.known) - len(view.withheld) - lost
    message = f"{offered} offered, {len(view.withheld)} withheld, {lost} lost"
    on_bus = len(gpus.pci.gpus())
    if on_bus > len(view.known):
        others = {gpus.pci.driver(address) or "no driver" for address in gpus.pci.gpus()} - {"nvidia"}
        message += f"; {on_bus} on the PCI bus" + (
            f", some with {', '.join(sorted(others))}" if others else ""
        )
    good = offered > 0 and not lost and not view.withheld
    return Check("GPUs", good, message, "" if good else "see the degradations of this driver")


def _nodes(gpus: Gpus) -> Check:
    control = {node.path: node for node in gpus.nodes.control()}
    missing = [path for path in _NODES if path not in control]
    made = [node.path for node in control.values() if node.major is not None]
    if missing:
        return Check(
            "device nodes",
            False,
            f"{', '.join(missing)} missing, and the kernel modules that serve them",
            "run nvidia-modprobe -c 0 -u, or set devRoot to where the driver makes its nodes",
        )
    message = f"{', '.join(sorted(control))}"
    return Check(
        "device nodes",
        True,
        message + (f" (not made yet, given by number: {', '.join(made)})" if made else ""),
    )
