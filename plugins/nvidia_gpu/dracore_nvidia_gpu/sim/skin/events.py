"""Events: a set listens to GPUs, a wait returns one event or times out.

The queue is in the state file, so that whoever injects an XID may be another process; a wait looks for a
changed file every 50 ms.
"""

from __future__ import annotations

import time
from ctypes import c_ulonglong
from typing import Any

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.skin.call import (
    DEVICE,
    OUT_HANDLE,
    SET,
    U64,
    UINT,
    Call,
    Device,
    Exports,
    Out,
)
from dracore_nvidia_gpu.sim.skin.modes import NO_INSTANCE
from dracore_nvidia_gpu.sim.skin.session import EventSet, GpuHandle
from dracore_nvidia_gpu.sim.skin.structs import EventData
from dracore_nvidia_gpu.sim.state import Event, NodeState

SUPPORTED = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100
"""Single and double bit ECC, P-state, XID, clock, MIG configuration. Not confirmed on real GPUs."""
LOOK_SECONDS = 0.05

exports = Exports()


@exports.add("nvmlEventSetCreate", OUT_HANDLE)
def create(call: Call, out: Any) -> None:
    out.value = call.session.hand_out(call.session.new_event_set())


@exports.add("nvmlEventSetFree", SET)
def free(call: Call, events: EventSet) -> None:
    call.session.take_back(events)


@exports.add("nvmlDeviceGetSupportedEventTypes", DEVICE, Out(c_ulonglong))
def supported_types(call: Call, device: Device, out: Any) -> None:
    out.value = 0 if device.compute is not None else SUPPORTED


@exports.add("nvmlDeviceRegisterEvents", DEVICE, U64, SET)
def register(call: Call, device: Device, types: int, events: EventSet) -> None:
    if types & ~SUPPORTED or device.compute is not None:
        raise Refused(Code.NOT_SUPPORTED)
    with call.session.guard:
        mask, since = events.registered.get(device.spec.uuid, (0, call.state.last_event))
        events.registered[device.spec.uuid] = (mask | types, since)


@exports.add("nvmlEventSetWait_v2", SET, Out(EventData), UINT)
def wait(call: Call, events: EventSet, out: Any, timeout_ms: int) -> None:
    """Each event once a set; a registered GPU that is lost makes every wait fail once its events are out."""
    deadline = time.monotonic() + timeout_ms / 1000
    epoch = call.session.check(call.state.driver.loads)
    while True:
        state = call.node.state
        if call.session.check(state.driver.loads) != epoch:
            raise Refused(Code.UNINITIALIZED)
        event = _next(call, events, state)
        if event is not None:
            out.device = call.session.hand_out(GpuHandle(event.gpu))
            out.type, out.data = event.type, event.data
            out.gi = NO_INSTANCE if event.instance is None else event.instance
            out.ci = NO_INSTANCE if event.compute is None else event.compute
            return
        if any(state.gpus[gpu].lost for gpu in events.registered):
            raise Refused(Code.GPU_IS_LOST)
        left = deadline - time.monotonic()
        if left <= 0:
            raise Refused(Code.TIMEOUT)
        time.sleep(min(LOOK_SECONDS, left))


def _next(call: Call, events: EventSet, state: NodeState) -> Event | None:
    with call.session.guard:
        for event in state.events:
            mask, since = events.registered.get(event.gpu, (0, event.number))
            if event.number > max(since, events.delivered) and event.type & mask:
                events.delivered = event.number
                return event
    return None
