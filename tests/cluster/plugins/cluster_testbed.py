"""A plugin with everything that a test wants to see happen: effects that are counted and can be held up.

Its hardware is a folder. `log` has a line for every apply and revert, `marks/<device>` stands while an effect
is on the node, and an apply goes no further while `hold-<device>` is there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

import dracore
from dracore import hookimpl

DRIVER = "testbed.dracore.test"


class Settings(BaseModel):
    """`gated`: publish devices that use every field behind a feature gate."""

    folder: Path
    widgets: int = 4
    gated: bool = False


@dataclass(frozen=True)
class Mark(dracore.Effect):
    """A file that stands while the device is prepared."""

    kind: ClassVar[str] = "testbed.mark"
    reboot: ClassVar[Literal["gone", "stays", "probe"]] = "probe"
    device: str = ""
    folder: str = ""

    @property
    def key(self) -> str:
        return f"mark/{self.device}"

    @property
    def _file(self) -> Path:
        return Path(self.folder) / "marks" / self.device

    def _log(self, what: str) -> None:
        with (Path(self.folder) / "log").open("a") as log:
            log.write(f"{what} {self.device} {os.getpid()}\n")

    def apply(self, node: dracore.Node, before: Any) -> Any:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch()
        self._log("apply")
        while (Path(self.folder) / f"hold-{self.device}").exists():
            time.sleep(0.05)
        return {"mark": str(self._file)}

    def revert(self, node: dracore.Node, before: Any, outcome: Any) -> None:
        self._log("revert")
        self._file.unlink(missing_ok=True)

    def probe(self, node: dracore.Node) -> dracore.Present | dracore.Absent:
        return dracore.Present({"mark": str(self._file)}) if self._file.exists() else dracore.Absent()


@hookimpl
def dra_driver() -> str:
    return DRIVER


@hookimpl
def dra_settings() -> type[Settings]:
    return Settings


@hookimpl
def dra_effects() -> list[type[dracore.Effect]]:
    return [Mark]


@hookimpl
def dra_device_classes() -> list[dracore.DeviceClass]:
    return [dracore.DeviceClass(DRIVER, selectors=(f"device.driver == '{DRIVER}'",))]


@hookimpl
def dra_discover(ctx: dracore.NodeContext) -> dracore.Discovery:
    devices = [
        dracore.Device(f"widget-{number}", kind="widget", attributes={"number": number})
        for number in range(ctx.settings.widgets)
    ]
    if not ctx.settings.gated:
        return dracore.Discovery(tuple(devices))
    quantity = dracore.Quantity.parse
    units = {"units": quantity("2")}
    policy = dracore.RequestPolicy(
        default=quantity("1"), valid_range=dracore.ValidRange(min=quantity("1"), step=quantity("1"))
    )
    devices += [
        dracore.Device("tainted", taints=(dracore.Taint(f"{DRIVER}/odd", "NoSchedule"),)),
        dracore.Device("counted", consumes=(dracore.CounterConsumption("pot", units),)),
        dracore.Device(
            "shared",
            allow_multiple_allocations=True,
            capacity={"share": dracore.Capacity(quantity("8"), policy)},
        ),
        dracore.Device(
            "bound",
            binds_to_node=True,
            binding_conditions=(f"{DRIVER}/attached",),
            binding_failure_conditions=(f"{DRIVER}/broken",),
        ),
        dracore.Device("listed", attributes={"ports": (1, 2)}),
    ]
    return dracore.Discovery(tuple(devices), (dracore.CounterSet("pot", {"units": quantity("4")}),))


@hookimpl
def dra_prepare(ctx: dracore.ClaimContext, device: dracore.Device) -> dracore.Prepared:
    ctx.hold(Mark(device=device.name, folder=str(ctx.settings.folder)))
    number = device.name.removeprefix("widget-")
    # The null device under another name: it shows in the container and does no harm.
    node = dracore.DeviceNode(f"/dev/{device.name}", type="c", major=1, minor=3, permissions="rw")
    return dracore.Prepared(
        dracore.ContainerEdits(env={f"WIDGET_{number}": device.name}, device_nodes=(node,))
    )
