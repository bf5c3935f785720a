"""What is beside a GPU: CPUs, other GPUs, NVLink, fabric."""

from __future__ import annotations

import uuid
from ctypes import c_ulong, c_void_p, sizeof
from typing import Any

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import FABRIC_STATES, GpuSpec, PciAddress, cpus
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    GPU,
    OUT_INT,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
    Versioned,
)
from dracore_nvidia_gpu.sim.skin.session import GpuHandle
from dracore_nvidia_gpu.sim.skin.structs import (
    FabricInfo,
    FabricInfoV2,
    FabricInfoV3,
    FabricInfoV4,
    PciInfo,
)

INTERNAL, SINGLE, MULTIPLE, HOSTBRIDGE, NODE, SYSTEM = 0, 10, 20, 30, 40, 50
"""NVML_TOPOLOGY_*."""
P2P_NVLINK = 2
P2P_OK, P2P_NOT_SUPPORTED = 0, 5
REMOTE_SWITCH = 2
HEALTHY_MASK = 2 | 2 << 2 | 2 << 4 | 2 << 6 | 1 << 8
"""Bandwidth degraded, route recovering, route unhealthy, access timeout: FALSE; wrong configuration: none."""
HEALTHY = 1
SCOPE_NODE = 0
WORD = sizeof(c_ulong) * 8

exports = Exports()


# --- CPUs ---------------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetCpuAffinity", GPU, UINT, ADDRESS)
def cpu_affinity(call: Call, device: Device, words: int, out: int | None) -> None:
    cpulist = call.node.spec.numa.get(device.spec.numa)
    if cpulist is None:
        raise Refused(Code.NOT_SUPPORTED)
    _bits(out, words, cpus(cpulist))


@exports.add("nvmlDeviceGetCpuAffinityWithinScope", GPU, UINT, ADDRESS, UINT)
def cpu_affinity_within(call: Call, device: Device, words: int, out: int | None, scope: int) -> None:
    _in_node_scope(scope)
    cpu_affinity(call, device, words, out)


@exports.add("nvmlDeviceGetMemoryAffinity", GPU, UINT, ADDRESS, UINT)
def memory_affinity(call: Call, device: Device, words: int, out: int | None, scope: int) -> None:
    _in_node_scope(scope)
    if device.spec.numa < 0:
        raise Refused(Code.NOT_SUPPORTED)
    _bits(out, words, {device.spec.numa})


def _in_node_scope(scope: int) -> None:
    """Sockets are not in the data; only the NUMA scope is."""
    if scope != SCOPE_NODE:
        raise Refused(Code.NOT_SUPPORTED if scope == 1 else Code.INVALID_ARGUMENT)


def _bits(out: int | None, words: int, members: set[int]) -> None:
    """Members that do not fit are left out, as NVML does."""
    if not out or words == 0:
        raise Refused(Code.INVALID_ARGUMENT)
    array = (c_ulong * words).from_address(out)
    for word in range(words):
        array[word] = sum(1 << m % WORD for m in members if m // WORD == word)


# --- other GPUs ---------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetTopologyCommonAncestor", GPU, GPU, OUT_UINT)
def common_ancestor(call: Call, one: Device, other: Device, out: Any) -> None:
    out.value = _level(one.spec, other.spec)


@exports.add("nvmlDeviceGetTopologyNearestGpus", GPU, UINT, OUT_UINT, ADDRESS)
def nearest_gpus(call: Call, device: Device, level: int, count: Any, out: int | None) -> None:
    near = [
        gpu
        for gpu in call.node.visible(call.state)
        if gpu is not device.spec and _level(gpu, device.spec) == level
    ]
    if out is not None and count.value:
        near = near[: count.value]
        array = (c_void_p * len(near)).from_address(out)
        for position, gpu in enumerate(near):
            array[position] = call.session.hand_out(GpuHandle(gpu.uuid))
    count.value = len(near)


@exports.add("nvmlDeviceGetP2PStatus", GPU, GPU, UINT, OUT_INT)
def p2p_status(call: Call, one: Device, other: Device, index: int, out: Any) -> None:
    linked = bool(one.spec.product.nvlinks and other.spec.product.nvlinks)
    partitioned = one.now.mig or other.now.mig
    reachable = linked or (index != P2P_NVLINK and _level(one.spec, other.spec) <= HOSTBRIDGE)
    out.value = P2P_OK if reachable and not partitioned else P2P_NOT_SUPPORTED


def _level(one: GpuSpec, other: GpuSpec) -> int:
    if one is other:
        return INTERNAL
    shared = sum(1 for a, b in zip(one.bridges, other.bridges, strict=False) if a == b)
    if one.root == other.root and shared:
        return SINGLE if shared >= min(len(one.bridges), len(other.bridges)) - 1 else MULTIPLE
    if one.root == other.root:
        return HOSTBRIDGE
    return NODE if one.numa == other.numa else SYSTEM


# --- NVLink -------------------------------------------------------------------------------------------


def _check_link(device: Device, link: int) -> None:
    """Which of the two codes real drivers give for a link that is not there is not confirmed."""
    if device.spec.product.nvlinks == 0:
        raise Refused(Code.NOT_SUPPORTED)
    if link >= device.spec.product.nvlinks:
        raise Refused(Code.INVALID_ARGUMENT)


@exports.add("nvmlDeviceGetNvLinkState", GPU, UINT, OUT_UINT)
def nvlink_state(call: Call, device: Device, link: int, out: Any) -> None:
    _check_link(device, link)
    out.value = int(not device.now.mig)


@exports.add("nvmlDeviceGetNvLinkVersion", GPU, UINT, OUT_UINT)
def nvlink_version(call: Call, device: Device, link: int, out: Any) -> None:
    _check_link(device, link)
    out.value = device.spec.product.nvlink_version


@exports.add("nvmlDeviceGetNvLinkCapability", GPU, UINT, UINT, OUT_UINT)
def nvlink_capability(call: Call, device: Device, link: int, capability: int, out: Any) -> None:
    _check_link(device, link)
    out.value = 1


@exports.add("nvmlDeviceGetNvLinkRemoteDeviceType", GPU, UINT, OUT_UINT)
def nvlink_remote_type(call: Call, device: Device, link: int, out: Any) -> None:
    _check_link(device, link)
    out.value = REMOTE_SWITCH


@exports.add("nvmlDeviceGetNvLinkRemotePciInfo_v2", GPU, UINT, Out(PciInfo))
def nvlink_remote_pci(call: Call, device: Device, link: int, out: Any) -> None:
    _check_link(device, link)
    switches = call.node.spec.nvswitches
    if not switches:  # the switches of a rack are not on the tray's PCI bus
        raise Refused(Code.NOT_SUPPORTED)
    pci = PciAddress.parse(switches[link % len(switches)])
    out.legacy, out.text = pci.legacy.encode(), pci.nvml.encode()
    out.domain, out.bus, out.device = pci.domain, pci.bus, pci.device


# --- fabric -------------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetGpuFabricInfo", GPU, Out(FabricInfo))
def fabric_info(call: Call, device: Device, out: Any) -> None:
    state, cluster, clique = _fabric(call, device)
    _put_cluster(out, cluster)
    out.status, out.clique, out.state = Code.SUCCESS, clique, state


@exports.add("nvmlDeviceGetGpuFabricInfoV", GPU, Versioned(((FabricInfoV2, 2), (FabricInfoV3, 3))))
def fabric_info_v(call: Call, device: Device, out: Any) -> None:
    fabric_info(call, device, out)
    out.health_mask = HEALTHY_MASK if out.state == FABRIC_STATES["completed"] else 0
    if isinstance(out, FabricInfoV3):
        out.health_summary = HEALTHY if out.state == FABRIC_STATES["completed"] else 0


@exports.add("nvmlDeviceGetGpuFabricInfo_v4", GPU, Out(FabricInfoV4), since=581)
def fabric_info_v4(call: Call, device: Device, out: Any) -> None:
    state, cluster, clique = _fabric(call, device)
    _put_cluster(out, cluster)
    out.status, out.state = Code.SUCCESS, state
    out.clique_count = 1
    out.cliques[0].type, out.cliques[0].id = 0, clique
    done = state == FABRIC_STATES["completed"]
    out.health_mask, out.health_summary = (HEALTHY_MASK, HEALTHY) if done else (0, 0)


def _fabric(call: Call, device: Device) -> tuple[int, str, int]:
    fabric = call.node.fabric(call.state, device.spec)
    if fabric is None:
        raise Refused(Code.NOT_SUPPORTED)
    state, cluster, clique = fabric
    if state != FABRIC_STATES["completed"]:
        return state, str(uuid.UUID(int=0)), 0
    return state, cluster, clique


def _put_cluster(out: Any, cluster: str) -> None:
    for position, byte in enumerate(uuid.UUID(cluster).bytes):
        out.cluster[position] = byte
