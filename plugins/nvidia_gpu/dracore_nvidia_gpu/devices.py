"""What is published of a GPU: the attributes of NVIDIA's own driver, so that selectors for it match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dracore import Capacity, Device, Quantity, Semver, Taint
from dracore_nvidia_gpu.gpu import Gpu, Identity

LOST = Taint("gpu.nvidia.com/gpu-lost", "NoSchedule")
"""On a GPU that fell off the bus; running containers are left to find out by themselves."""

_STRING_LIMIT = 64  # of an attribute's value, resource.k8s.io/v1


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """The loaded driver. `cuda` is NVML's number: 13000 is 13.0. None: the query failed."""

    version: str | None = None
    cuda: int | None = None

    @property
    def cuda_text(self) -> str | None:
        return None if self.cuda is None else f"{self.cuda // 1000}.{self.cuda % 1000 // 10}"


def gpu_device(gpu: Gpu, driver: DriverInfo, *, simulated: bool, problems: list[str]) -> Device:
    """The device of a healthy GPU; a version that cannot be read is left out and said in `problems`."""

    def version(name: str, text: str | None) -> Semver | None:
        return _convert(name, text, Semver.coerce, gpu.identity, problems)

    attributes: dict[str, Any] = {
        **_identity_attributes(gpu.identity, gpu.product),
        "brand": gpu.brand,
        "architecture": gpu.architecture,
        "cudaComputeCapability": version("cudaComputeCapability", gpu.compute_capability),
        "driverVersion": version("driverVersion", driver.version),
        "cudaDriverVersion": version("cudaDriverVersion", driver.cuda_text),
        "addressingMode": gpu.addressing_mode or None,
        "resource.kubernetes.io/pcieRoot": gpu.pcie_root,
        "resource.kubernetes.io/numaNode": gpu.numa_node,
        "simulated": True if simulated else None,
    }
    memory = None if gpu.memory is None else Quantity.bytes(gpu.memory)
    return Device(
        name=gpu.identity.device,
        kind="gpu",
        attributes={name: value for name, value in attributes.items() if value is not None},
        capacity={} if memory is None else {"memory": Capacity(memory)},
        identity=gpu.identity.uuid,
        description=" ".join([gpu.product or "NVIDIA GPU", *([] if memory is None else [str(memory)])]),
        occupies={gpu.identity.uuid: 1},
        facts=_facts(gpu.identity),
    )


def lost_device(identity: Identity, product: str, *, simulated: bool) -> Device:
    """The device of a GPU that was lost before this process ever saw it well."""
    attributes = _identity_attributes(identity, product or None) | ({"simulated": True} if simulated else {})
    return Device(
        name=identity.device,
        kind="gpu",
        attributes={name: value for name, value in attributes.items() if value is not None},
        identity=identity.uuid,
        description=product,
        occupies={identity.uuid: 1},
        taints=(LOST,),
        facts=_facts(identity),
    )


def _identity_attributes(identity: Identity, product: str | None) -> dict[str, Any]:
    return {
        "type": "gpu",
        "uuid": identity.uuid,
        "productName": product[:_STRING_LIMIT] if product else None,
        "resource.kubernetes.io/pciBusID": identity.bus_id,
    }


def _facts(identity: Identity) -> dict[str, Any]:
    return {"uuid": identity.uuid, "minor": identity.minor, "busId": identity.bus_id}


def _convert(
    name: str, text: str | None, parse: Callable[[str], Semver], identity: Identity, problems: list[str]
) -> Semver | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        problems.append(f"{identity}: no {name}, {text!r} is not a version")
        return None
