"""A driver of the bench: as many plain devices as its settings say, one environment variable each."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from dracore import ContainerEdits, Device, DeviceNode, NodeContext, Prepared, hookimpl


class Settings(BaseModel):
    count: int = 10


@hookimpl
def dra_driver() -> str:
    return "bench.dracore.dev"


@hookimpl
def dra_settings() -> type[Settings]:
    return Settings


@hookimpl
def dra_discover(ctx: NodeContext) -> Iterator[Device]:
    for index in range(ctx.settings.count):
        yield Device(name=f"dev-{index}", attributes={"index": index})


@hookimpl
def dra_prepare(device: Device) -> Prepared:
    nodes = (DeviceNode("/dev/null"),)
    return Prepared(ContainerEdits(env={"DEVICE": device.name}, device_nodes=nodes))
