"""A site's plugin beside nvidia_gpu: no devices of its own, one more attribute for every GPU."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel

import dracore
from dracore import hookimpl


class Settings(BaseModel):
    tag: str


@hookimpl
def dra_driver() -> dracore.Driver:
    return dracore.Driver("gpu.nvidia.com", requires=("nvidia_gpu",))


@hookimpl
def dra_settings() -> type[Settings]:
    return Settings


@hookimpl
def dra_discover() -> tuple[dracore.Device, ...]:
    return ()


@hookimpl
def dra_shape(ctx: dracore.NodeContext, device: dracore.Device) -> dracore.Device:
    return replace(device, attributes={**device.attributes, "site.dracore.test/tag": ctx.settings.tag})


@hookimpl
def dra_prepare(device: dracore.Device) -> dracore.Prepared:
    raise dracore.DracoreError(f"{device.name} is none of this plugin's: it has no devices")
