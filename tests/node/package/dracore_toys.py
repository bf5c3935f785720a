"""Plugins for tests of the whole process: toys whose behaviour is controlled by files in a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

import dracore
from dracore import ContainerEdits, Device, Prepared, hookimpl


class Settings(BaseModel):
    control: str
    devices: int = 4
    color: str = Field(default="red", json_schema_extra={"reload": True})


@dataclass(frozen=True)
class Mark(dracore.Effect):
    """A file that stands for a change of the node."""

    path: str

    @property
    def key(self) -> str:
        return f"mark/{Path(self.path).name}"

    def apply(self, node: Any, before: Any) -> Any:
        Path(self.path).write_text("held")
        return {"at": Path(self.path).name}

    def revert(self, node: Any, before: Any, outcome: Any) -> None:
        Path(self.path).unlink(missing_ok=True)

    def probe(self, node: Any) -> Any:
        there = Path(self.path).exists()
        return dracore.Present({"at": Path(self.path).name}) if there else dracore.Absent()


class Toys:
    """One plugin; a second one with another driver is made of the same code."""

    def __init__(self, driver: str) -> None:
        self._driver = driver

    @hookimpl
    def dra_driver(self) -> str:
        return self._driver

    @hookimpl
    def dra_settings(self) -> type[BaseModel]:
        return Settings

    @hookimpl
    def dra_effects(self) -> list[type[dracore.Effect]]:
        return [Mark]

    @hookimpl
    def dra_device_classes(self) -> list[dracore.DeviceClass]:
        return [dracore.DeviceClass(self._driver, (f"device.driver == '{self._driver}'",))]

    @hookimpl
    def dra_discover(self, ctx: dracore.NodeContext) -> list[Device]:
        control = Path(ctx.settings.control)
        if (control / "broken").exists():
            raise RuntimeError("toys are broken")
        return [
            Device(f"toy-{i}", kind="toy", attributes={"index": i, "color": ctx.settings.color})
            for i in range(ctx.settings.devices)
        ]

    @hookimpl
    def dra_watch(self, ctx: dracore.NodeContext, changed: Callable[[], None]) -> Callable[[], None]:
        control = Path(ctx.settings.control)
        end = threading.Event()

        def watch() -> None:
            before = (control / "broken").exists()
            while not end.wait(0.05):
                if (now := (control / "broken").exists()) != before:
                    before = now
                    changed()

        threading.Thread(target=watch, daemon=True).start()
        return end.set

    @hookimpl
    def dra_prepare(self, ctx: dracore.ClaimContext, device: Device) -> Prepared:
        control = Path(ctx.settings.control)
        ctx.hold(Mark(str(control / f"held-{device.name}")))
        (control / f"inside-{device.name}").write_text("")
        while (control / "slow").exists():
            time.sleep(0.01)
        return Prepared(edits=ContainerEdits(env={f"{device.name.upper().replace('-', '_')}": self._driver}))


toys = Toys("toys.example.com")
dolls = Toys("dolls.example.com")
