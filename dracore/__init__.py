"""dracore: a framework for Kubernetes DRA drivers.

Everything a plugin author needs is a name of this module; importing it costs nothing, names load when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Absent": "model.effect",
    "Capacity": "model.device",
    "Check": "model.prepared",
    "Claim": "model.claim",
    "ClaimContext": "model.context",
    "ClaimError": "errors",
    "ClaimRef": "model.claim",
    "ConfigKind": "model.context",
    "ContainerEdits": "model.edits",
    "CounterConsumption": "model.device",
    "CounterSet": "model.device",
    "Device": "model.device",
    "DeviceClass": "model.context",
    "DeviceGone": "errors",
    "DeviceNode": "model.edits",
    "Discovery": "model.device",
    "DracoreError": "errors",
    "Driver": "model.context",
    "Effect": "model.effect",
    "EffectRefused": "errors",
    "Health": "model.prepared",
    "HeldEffect": "model.context",
    "Hook": "model.edits",
    "Mount": "model.edits",
    "Node": "model.effect",
    "NodeContext": "model.context",
    "NodeSelection": "model.device",
    "NotYet": "model.device",
    "Permission": "model.context",
    "Prepared": "model.prepared",
    "PreparedDevice": "model.context",
    "Present": "model.effect",
    "Quantity": "model.quantity",
    "RequestPolicy": "model.device",
    "Result": "model.claim",
    "Semver": "model.semver",
    "SharingStrategy": "model.context",
    "Simulation": "model.context",
    "Taint": "model.device",
    "Unknown": "model.effect",
    "ValidRange": "model.device",
    "device_name": "model.names",
    "hookimpl": "hookspecs",
}

__all__ = sorted(_HOME)

if TYPE_CHECKING:
    from dracore.errors import ClaimError as ClaimError
    from dracore.errors import DeviceGone as DeviceGone
    from dracore.errors import DracoreError as DracoreError
    from dracore.errors import EffectRefused as EffectRefused
    from dracore.hookspecs import hookimpl as hookimpl
    from dracore.model.claim import Claim as Claim
    from dracore.model.claim import ClaimRef as ClaimRef
    from dracore.model.claim import Result as Result
    from dracore.model.context import ClaimContext as ClaimContext
    from dracore.model.context import ConfigKind as ConfigKind
    from dracore.model.context import DeviceClass as DeviceClass
    from dracore.model.context import Driver as Driver
    from dracore.model.context import HeldEffect as HeldEffect
    from dracore.model.context import NodeContext as NodeContext
    from dracore.model.context import Permission as Permission
    from dracore.model.context import PreparedDevice as PreparedDevice
    from dracore.model.context import SharingStrategy as SharingStrategy
    from dracore.model.context import Simulation as Simulation
    from dracore.model.device import Capacity as Capacity
    from dracore.model.device import CounterConsumption as CounterConsumption
    from dracore.model.device import CounterSet as CounterSet
    from dracore.model.device import Device as Device
    from dracore.model.device import Discovery as Discovery
    from dracore.model.device import NodeSelection as NodeSelection
    from dracore.model.device import NotYet as NotYet
    from dracore.model.device import RequestPolicy as RequestPolicy
    from dracore.model.device import Taint as Taint
    from dracore.model.device import ValidRange as ValidRange
    from dracore.model.edits import ContainerEdits as ContainerEdits
    from dracore.model.edits import DeviceNode as DeviceNode
    from dracore.model.edits import Hook as Hook
    from dracore.model.edits import Mount as Mount
    from dracore.model.effect import Absent as Absent
    from dracore.model.effect import Effect as Effect
    from dracore.model.effect import Node as Node
    from dracore.model.effect import Present as Present
    from dracore.model.effect import Unknown as Unknown
    from dracore.model.names import device_name as device_name
    from dracore.model.prepared import Check as Check
    from dracore.model.prepared import Health as Health
    from dracore.model.prepared import Prepared as Prepared
    from dracore.model.quantity import Quantity as Quantity
    from dracore.model.semver import Semver as Semver


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dracore' has no attribute {name!r}")
    value = getattr(import_module(f"dracore.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
