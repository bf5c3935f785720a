"""A driver with many effects over a node that is kept in a file, as hardware would be: a killed process
leaves it as it was. Shared by the tests and by the child processes that they kill."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from dracore.cdi import Cdi
from dracore.errors import DracoreError, EffectRefused, NotFound, PluginError
from dracore.model.claim import Claim, ClaimRef, OpaqueConfig, Result
from dracore.model.device import Device
from dracore.model.edits import ContainerEdits
from dracore.model.effect import Absent, Effect, Present, Unknown
from dracore.model.prepared import Prepared
from dracore.model.seam import no_seam
from dracore.prepare import Engine, Journal, records
from dracore.prepare.ports import Group, Resolved

DRIVER = "test.example.com"
POOL = "node-1"


class NodeFile:
    """The hardware: named things, some of which need others. Says what was done in wrong order."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node.json"
        self.lock = folder / "node.lock"
        if not self.path.exists():
            self._write({"things": {}, "log": [], "violations": [], "faults": {}, "next": 1})

    def _write(self, state: dict[str, Any]) -> None:
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps(state))
        os.rename(beside, self.path)

    @contextlib.contextmanager
    def change(self):
        with open(self.lock, "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            state = json.loads(self.path.read_text())
            yield state
            self._write(state)

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def things(self) -> dict[str, Any]:
        return self.state["things"]

    @property
    def log(self) -> list[str]:
        return self.state["log"]

    @property
    def violations(self) -> list[str]:
        return self.state["violations"]

    def fail(self, step: str, name: str, times: int = 1) -> None:
        with self.change() as state:
            state["faults"][f"{step} {name}"] = times

    def check_fault(self, step: str, name: str) -> None:
        with self.change() as state:
            left = state["faults"].get(f"{step} {name}", 0)
            if left:
                state["faults"][f"{step} {name}"] = left - 1
        if left:
            raise OSError(f"the hardware says no to {step} {name}")

    def make(self, name: str, value: Any, needs: str) -> int:
        with self.change() as state:
            if needs and needs not in state["things"]:
                state["violations"].append(f"{name} made without {needs}")
            number = state["next"]
            state["next"] += 1
            state["things"][name] = {"value": value, "needs": needs, "id": number}
            state["log"].append(f"make {name}={value}")
        return number

    def unmake(self, name: str, before: Any) -> None:
        with self.change() as state:
            dependants = [n for n, t in state["things"].items() if t["needs"] == name]
            if dependants:
                state["violations"].append(f"{name} unmade under {dependants}")
            if name in state["things"]:
                state["log"].append(f"unmake {name}")
            if before is None:
                state["things"].pop(name, None)
            else:
                state["things"][name] = before

    def reboot(self, survives: Sequence[str] = ()) -> None:
        with self.change() as state:
            state["things"] = {n: t for n, t in state["things"].items() if n in survives}


@dataclass(frozen=True)
class Thing(Effect):
    """Makes a thing; its outcome is the number that the node gave it."""

    kind: ClassVar[str] = "test.thing"
    name: str
    value: str = "on"
    needs: str = ""

    @property
    def key(self) -> str:
        return f"thing/{self.name}"

    def before(self, node: Any) -> Any:
        hardware = node.session("test")
        hardware.check_fault("before", self.name)
        return hardware.things.get(self.name)

    def apply(self, node: Any, before: Any) -> Any:
        hardware = node.session("test")
        hardware.check_fault("apply", self.name)
        number = hardware.make(self.name, self.value, self.needs)
        hardware.check_fault("half", self.name)
        return {"id": number, "pair": (1, 2)}

    def revert(self, node: Any, before: Any, outcome: Any) -> None:
        hardware = node.session("test")
        hardware.check_fault("revert", self.name)
        hardware.unmake(self.name, before)

    def probe(self, node: Any) -> Any:
        hardware = node.session("test")
        if hardware is None:
            return Unknown("no session")
        hardware.check_fault("probe", self.name)
        found = hardware.things.get(self.name)
        return Absent() if found is None else Present({"id": found["id"], "pair": [1, 2]})


@dataclass(frozen=True)
class GoneThing(Thing):
    kind: ClassVar[str] = "test.gone"
    reboot: ClassVar[Any] = "gone"


@dataclass(frozen=True)
class StaysThing(Thing):
    kind: ClassVar[str] = "test.stays"
    reboot: ClassVar[Any] = "stays"


@dataclass(frozen=True)
class LaterThing(Thing):
    kind: ClassVar[str] = "test.later"
    deferrable: ClassVar[bool] = True


@dataclass(frozen=True)
class MendedThing(Thing):
    kind: ClassVar[str] = "test.mended"
    repairable: ClassVar[bool] = True


@dataclass(frozen=True)
class OtherThing(Thing):
    """Another kind on the same keys."""

    kind: ClassVar[str] = "test.other"


@dataclass(frozen=True)
class RefusedThing(Thing):
    kind: ClassVar[str] = "test.refused"

    def before(self, node: Any) -> Any:
        raise EffectRefused(f"an administrator has {self.name} in use", fix="free it")


@dataclass(frozen=True)
class FileThing(Effect):
    """An effect with a folder of its own."""

    kind: ClassVar[str] = "test.file"
    name: str

    @property
    def key(self) -> str:
        return f"file/{self.name}"

    def apply(self, node: Any, before: Any) -> Any:
        (node.dir / "config").write_text(self.name)
        return str(node.dir)

    def revert(self, node: Any, before: Any, outcome: Any) -> None:
        pass


KINDS = {
    cls.kind: cls
    for cls in (Thing, GoneThing, StaysThing, LaterThing, MendedThing, OtherThing, RefusedThing, FileThing)
}


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def bind(self, **_: Any) -> Log:
        return self

    def info(self, text: str, **_: Any) -> None:
        self.lines.append(text)


class Call:
    """A call of the kubelet, with as much time as the test gives."""

    def __init__(self, seconds: float = 30.0, alive: Callable[[], bool] = lambda: True) -> None:
        import time

        self._time = time.monotonic
        self._end = self._time() + seconds
        self._alive = alive

    def time_left(self) -> float:
        return max(0.0, self._end - self._time())

    def alive(self) -> bool:
        return self._alive()


@dataclass
class Reports:
    events: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)

    def event(self, reason: str, message: str, *, claim: Any = None, warning: bool = True) -> None:
        self.events.append((reason, message))

    def count(self, metric: str, amount: float = 1) -> None:
        self.counts[metric] = self.counts.get(metric, 0) + amount


class Kill(BaseException):
    """The process dies here (in-process stand-in for SIGKILL: nothing of the engine may catch it)."""


@dataclass
class World:
    """One node with its driver: folders on disk, hooks as functions, a cluster in a dictionary."""

    folder: Path
    boot: str = "boot-1"
    seam: Callable[[str, str], None] = no_seam
    hooks: dict[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=lambda: ["test"])
    kinds: dict[str, type[Effect]] = field(default_factory=lambda: dict(KINDS))
    inventory: dict[str, tuple[Device, str]] = field(default_factory=dict)
    is_ready: bool = True
    cluster: dict[str, Claim | DracoreError] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    pods: Mapping[str, Sequence[str]] | DracoreError | None = None
    session_open: bool = True
    simulation: Any = None
    node: str = "node-1"
    reports: Reports = field(default_factory=Reports)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.plugin_folder = self.folder / "plugin"
        self.hardware = NodeFile(self.folder)
        self.logger = Log()
        for i in range(8):
            self.device(f"dev-{i}")

    # --- set-up -------------------------------------------------------------------------------------

    def device(self, name: str, plugin: str = "test", **fields: Any) -> Device:
        fields.setdefault("identity", f"uuid-{name}")
        fields.setdefault("description", "widget")
        device = Device(name, **fields)
        self.inventory[name] = (device, plugin)
        return device

    def claim(
        self,
        uid: str,
        *devices: str,
        config: Any = None,
        admin: bool = False,
        share: str = "",
        reserved: tuple[str, ...] = ("pod-1",),
    ) -> ClaimRef:
        ref = ClaimRef(uid, "default", f"name-of-{uid}")
        results = tuple(
            Result(f"r{i}", DRIVER, POOL, device, share_id=share, admin_access=admin)
            for i, device in enumerate(devices)
        )
        configs = () if config is None else (OpaqueConfig("FromClaim", DRIVER, config),)
        self.cluster[uid] = Claim(ref, True, results, configs, reserved)
        return ref

    def change(self, uid: str, **fields: Any) -> None:
        claim = self.cluster[uid]
        assert isinstance(claim, Claim)
        self.cluster[uid] = replace(claim, **fields)

    def on(self, hook: str, plugin: str = "test") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.hooks[plugin, hook] = function
            return function

        return register

    def holds(self, *effects: Effect) -> None:
        """dra_prepare holds these, and says so to containers."""

        @self.on("dra_prepare")
        def _prepare(ctx: Any, device: Device, result: Result, config: Any) -> Prepared:
            for effect in effects:
                ctx.hold(effect)
            return self.prepared(device)

    def prepared(self, device: Device, **env: str) -> Prepared:
        return Prepared(
            ContainerEdits(env={"DEVICE_" + device.name.replace("-", "_"): device.identity, **env})
        )

    @property
    def cdi(self) -> Cdi:
        return Cdi(self.folder / "cdi", DRIVER, seam=self._pass)

    def cdi_files(self) -> set[str]:
        folder = self.folder / "cdi"
        return {f.name for f in folder.iterdir()} if folder.exists() else set()

    def engine(self, **fields: Any) -> Engine:
        journal = Journal.open(self.plugin_folder, seam=self._pass, reports=self.reports)
        try:
            return Engine(
                driver=DRIVER,
                folder=self.plugin_folder,
                journal=journal,
                boot_id=self.boot,
                hooks=self,
                devices=self,
                configs=self,
                claims=self,
                pods=self,
                cdi=self.cdi,
                surroundings=self,
                seam=self._pass,
                reports=self.reports,
                **fields,
            )
        except BaseException:
            journal.close()
            raise

    def _pass(self, point: str, detail: str = "") -> None:
        self.seam(point, detail)

    # --- the engine's ports -------------------------------------------------------------------------

    def plugins(self, driver: str) -> Sequence[str]:
        return self.enabled

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        function = self.hooks.get((plugin, hook))
        if hook == "dra_prepare" and function is None:
            return self.prepared(arguments["device"])
        if function is None:
            return None
        self.calls.append(f"{plugin}.{hook}")
        try:
            return function(**arguments)
        except DracoreError:
            raise
        except Exception as error:
            raise PluginError(
                f"{type(error).__name__}: {error}", where=f"plugin {plugin}, hook {hook}"
            ) from error

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        return self.kinds.get(kind)

    def distribution_of(self, driver: str, kind: str) -> str:
        return "dracore-test-plugin"

    def find(self, pool: str, device: str) -> tuple[Device, str] | None:
        return self.inventory.get(device)

    def identified(self, identity: str) -> tuple[Device, str] | None:
        return next((found for found in self.inventory.values() if found[0].identity == identity), None)

    def ready(self) -> bool:
        return self.is_ready

    def resolve(self, claim: Claim, devices: Sequence[Device]) -> Resolved:
        configs = [
            next((c.parameters for c in claim.configs if c.applies_to(r.request)), None)
            for r in claim.results
        ]
        return Resolved(configs, self.groups)

    def get(self, ref: ClaimRef, timeout: float) -> Claim:
        claim = self.cluster.get(ref.uid)
        if claim is None:
            raise NotFound(f"claim {ref.name} not found", status=404)
        if isinstance(claim, DracoreError):
            raise claim
        return claim

    def users(self, driver: str) -> Mapping[str, Sequence[str]] | None:
        if isinstance(self.pods, DracoreError):
            raise self.pods
        return self.pods

    def devices(self, driver: str) -> Mapping[str, Sequence[tuple[str, str]]] | None:
        claims = {uid: self.cluster.get(uid) for uid in self.users(driver) or {}}
        return {
            uid: [(result.pool, result.device) for result in claim.results]
            for uid, claim in claims.items()
            if isinstance(claim, Claim)
        }

    def settings(self, plugin: str) -> Any:
        return None

    def log(self, plugin: str) -> Any:
        return self.logger

    def session(self, plugin: str) -> Any:
        return self.hardware if self.session_open else None

    def kube(self) -> Any:
        return None


def problems(world: World, engine: Engine, *, pending_ok: bool = False) -> list[str]:
    """What is wrong with node, journal and files together; the invariants of the engine."""
    found = list(world.hardware.violations)
    now = engine.snapshot()
    claims = {claim.ref.uid: claim for claim in now.claims}
    things = world.hardware.things
    for effect in now.effects:
        name = effect.key.partition("/")[2]
        if effect.state != "applied":
            if not pending_ok:
                found.append(f"{effect.key} is left {effect.state}: {effect.error}")
            continue
        if effect.kind != "test.file" and name not in things:
            found.append(f"{effect.key} is held by {effect.holders} and not on the node")
        found += [
            f"{effect.key} is held by {holder}, which is not prepared"
            for holder in effect.holders
            if not holder.startswith("plugin:")
            and (holder not in claims or claims[holder].state not in ("prepared", "waiting"))
        ]
        if not effect.holders:
            found.append(f"{effect.key} is held by nobody")
    known = {effect.key.partition("/")[2] for effect in now.effects}
    found += [f"{name} is on the node and not in the journal" for name in things if name not in known]
    expected: set[str] = set()
    for uid, claim in claims.items():
        specs = engine.kit.journal.read(lambda tx, uid=uid: records.specs(tx, uid))
        if claim.state == "prepared":
            expected |= specs.keys()
            if not world.cdi.intact(specs) or not specs:
                found.append(f"claim {uid} is prepared without its CDI file")
        elif claim.state == "waiting":
            expected |= specs.keys() & world.cdi_files()
        else:
            found.append(f"claim {uid} is left {claim.state}: {claim.error}")
    found += [f"CDI file {name} belongs to nobody" for name in world.cdi_files() - expected]
    claim_dirs = world.plugin_folder / "claims"
    if claim_dirs.exists():
        found += [
            f"claim dir {d.name} belongs to nobody" for d in claim_dirs.iterdir() if d.name not in claims
        ]
    occupied = engine.kit.journal.read(lambda tx: {row[0] for row in tx.rows("SELECT uid FROM occupied")})
    found += [f"{uid} occupies hardware and has no record" for uid in occupied - claims.keys()]
    return found


logging.getLogger("dracore").addHandler(logging.NullHandler())
