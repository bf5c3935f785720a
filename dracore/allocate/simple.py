"""One claim out of JSON, in one call: what the demo and small tests need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dracore.allocate.allocator import Allocator
from dracore.allocate.fields import Fault
from dracore.allocate.held import Held
from dracore.allocate.matching import Compiler, cel
from dracore.allocate.nodes import Node
from dracore.allocate.published import DeviceId, PublishedSlice
from dracore.allocate.wanted import DeviceClass, WantedClaim
from dracore.errors import AllocationError
from dracore.model.device import JSON


def allocate(
    claim: Mapping[str, Any],
    slices: Sequence[Mapping[str, Any]],
    classes: Sequence[Mapping[str, Any]],
    *,
    taken: Collection[DeviceId] = (),
    compiler: Compiler = cel,
) -> JSON:
    """The ``status.allocation`` of a ResourceClaim, on the first node by name where it fits.

    :param claim: a ``resource.k8s.io`` ResourceClaim.
    :param slices: all ResourceSlices.
    :param classes: the DeviceClasses.
    :param taken: devices of other claims (:func:`allocated_devices`).
    :raises AllocationError: nothing fits, and why.
    :raises SelectorError: a selector does not compile or fails on a device, which ends the scheduler's
        attempt too.
    """
    name = f"claim {(claim.get('metadata') or {}).get('name')}"
    try:
        wanted = WantedClaim.from_json(claim)
        published = [PublishedSlice.from_json(item) for item in slices]
        allocator = Allocator(published, [DeviceClass.from_json(item) for item in classes], compiler=compiler)
    except Fault as fault:
        raise AllocationError(f"{fault.field} {fault.what}", where=name) from None
    if not wanted.groups:
        raise AllocationError("the claim requests no device", where=name)
    nodes = [Node(name) for name in sorted({item.reach.node_name or "" for item in published})]
    held = Held(whole=set(taken))
    for node in nodes or [Node("")]:
        answer = allocator.allocate(node, [wanted], held)
        if answer.allocations is not None:
            return answer.allocations[0].json()
        if answer.cause is not None:
            raise answer.cause
        if answer.error and not answer.this_node_only:
            raise AllocationError(answer.error)
    from dracore.allocate.explain import explain

    raise AllocationError(explain(allocator, nodes, [wanted], held).summary, where=name)
