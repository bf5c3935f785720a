"""The plugin ``nvidia_gpu``: full NVIDIA GPUs, with the attributes and contents of NVIDIA's own driver.

Hooks only; heavy imports happen inside of them, so that loading the plugin costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dracore import (
    Check,
    ClaimContext,
    ConfigKind,
    Device,
    DeviceClass,
    Discovery,
    Driver,
    Health,
    NodeContext,
    Prepared,
    Simulation,
    hookimpl,
)

if TYPE_CHECKING:
    import click

    from dracore_nvidia_gpu.gpus import Gpus

DRIVER = "gpu.nvidia.com"
MIG_MODE_EFFECT = "nvidia_mig.mode"
"""Kind of the effect by which a plugin puts a GPU into MIG mode; its parameter `gpu` is the uuid."""


@hookimpl
def dra_driver() -> Driver:
    return Driver(DRIVER, lost_taint="gpu.nvidia.com/gpu-lost")


@hookimpl
def dra_settings() -> type[Any]:
    from dracore_nvidia_gpu.settings import Settings

    return Settings


@hookimpl
def dra_check_simulation(simulation: Simulation) -> None:
    from dracore_nvidia_gpu.sim.catalog import build, describe

    build(describe(simulation.node))


@hookimpl
def dra_config_kinds() -> Sequence[ConfigKind]:
    from dracore_nvidia_gpu.configs import API_VERSION, GpuConfig

    return [ConfigKind(API_VERSION, "GpuConfig", GpuConfig, ("gpu",), default=GpuConfig(), sharing="sharing")]


@hookimpl
def dra_device_classes() -> Sequence[DeviceClass]:
    return [
        DeviceClass(
            DRIVER,
            selectors=(f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == 'gpu'",),
            extended_resource_name="nvidia.com/gpu",
        )
    ]


@hookimpl
def dra_commands() -> Sequence[click.Command]:
    from dracore_nvidia_gpu.commands import sim

    return [sim]


@hookimpl
def dra_start(ctx: NodeContext) -> Gpus:
    from dracore_nvidia_gpu.gpus import Gpus
    from dracore_nvidia_gpu.settings import Settings

    return Gpus.open(ctx.settings or Settings(), ctx.simulation, ctx.node)


@hookimpl
def dra_stop(session: Gpus) -> None:
    session.session.close()


@hookimpl
def dra_discover(ctx: NodeContext) -> Discovery:
    gpus: Gpus = ctx.session()
    ours = frozenset(held.effect.params().get("gpu", "") for held in ctx.held(MIG_MODE_EFFECT))
    return gpus.discover(ours)


@hookimpl
def dra_watch(ctx: NodeContext, changed: Callable[[], None]) -> Callable[[], None]:
    from dracore_nvidia_gpu.watch import Watch

    gpus: Gpus = ctx.session()
    watch = Watch(gpus.session, changed, gpus.settings.discovery_interval, ctx.log)
    watch.start()
    return watch.stop


@hookimpl
def dra_health(ctx: NodeContext) -> Iterable[Health]:
    gpus: Gpus = ctx.session()
    return list(gpus.health())


@hookimpl
def dra_preflight(ctx: NodeContext) -> Iterable[Check]:
    from dracore_nvidia_gpu.preflight import checks

    return list(checks(ctx.session()))


@hookimpl
def dra_prepare(ctx: ClaimContext, device: Device) -> Prepared:
    gpus: Gpus = ctx.session()
    return gpus.prepare(device)
