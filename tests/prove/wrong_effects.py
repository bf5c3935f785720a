"""Plugins with one defect each, in an effect: the kit must say which rule it breaks. And one without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dracore
from dracore import ContainerEdits, Device, Prepared, hookimpl
from dracore.testing.crash import Ground


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


class Plugin:
    def __init__(self, effect):
        self._effect = effect

    @hookimpl
    def dra_driver(self):
        return "lanes.example.com"

    @hookimpl
    def dra_effects(self):
        return [self._effect]

    @hookimpl
    def dra_discover(self, ctx):
        return [Device("lane-0"), Device("lane-1")]

    @hookimpl
    def dra_prepare(self, ctx, device):
        ctx.hold(self._effect(ctx.settings["folder"], device.name))
        return Prepared(ContainerEdits(env={device.name.upper().replace("-", "_"): "10.0.0.1"}))
