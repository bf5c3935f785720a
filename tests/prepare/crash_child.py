"""Enumerates the points of a scenario and dies or fails at each of them.

The parent forks and never opens SQLite, so that each child is as a fresh process.

    python crash_child.py FOLDER SCENARIO (kill|fail|kill-recovery) [EVERY]

EVERY 6 takes a sixth of the points, chosen by the scenario's name and SEED of the environment.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from prepare_harness import (
    Call,
    FileThing,
    GoneThing,
    LaterThing,
    StaysThing,
    Thing,
    World,
    problems,
)

from dracore.errors import DracoreError

Step = Callable[[World, object], object]


def _ready(world: World) -> Path:
    return world.folder / "ready"


# --- scenarios: what a world is, and the steps that are taken in it --------------------------------------


def one(world: World) -> None:
    world.holds(Thing("a"))
    world.claim("c1", "dev-0")


def bare(world: World) -> None:
    world.claim("c1", "dev-0", "dev-1")


def ordered(world: World) -> None:
    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        (ctx.claim_dir / device.name).write_text("x")
        ctx.hold(Thing("mode"))
        ctx.hold(Thing(device.name, needs="mode"))
        return world.prepared(device)

    world.on("dra_prepare_claim")(lambda ctx, devices: ctx.hold(FileThing("wide")) and None)
    world.claim("c1", "dev-0", "dev-1", "dev-2")


def shared(world: World) -> None:
    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("mode"))
        ctx.hold(LaterThing("label", needs="mode")) if device.name == "dev-1" else None
        ctx.hold(Thing(device.name, needs="mode"))
        return world.prepared(device)

    world.claim("c1", "dev-0")
    world.claim("c2", "dev-2")


def waits(world: World) -> None:
    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        if not _ready(world).exists():
            ctx.hold(Thing("only-at-first", needs="a"))
        ctx.wait(lambda: _ready(world).exists(), "the daemon")
        ctx.hold(Thing("b", needs="a"))
        return world.prepared(device)

    world.claim("c1", "dev-0")


def last_fails(world: World) -> None:
    world.holds(Thing("a"), Thing("b", needs="a"), Thing("c", needs="b"))
    world.hardware.fail("half", "c")
    world.claim("c1", "dev-0")


def revert_fails(world: World) -> None:
    world.holds(Thing("a"), Thing("b", needs="a"), Thing("c", needs="b"))
    world.claim("c1", "dev-0")


def later(world: World) -> None:
    world.holds(Thing("a"), LaterThing("label"), Thing("b", needs="a"))
    world.claim("c1", "dev-0")


def rebooted(world: World) -> None:
    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(GoneThing(f"{device.name}-gone"))
        ctx.hold(StaysThing(f"{device.name}-stays"))
        ctx.hold(Thing(f"{device.name}-probed"))
        return world.prepared(device)

    world.claim("c1", "dev-0")
    world.claim("c2", "dev-1")


def plugin_holds(world: World) -> None:
    world.holds(Thing("mode"), Thing("x", needs="mode"))
    world.claim("c1", "dev-0")


# --- steps ------------------------------------------------------------------------------------------------


def prepare(uid: str, seconds: float = 30.0) -> Step:
    return lambda world, engine: engine.prepare(_ref(uid), Call(seconds))


def unprepare(uid: str) -> Step:
    return lambda world, engine: engine.unprepare(_ref(uid), Call())


def fail(step: str, name: str, times: int) -> Step:
    return lambda world, engine: world.hardware.fail(step, name, times)


def drain(world: World, engine: object) -> None:
    engine.drain()


def make_ready(world: World, engine: object) -> None:
    _ready(world).write_text("")


def plugin_start(*things: str) -> Step:
    def start(world, engine):
        with engine.starting("test") as ctx:
            for thing in things:
                ctx.hold(Thing(thing))
        engine.settled("test")

    return start


def other_allocation(uid: str, device: str) -> Step:
    def change(world, engine):
        world.claim(uid, device)
        engine.prepare(_ref(uid), Call())

    return change


class Reboot:
    """A step that ends the process; the next one runs in a new boot."""


SCENARIOS = {
    "one claim one device": (one, [prepare("c1"), unprepare("c1")]),
    "no effects": (bare, [prepare("c1"), prepare("c1"), unprepare("c1")]),
    "ordered effects": (ordered, [prepare("c1"), prepare("c1"), unprepare("c1")]),
    "two claims share": (shared, [prepare("c1"), prepare("c2"), unprepare("c1"), unprepare("c2"), drain]),
    "waits and completes": (waits, [prepare("c1", 5.1), make_ready, prepare("c1"), unprepare("c1")]),
    "unprepare while it waits": (waits, [prepare("c1", 5.1), unprepare("c1")]),
    "last effect fails": (last_fails, [prepare("c1"), prepare("c1"), unprepare("c1")]),
    "revert fails twice": (
        revert_fails,
        [prepare("c1"), fail("revert", "b", 2), unprepare("c1"), unprepare("c1"), unprepare("c1")],
    ),
    "deferred revert": (
        later,
        [prepare("c1"), fail("revert", "label", 1), unprepare("c1"), drain, drain],
    ),
    "another allocation": (one, [prepare("c1"), other_allocation("c1", "dev-1"), unprepare("c1")]),
    "a plugin holds": (
        plugin_holds,
        [plugin_start("mode", "old"), prepare("c1"), plugin_start("mode", "new"), unprepare("c1")],
    ),
    "reboot": (rebooted, [prepare("c1"), prepare("c2"), Reboot, prepare("c1"), unprepare("c2")]),
}


def _ref(uid: str):
    from dracore.model.claim import ClaimRef

    return ClaimRef(uid, "default", f"name-of-{uid}")


# --- running ----------------------------------------------------------------------------------------------


def forked(work: Callable[[], object], out: Path) -> tuple[int, object]:
    """Runs `work` in a child; answers how it ended and what it answered."""
    out.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            out.write_text(json.dumps(work()))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status, json.loads(out.read_text()) if out.exists() and out.read_text() else None


class Points:
    """The seam: notes every point, and dies or fails at one of them."""

    def __init__(self, target: int = -1, mode: str = "kill") -> None:
        self.target = target
        self.mode = mode
        self.seen: list[str] = []

    def __call__(self, point: str, detail: str = "") -> None:
        number = len(self.seen)
        self.seen.append(f"{point} {detail}")
        if number == self.target:
            if self.mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(5, f"injected at {point}")


def play(folder: Path, name: str, points: Points, skip: int = 0) -> list[str]:
    """Takes the steps; what they raise is the kubelet's business. Answers the points that were passed."""
    setup, steps = SCENARIOS[name]
    world = World(folder, seam=points, boot=boot_of(folder))
    setup(world)
    engine = start(world)
    held: dict[str, list[list[str]]] = {}
    for step in steps:
        note_held(engine, held)
        if step is Reboot:
            engine.close()
            (folder / "boot").write_text("boot-2")
            keep = [n for n in world.hardware.things if not n.endswith("-gone")]
            world.hardware.reboot(survives=keep)
            shutil.rmtree(folder / "cdi", ignore_errors=True)
            world = World(folder, seam=points, boot="boot-2")
            setup(world)
            engine = start(world)
            continue
        try:
            step(world, engine)
        except DracoreError:
            continue
    note_held(engine, held)
    if points.target < 0:
        (folder.parent / "held.json").write_text(json.dumps(held))
    if points.mode == "fail":
        # The same process goes on after the fault: what is left is finished without a restart.
        world.seam = Points()
        while engine.drain():
            pass
        found = problems(world, engine)
        if found:
            return [f"without a restart: {problem}" for problem in found]
        return []
    return points.seen


def note_held(engine, held: dict[str, list[list[str]]]) -> None:
    """What each prepared claim holds in an undisturbed run: what it must hold whenever it is prepared."""
    for claim in engine.snapshot().claims:
        keys = sorted(effect.key for effect in claim.effects)
        if claim.state == "prepared" and keys not in held.setdefault(claim.ref.uid, []):
            held[claim.ref.uid].append(keys)


def wrongly_held(folder: Path, engine) -> list[str]:
    allowed = json.loads((folder.parent / "held.json").read_text())
    now: dict[str, list[list[str]]] = {}
    note_held(engine, now)
    return [
        f"claim {uid} is prepared and holds {keys[0]}, not one of {allowed[uid]}"
        for uid, keys in now.items()
        if uid in allowed and keys[0] not in allowed[uid]
    ]


def start(world: World):
    for _ in range(3):
        try:
            engine = world.engine()
        except DracoreError:
            continue  # the kubelet restarts a container whose start fails
        engine.recover()
        return engine
    raise AssertionError("the engine does not start")


def boot_of(folder: Path) -> str:
    file = folder / "boot"
    return file.read_text() if file.exists() else "boot-1"


def check(folder: Path, name: str, points: Points | None = None) -> list[str]:
    """A new process after the death: recovers, and everything is as it must be; then the kubelet goes on."""
    setup, _ = SCENARIOS[name]
    world = World(folder, boot=boot_of(folder), seam=points or Points())
    setup(world)
    with world.hardware.change() as state:
        state["faults"] = {}
    engine = world.engine()
    engine.recover()
    if points is not None:
        return []
    found = [f"after recovery: {p}" for p in problems(world, engine) + wrongly_held(folder, engine)]
    _ready(world).write_text("")
    for uid in sorted(world.cluster):
        if world.inventory:
            engine.prepare(_ref(uid), Call())
    found += [
        f"after the kubelet asked again: {p}" for p in problems(world, engine) + wrongly_held(folder, engine)
    ]
    for uid in sorted(world.cluster):
        engine.unprepare(_ref(uid), Call())
    with engine.starting("test"):
        pass
    engine.settled("test")
    engine.drain()
    found += [f"after all was released: {p}" for p in problems(world, engine)]
    if world.hardware.things:
        found.append(f"left on the node: {sorted(world.hardware.things)}")
    if world.cdi_files():
        found.append(f"left CDI files: {sorted(world.cdi_files())}")
    engine.close()
    return found


def main() -> None:
    base, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    every = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    chance = random.Random(f"{name} {mode} {os.environ.get('SEED', '')}")
    out = base / "out.json"
    base.mkdir(parents=True, exist_ok=True)

    def fresh() -> Path:
        folder = base / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    folder = fresh()
    status, seen = forked(lambda: play(folder, name, Points()), out)
    assert status == 0, "the dry run failed"
    violations: list[str] = []
    runs = 0
    for target, point in enumerate(seen):
        if chance.randrange(every):
            continue
        folder = fresh()
        status, answer = forked(lambda f=folder, t=target: play(f, name, Points(t, mode.split("-")[0])), out)
        if mode == "fail":
            if status:
                violations.append(f"{point}: the process did not survive the fault")
            violations += [f"{point}: {problem}" for problem in answer or ()]
        elif not os.WIFSIGNALED(status):
            violations.append(f"{point}: was not passed again")
        if mode == "kill-recovery":
            # A second death, at every point of the recovery from the first.
            saved = base / "saved"
            shutil.rmtree(saved, ignore_errors=True)
            shutil.copytree(folder, saved)
            second = 0
            while True:
                shutil.rmtree(folder)
                shutil.copytree(saved, folder)
                status, _ = forked(lambda f=folder, s=second: check(f, name, Points(s)), out)
                if not os.WIFSIGNALED(status):
                    break
                second += 1
                runs += 1
                status, found = forked(lambda f=folder: check(f, name), out)
                if status:
                    violations.append(f"{point}, then recovery point {second}: the check failed")
                violations += [f"{point}, then recovery point {second}: {p}" for p in found or ()]
            continue
        runs += 1
        status, found = forked(lambda f=folder: check(f, name), out)
        if status:
            violations.append(f"{point}: the check failed")
        violations += [f"{point}: {problem}" for problem in found or ()]
    print(json.dumps({"points": len(seen), "runs": runs, "violations": violations}))


if __name__ == "__main__":
    main()
