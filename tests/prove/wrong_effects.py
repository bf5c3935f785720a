"""Plugins with one defect each, in an effect: the kit must say which rule it breaks. And one without."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from pathlib import Path

import pydantic

import dracore
from dracore import ContainerEdits, Device, Prepared, hookimpl
from dracore.testing.crash import Ground, NodeDouble


class Folder(Ground):
    """The node is a folder of files."""

    def settings(self):
        return {"folder": str(self.folder / "node")}

    def arrange(self):
        node = self.folder / "node"
        if not node.exists():
            node.mkdir()
            (node / "mode").write_text("normal")

    def observe(self):
        return {path.name: path.read_text() for path in sorted((self.folder / "node").iterdir())}


def _put(path: Path, text: str) -> None:
    """Whole or not at all, as a sysfs file is."""
    beside = path.parent.parent / f"{path.name}.new"
    beside.write_text(text)
    beside.rename(path)


@dataclass(frozen=True)
class Lane(dracore.Effect):
    """Sets up a lane, two files, and tears it down."""

    kind = "lanes.lane"
    folder: str
    name: str

    @property
    def key(self):
        return f"lane/{self.name}"

    def _files(self):
        return [Path(self.folder, f"{self.name}.{part}") for part in ("address", "up")]

    def apply(self, node, before):
        address, up = self._files()
        _put(address, "10.0.0.1")
        _put(up, "1")
        return {"lane": self.name}

    def revert(self, node, before, outcome):
        for file in reversed(self._files()):
            file.unlink(missing_ok=True)

    def probe(self, node):
        there = all(file.exists() for file in self._files())
        return dracore.Present({"lane": self.name}) if there else dracore.Absent()


class NotTwice(Lane):
    """Its revert is not idempotent."""

    kind = "lanes.not_twice"

    def revert(self, node, before, outcome):
        for file in reversed(self._files()):
            file.unlink(missing_ok=outcome is None)


class Lies(Lane):
    """Its probe looks for something else than apply makes."""

    kind = "lanes.lies"

    def probe(self, node):
        there = Path(self.folder, f"{self.name}.ready").exists()
        return dracore.Present({"lane": self.name}) if there else dracore.Absent()


class Half(Lane):
    """Half made it is left: revert believes that nothing was made where there is no outcome."""

    kind = "lanes.half"

    def revert(self, node, before, outcome):
        if outcome is not None:
            super().revert(node, before, outcome)


class Outside(Lane):
    """It leaves something where its ground does not look."""

    kind = "lanes.outside"

    def apply(self, node, before):
        (Path(self.folder).parents[1] / f"{self.name}.log").write_text("up")
        return super().apply(node, before)

    def revert(self, node, before, outcome):
        (Path(self.folder).parents[1] / f"{self.name}.log").unlink(missing_ok=True)
        super().revert(node, before, outcome)


class Always(Lane):
    """Its probe sees it where it is not."""

    kind = "lanes.always"

    def probe(self, node):
        return dracore.Present({"lane": self.name})


class OneKey(Lane):
    """All lanes have one key, as if there were only one."""

    kind = "lanes.one_key"
    key = "lane"


class NeverSure(Lane):
    """Its probe cannot tell, ever."""

    kind = "lanes.never_sure"
    reboot = "gone"

    def probe(self, node):
        return dracore.Unknown("who knows")


class OnceOnly(Lane):
    """Its apply takes a number that nobody gives back."""

    kind = "lanes.once_only"

    def apply(self, node, before):
        numbers = Path(self.folder).parent / "numbers"
        numbers.touch(exist_ok=False)
        return super().apply(node, before)


class Refuses(Lane):
    """Its `before` never agrees."""

    kind = "lanes.refuses"

    def before(self, node):
        raise dracore.EffectRefused("not today")


class Exits(Lane):
    """Its probe ends the process that asks."""

    kind = "lanes.exits"

    def probe(self, node):
        raise SystemExit(3)


class Cancels(Lane):
    """Its revert, half done, is cancelled where nothing was made."""

    kind = "lanes.cancels"

    def revert(self, node, before, outcome):
        if outcome is None:
            raise asyncio.CancelledError
        super().revert(node, before, outcome)


class Interrupts(Lane):
    """Its apply is interrupted, always."""

    kind = "lanes.interrupts"

    def apply(self, node, before):
        raise KeyboardInterrupt


class Blind(Folder):
    """A ground that answers the same, whatever happens on it."""

    def observe(self):
        return {}


class Silent(Folder):
    """A ground that answers nothing."""

    def observe(self):
        return None


class Unsaid(Ground):
    """A ground that does not say what it is like."""

    settings, arrange = Folder.settings, Folder.arrange


class Plugin:
    """Holds one effect for each device.

    :param prepares: how many; after these it refuses.
    :param variable: what containers get; empty: something else each time.
    """

    def __init__(self, effect, *, prepares=10**6, variable="10.0.0.1"):
        self._effect = effect
        self._left = prepares
        self._variable = variable

    @hookimpl
    def dra_driver(self):
        return "lanes.example.com"

    @hookimpl
    def dra_effects(self):
        return [effect for effect in (self._effect, Slot) if effect]

    @hookimpl
    def dra_discover(self, ctx):
        return [Device("lane-0"), Device("lane-1")]

    @hookimpl
    def dra_prepare(self, ctx, device):
        if self._left <= 0:
            raise dracore.DracoreError("no more lanes")
        self._left -= 1
        if self._effect is not None:
            ctx.hold(self._effect(ctx.settings["folder"], device.name))
        value = self._variable or uuid.uuid4().hex
        return Prepared(ContainerEdits(env={device.name.upper().replace("-", "_"): value}))


@dataclass(frozen=True)
class Slot(dracore.Effect):
    """A thing on a :class:`dracore.testing.NodeDouble`; a shell, or a slot, which needs one."""

    kind = "lanes.slot"
    reboot = "stays"
    folder: str
    name: str
    needs: str = ""

    @property
    def key(self):
        return f"slot/{self.name}"

    def apply(self, node, before):
        return NodeDouble(Path(self.folder)).make(self.name, key=self.key, needs=self.needs)

    def revert(self, node, before, outcome):
        NodeDouble(Path(self.folder)).unmake(self.name)

    def probe(self, node):
        thing = NodeDouble(Path(self.folder)).things.get(self.name)
        return dracore.Present(thing["id"]) if thing else dracore.Absent()


class Slots(Plugin):
    """Holds a slot before the shell that it needs."""

    @hookimpl
    def dra_prepare(self, ctx, device):
        ctx.hold(Slot(ctx.settings["folder"], "slot", "shell"))
        ctx.hold(Slot(ctx.settings["folder"], "shell"))
        return Prepared()


class Picky(Plugin):
    """Has settings that nobody but its own ground would give."""

    @hookimpl
    def dra_settings(self):
        return pydantic.create_model("Lanes", lanes=(int, ...))
