"""A test double of a node: what effects make on it is kept in a file, as hardware would keep it.

A process that is killed leaves it as it was. It notes what is done in a wrong order, and fails on demand.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dracore.model.context import Simulation
from dracore.model.device import JSON
from dracore.testing.cdi import ContainerView


class Ground:
    """What a plugin stands on in a run; a subclass for one's own plugin says where its effects leave traces.

    Made in every process of a run with the same `folder`, which is the run's own and starts empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arrange(self) -> None:
        """Called once in every process before the plugin starts; makes what is not there yet."""

    def settings(self) -> Mapping[str, JSON]:
        """The plugin's section of the node configuration."""
        return {}

    def simulation(self) -> Simulation | None:
        """For a plugin that simulates its hardware."""
        return None

    def observe(self) -> JSON:
        """Everything that effects can change, as JSON. After all claims are released it must be as before
        the first one.

        :raises NotImplementedError: where a ground does not say so.
        """
        raise NotImplementedError(f"{type(self).__name__} has no observe(): nothing would be compared")

    def strays(self, keys: Collection[str]) -> list[str]:
        """What is on the node now and belongs to none of the effects with these keys."""
        return []

    def faults(self) -> list[str]:
        """What was done to the node that must never be (an order that hardware refuses)."""
        return []

    def fail(self, step: str, name: str, times: int) -> None:
        """Lets the next `times` steps (``apply``, ``revert``, ...) on `name` fail: ``Fail`` in scenarios."""
        raise NotImplementedError("this ground cannot fail on demand")

    def destroy(self, name: str) -> None:
        """An administrator undoes something behind the driver's back: ``Destroy`` in scenarios."""
        raise NotImplementedError("on this ground nothing can be destroyed")

    def destroyed(self) -> Collection[str]:
        """Keys of effects that were, and were not made again since."""
        return ()

    def wrong_in(self, container: ContainerView) -> list[str]:
        """What is not true (any more) of what a container of a prepared claim would get now."""
        return []

    def heal(self) -> None:
        """Ends what :meth:`fail` began."""

    def set(self, flag: str) -> None:
        """Something that a hook waits for comes about."""
        (self.folder / f"flag-{flag}").touch()

    def is_set(self, flag: str) -> bool:
        return (self.folder / f"flag-{flag}").exists() or (self.folder / "all-flags").exists()

    def set_all(self) -> None:
        """Whatever is waited for comes about."""
        (self.folder / "all-flags").touch()

    def reboot(self) -> None:
        """What a reboot of the node takes away."""


class NodeDouble(Ground):
    """Things with values, some of which need others. Effects make and unmake them through the session.

    ``make`` and ``unmake`` happen whole or not at all, as a hardware command does.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.met: Callable[[str], None] = lambda flag: None
        """Told of a flag that was looked at and had come about."""
        self._file = folder / "node.json"
        self._lock = folder / "node.lock"

    def arrange(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._file.exists():
            self._write({"things": {}, "faults": [], "fails": {}, "destroyed": {}, "next": 1, "minors": 0})

    def settings(self) -> Mapping[str, JSON]:
        return {"folder": str(self.folder)}

    # --- for effects ------------------------------------------------------------------------------------

    @property
    def things(self) -> dict[str, Any]:
        """Name to ``{"value", "key", "needs", "id", "boot"}``."""
        return dict(self._state["things"])

    def make(self, name: str, *, key: str, value: JSON = "on", needs: str = "", boot: str = "stays") -> int:
        """Makes a thing and answers its number.

        :param key: the key of the effect that it belongs to.
        :param boot: ``gone`` where a reboot takes it away.
        """
        with self._change() as state:
            if needs and needs not in state["things"] and needs not in state["destroyed"]:
                state["faults"].append(f"{name} was made without {needs}, which it needs")
            number = int(state["next"])
            state["next"] += 1
            thing = {"value": value, "key": key, "needs": needs, "id": number, "boot": boot}
            state["things"][name] = thing
            state["destroyed"].pop(name, None)
        return number

    def unmake(self, name: str, before: JSON = None) -> None:
        """Takes a thing away, or puts the one that stood there `before` back."""
        with self._change() as state:
            state["destroyed"].pop(name, None)
            needed = sorted(n for n, thing in state["things"].items() if thing["needs"] == name)
            if needed and before is None and name in state["things"]:
                state["faults"].append(f"{name} was unmade while {', '.join(needed)} needs it")
            if before is None:
                state["things"].pop(name, None)
            else:
                state["things"][name] = before

    def is_set(self, flag: str) -> bool:
        found = super().is_set(flag)
        if found:
            self.met(flag)
        return found

    def minor(self, device: str) -> int:
        """The minor number of a device's node; another one after each reboot."""
        return int(self._state["minors"]) + int(device.rpartition("-")[2])

    def check(self, step: str, name: str) -> None:
        """:raises OSError: :meth:`fail` was asked for this."""
        place = f"{step} {name}"
        if not self._state["fails"].get(place):
            return
        with self._change() as state:
            state["fails"][place] -= 1
        raise OSError(5, f"the hardware says no to {place}")

    # --- for the run ------------------------------------------------------------------------------------

    def observe(self) -> JSON:
        return {name: thing["value"] for name, thing in sorted(self.things.items())}

    def strays(self, keys: Collection[str]) -> list[str]:
        return [
            f"{name}, made for {thing['key']}"
            for name, thing in self.things.items()
            if thing["key"] not in keys
        ]

    def faults(self) -> list[str]:
        return list(self._state["faults"])

    def fail(self, step: str, name: str, times: int) -> None:
        with self._change() as state:
            state["fails"][f"{step} {name}"] = times

    def heal(self) -> None:
        with self._change() as state:
            state["fails"] = {}

    def destroy(self, name: str) -> None:
        with self._change() as state:
            thing = state["things"].pop(name, None)
            if thing is not None:
                state["destroyed"][name] = thing["key"]

    def destroyed(self) -> Collection[str]:
        return set(self._state["destroyed"].values())

    def wrong_in(self, container: ContainerView) -> list[str]:
        return [
            f"{node['path']} has the number {node['minor']}, and the device {self.minor(node['path'])} now"
            for node in container.device_nodes
            if node["path"].startswith("/dev/things/") and node["minor"] != self.minor(node["path"])
        ]

    def reboot(self) -> None:
        with self._change() as state:
            state["minors"] += 100
            state["things"] = {n: thing for n, thing in state["things"].items() if thing["boot"] != "gone"}
            for name, thing in state["things"].items():
                if thing["needs"] and thing["needs"] not in state["things"]:
                    state["faults"].append(f"{name} outlived {thing['needs']}")

    @property
    def _state(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._file.read_text())
        return content

    @contextlib.contextmanager
    def _change(self) -> Iterator[dict[str, Any]]:
        with open(self._lock, "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            state = self._state
            yield state
            self._write(state)

    def _write(self, state: Mapping[str, Any]) -> None:
        beside = self._file.with_suffix(".tmp")
        beside.write_text(json.dumps(state))
        os.rename(beside, self._file)
