"""A plugin whose claims say themselves which effects to hold: what the engine's own matrix runs with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from dracore.hookspecs import hookimpl
from dracore.model.context import ClaimContext, ConfigKind, NodeContext
from dracore.model.device import JSON, Device
from dracore.model.edits import ContainerEdits, DeviceNode
from dracore.model.effect import Absent, AtReboot, Effect, Node, Present, Probe
from dracore.model.prepared import Prepared
from dracore.testing.crash.double import NodeDouble

DRIVER = "things.dracore.dev"
API_VERSION = "things.dracore.dev/v1"


@dataclass(frozen=True)
class Thing(Effect):
    """One thing on the node."""

    kind: ClassVar[str] = "things.thing"
    reboot: ClassVar[AtReboot] = "stays"
    boot: ClassVar[str] = "stays"
    name: str
    value: str = "on"
    needs: str = ""

    @property
    def key(self) -> str:
        return f"thing/{self.name}"

    def before(self, node: Node) -> JSON:
        double: NodeDouble = node.session("things")
        double.check("before", self.name)
        found: JSON = double.things.get(self.name)
        return found

    def apply(self, node: Node, before: JSON) -> JSON:
        double: NodeDouble = node.session("things")
        double.check("apply", self.name)
        number = double.make(self.name, key=self.key, value=self.value, needs=self.needs, boot=self.boot)
        double.check("half", self.name)
        return {"id": number}

    def revert(self, node: Node, before: JSON, outcome: JSON) -> None:
        double: NodeDouble = node.session("things")
        double.check("revert", self.name)
        double.unmake(self.name, before)

    def probe(self, node: Node) -> Probe:
        found = node.session("things").things.get(self.name)
        return Absent() if found is None else Present({"id": found["id"]})


@dataclass(frozen=True)
class Fleeting(Thing):
    """A reboot takes it away."""

    kind: ClassVar[str] = "things.fleeting"
    reboot: ClassVar[AtReboot] = "gone"
    boot: ClassVar[str] = "gone"


@dataclass(frozen=True)
class Probed(Thing):
    """After a reboot its probe tells; it is gone."""

    kind: ClassVar[str] = "things.probed"
    reboot: ClassVar[AtReboot] = "probe"
    boot: ClassVar[str] = "gone"


@dataclass(frozen=True)
class Later(Thing):
    """Its revert may come after the claim's end."""

    kind: ClassVar[str] = "things.later"
    deferrable: ClassVar[bool] = True


@dataclass(frozen=True)
class Mended(Thing):
    """May be made good when somebody has undone it."""

    kind: ClassVar[str] = "things.mended"
    repairable: ClassVar[bool] = True


@dataclass(frozen=True)
class Pair(Thing):
    """Two things, made one after the other: half of it can be there."""

    kind: ClassVar[str] = "things.pair"

    @property
    def key(self) -> str:
        return f"pair/{self.name}"

    def before(self, node: Node) -> JSON:
        return None

    def apply(self, node: Node, before: JSON) -> JSON:
        double: NodeDouble = node.session("things")
        first = double.make(f"{self.name}.1", key=self.key, value=self.value, needs=self.needs)
        double.check("half", self.name)
        (node.dir / "note").write_text(self.name)
        second = double.make(f"{self.name}.2", key=self.key, value=self.value, needs=f"{self.name}.1")
        return [first, second]

    def revert(self, node: Node, before: JSON, outcome: JSON) -> None:
        double: NodeDouble = node.session("things")
        double.check("revert", self.name)
        double.unmake(f"{self.name}.2")
        double.unmake(f"{self.name}.1")

    def probe(self, node: Node) -> Probe:
        things = node.session("things").things
        found = [things.get(f"{self.name}.{part}") for part in (1, 2)]
        return Absent() if None in found else Present([thing["id"] for thing in found])


KINDS: Mapping[str, type[Thing]] = {
    cls.kind.partition(".")[2]: cls for cls in (Thing, Fleeting, Probed, Later, Mended, Pair)
}


class Want(BaseModel):
    """One effect; ``{device}`` in names is the device's."""

    model_config = ConfigDict(extra="forbid")
    kind: str = "thing"
    name: str
    value: str = "on"
    needs: str = ""
    unless: str = ""
    """Not held once this flag is set."""

    def effect(self, device: str) -> Effect:
        name, needs = self.name.format(device=device), self.needs.format(device=device)
        return KINDS[self.kind](name, self.value, needs)


class Plan(BaseModel):
    """What preparing a device does, in this order."""

    model_config = ConfigDict(extra="forbid")
    hold: list[Want] = []
    awaits: str = ""
    """A flag that is waited for."""
    then: list[Want] = []
    folder: bool = False
    """Whether a file of the claim's own is written."""


class Settings(BaseModel):
    folder: str


@hookimpl
def dra_driver() -> str:
    return DRIVER


@hookimpl
def dra_settings() -> type[Any]:
    return Settings


@hookimpl
def dra_config_kinds() -> Sequence[ConfigKind]:
    return [ConfigKind(API_VERSION, "Plan", Plan, ("thing",), default=Plan())]


@hookimpl
def dra_effects() -> Sequence[type[Effect]]:
    return list(KINDS.values())


@hookimpl
def dra_start(ctx: NodeContext) -> NodeDouble:
    return NodeDouble(Path(ctx.settings.folder))


@hookimpl
def dra_discover(ctx: NodeContext) -> Sequence[Device]:
    if (ctx.session().folder / "flag-plugin-holds").exists():
        ctx.hold(Thing("plugin"))
    return [Device(f"dev-{i}", kind="thing", identity=f"uuid-{i}", description="thing") for i in range(8)]


@hookimpl
def dra_prepare(ctx: ClaimContext, device: Device, config: Plan) -> Prepared:
    double: NodeDouble = ctx.session()
    for want in config.hold:
        if not (want.unless and double.is_set(want.unless)):
            ctx.hold(want.effect(device.name))
    if config.folder:
        (ctx.claim_dir / device.name).write_text("x")
    if config.awaits:
        ctx.wait(lambda: double.is_set(config.awaits), f"the flag {config.awaits}")
    for want in config.then:
        ctx.hold(want.effect(device.name))
    name = device.name.upper().replace("-", "_")
    node = DeviceNode(f"/dev/things/{device.name}", type="c", major=240, minor=double.minor(device.name))
    return Prepared(
        ContainerEdits(env={f"THING_{name}": device.identity}, device_nodes=(node,)),
        facts={"identity": device.identity},
    )
