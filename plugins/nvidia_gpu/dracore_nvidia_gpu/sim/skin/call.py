"""How an exported symbol is declared, and what happens around its implementation.

An :class:`Export` says what arguments a symbol has; each :class:`Param` turns the raw C argument into what
the implementation works with, or refuses it with the code that NVML gives for it.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from ctypes import Structure, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from typing import Any, Protocol

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import GpuSpec, MigTable
from dracore_nvidia_gpu.sim.node import SimNode
from dracore_nvidia_gpu.sim.skin.session import (
    CiHandle,
    EventSet,
    GiHandle,
    GpuHandle,
    MigHandle,
    Session,
)
from dracore_nvidia_gpu.sim.skin.structs import version_word
from dracore_nvidia_gpu.sim.state import ComputeInstance, GpuInstance, GpuState, NodeState


@dataclass(frozen=True)
class Device:
    """A GPU, or a MIG device of it, as it is at the time of the call."""

    spec: GpuSpec
    now: GpuState
    instance: GpuInstance | None = None
    compute: ComputeInstance | None = None

    @property
    def uuid(self) -> str:
        return self.spec.uuid if self.compute is None else self.compute.uuid

    def table(self) -> MigTable:
        """:raises Refused: NOT_SUPPORTED without MIG."""
        if self.spec.product.mig is None:
            raise Refused(Code.NOT_SUPPORTED)
        return self.spec.product.mig

    def enabled_table(self) -> MigTable:
        """:raises Refused: NOT_SUPPORTED while MIG mode is off."""
        table = self.table()
        if not self.now.mig:
            raise Refused(Code.NOT_SUPPORTED)
        return table


@dataclass(frozen=True)
class Call:
    """One call that is running."""

    symbol: str
    node: SimNode
    session: Session
    state: NodeState

    def gpu_handle(self, spec: GpuSpec) -> int:
        """The handle of a GPU that was looked up; faults of that GPU and its loss show here."""
        code, delay = self.node.strike(self.symbol, spec.uuid, lookup=True)
        _dawdle(delay)
        if code is not None:
            raise Refused(code)
        now = self.state.gpus[spec.uuid]
        if now.lost and not now.lost_handle:
            raise Refused(Code.GPU_IS_LOST)
        return self.session.hand_out(GpuHandle(spec.uuid))

    def device(self, uuid: str) -> Device:
        return Device(self.node.spec.by_uuid[uuid], self.state.gpus[uuid])


class Param(Protocol):
    """A kind of argument."""

    @property
    def ctype(self) -> Any:
        """The C type of the raw argument."""

    def take(self, call: Call, raw: Any) -> Any:
        """The implementation's argument; raises Refused for one that NVML would not accept."""


@dataclass(frozen=True)
class Plain:
    """A number that is what it is."""

    ctype: Any

    def take(self, call: Call, raw: Any) -> Any:
        return raw


@dataclass(frozen=True)
class Text:
    """A string that must be there."""

    ctype: Any = c_char_p

    def take(self, call: Call, raw: bytes | None) -> str:
        if raw is None:
            raise Refused(Code.INVALID_ARGUMENT)
        return raw.decode(errors="replace")


@dataclass(frozen=True)
class Out:
    """Where an answer of the given type goes; NULL is an invalid argument."""

    target: Any
    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> Any:
        if not raw:
            raise Refused(Code.INVALID_ARGUMENT)
        return self.target.from_address(raw)


@dataclass(frozen=True)
class Address:
    """Where an array may go; NULL where only the count is asked for."""

    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> int | None:
        return raw


@dataclass(frozen=True)
class Versioned:
    """A struct that begins with its version word."""

    versions: tuple[tuple[type[Structure], int], ...]
    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> Structure:
        if not raw:
            raise Refused(Code.INVALID_ARGUMENT)
        word = c_uint.from_address(raw).value
        for struct, version in self.versions:
            if word == version_word(struct, version):
                return struct.from_address(raw)
        raise Refused(Code.ARGUMENT_VERSION_MISMATCH)


@dataclass(frozen=True)
class DeviceParam:
    """A device handle.

    :param gpu: whether GPUs are accepted, ``mig``: whether MIG devices are. NVML's header leaves open
        which queries a MIG device answers; where it does not say, the simulator refuses, so that nobody
        relies on it.
    """

    gpu: bool = True
    mig: bool = False
    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> Device:
        record = call.session.record(raw)
        if isinstance(record, GpuHandle):
            if not self.gpu:
                raise Refused(Code.INVALID_ARGUMENT)
            return call.device(record.uuid)
        if isinstance(record, MigHandle):
            device = call.device(record.gpu)
            for instance in device.now.instances:
                for compute in instance.compute:
                    if compute.uuid == record.uuid:
                        if not self.mig:
                            raise Refused(Code.NOT_SUPPORTED)
                        return Device(device.spec, device.now, instance, compute)
        raise Refused(Code.INVALID_ARGUMENT)


@dataclass(frozen=True)
class GiParam:
    """A GPU instance handle."""

    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> Device:
        record = call.session.record(raw)
        if isinstance(record, GiHandle):
            device = call.device(record.gpu)
            for instance in device.now.instances:
                if instance.serial == record.serial:
                    return Device(device.spec, device.now, instance)
        raise Refused(Code.INVALID_ARGUMENT)


@dataclass(frozen=True)
class CiParam:
    """A compute instance handle."""

    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> Device:
        record = call.session.record(raw)
        if isinstance(record, CiHandle):
            device = call.device(record.gpu)
            for instance in device.now.instances:
                for compute in instance.compute:
                    if compute.uuid == record.uuid:
                        return Device(device.spec, device.now, instance, compute)
        raise Refused(Code.INVALID_ARGUMENT)


@dataclass(frozen=True)
class SetParam:
    """An event set."""

    ctype: Any = c_void_p

    def take(self, call: Call, raw: int | None) -> EventSet:
        record = call.session.record(raw)
        if not isinstance(record, EventSet):
            raise Refused(Code.INVALID_ARGUMENT)
        return record


GPU = DeviceParam()
MIG = DeviceParam(gpu=False, mig=True)
DEVICE = DeviceParam(mig=True)
GI = GiParam()
CI = CiParam()
SET = SetParam()
UINT = Plain(c_uint)
INT = Plain(c_int)
U64 = Plain(c_ulonglong)
TEXT = Text()
ADDRESS = Address()
OUT_UINT = Out(c_uint)
OUT_INT = Out(c_int)
OUT_HANDLE = Out(c_void_p)


@dataclass(frozen=True)
class Export:
    """One symbol of the library.

    :param session: whether the library must be initialised for it.
    :param since: first driver branch whose library has it.
    """

    symbol: str
    params: tuple[Param, ...]
    run: Callable[..., None]
    session: bool = True
    since: int = 0

    def __call__(self, node: SimNode, session: Session, *raw: Any) -> int:
        """:returns: NVML's code. Never raises :class:`Refused`."""
        try:
            call = Call(self.symbol, node, session, node.state)
            if self.session:
                session.check(call.state.driver.loads)
            arguments = [p.take(call, r) for p, r in zip(self.params, raw, strict=True)]
            devices = [a for a in arguments if isinstance(a, Device)]
            code, delay = node.strike(self.symbol, devices[0].spec.uuid if devices else None)
            _dawdle(delay)
            if code is not None:
                return code
            if any(d.now.lost or d.now.removed for d in devices):
                return Code.GPU_IS_LOST
            self.run(call, *arguments)
        except Refused as refused:
            return refused.code
        return Code.SUCCESS


class Exports(dict[str, Export]):
    """The symbols of one area."""

    def add(
        self, symbol: str, *params: Param, session: bool = True, since: int = 0
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Declares the decorated function as the implementation of ``symbol``."""

        def declare(run: Callable[..., None]) -> Callable[..., None]:
            self[symbol] = Export(symbol, params, run, session, since)
            return run

        return declare


def put_text(address: int | None, length: int, text: str) -> None:
    """Writes a string and its NUL.

    :raises Refused: INVALID_ARGUMENT without a buffer, INSUFFICIENT_SIZE for one that is too small."""
    data = text.encode() + b"\0"
    if not address:
        raise Refused(Code.INVALID_ARGUMENT)
    if length < len(data):
        raise Refused(Code.INSUFFICIENT_SIZE)
    ctypes.memmove(address, data, len(data))


def _dawdle(delay_ms: int) -> None:
    if delay_ms:
        time.sleep(delay_ms / 1000)
