"""The steps of the demo, one after another."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dracore.admin.client import ask_youngest
from dracore.allocate import allocate, allocated_devices
from dracore.cli.demonstration.claims import ANY, DRIVER, LARGE, NAMESPACE, PAIR, Wish
from dracore.cli.demonstration.interrupts import Interrupts
from dracore.cli.demonstration.processes import World
from dracore.cli.demonstration.story import Story
from dracore.errors import AllocationError, DracoreError, SelectorError

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient

DRA = "/apis/resource.k8s.io/v1"
CLAIMS = f"{DRA}/namespaces/{NAMESPACE}/resourceclaims"


@dataclass(frozen=True)
class Landed:
    """A claim that was prepared."""

    wish: Wish
    ref: dict[str, str]
    devices: list[dict[str, str]]
    cdi_ids: list[str]


class Demonstration:
    """Runs the demo on a simulated `node` and tells it to `story`."""

    def __init__(self, node: str, story: Story, interrupts: Interrupts) -> None:
        self._node = node
        self._interrupts = interrupts
        self._story = story
        self._world: World
        self._client: KubeClient
        self._landed: list[Landed] = []
        self._wanted = 0
        self._released = 0
        self._left: list[str] = []
        self._ok = True

    def run(self) -> bool:
        """True where every step was as it should be."""
        steps: list[tuple[str, str, Callable[[], None]]] = [
            ("start", f"A cluster of one node, with the devices of a simulated {self._node}", self._start),
            ("devices", "What the node offers", self._devices),
            ("claim-any", f"A pod asks for {ANY.words}", lambda: self._claim("claim-any", ANY)),
            ("claim-memory", f"A pod asks for {LARGE.words}", lambda: self._claim("claim-memory", LARGE)),
            ("kill", "The node plugin is killed (SIGKILL) while claims are prepared", self._kill),
            ("claim-numa", f"A pod asks for {PAIR.words}", lambda: self._claim("claim-numa", PAIR)),
            ("release", "The pods end", self._release),
        ]
        with World(self._node, self._interrupts) as self._world:
            for name, heading, step in steps:
                self._interrupts.check()
                self._story.heading(heading)
                try:
                    step()
                except DracoreError as error:
                    text = str(error)
                    self._tell({"step": name, "ok": False, "error": text}, text.splitlines())
                if not self._ok:
                    self._left = self._left or [f"CDI file {name}" for name in _files(self._world.cdi)]
                    break
        prepared = len(self._landed)
        ok = self._ok and not self._left and self._released == prepared
        summary = {
            "step": "summary",
            "ok": ok,
            "claims": self._wanted,
            "prepared": prepared,
            "released": self._released,
            "leaked": len(self._left),
        }
        self._story.heading("Summary")
        text = f"{self._wanted} claims, {prepared} prepared, {self._released} released"
        if ok:
            self._story.step(summary, [f"{text}: all is released, nothing is left on the node"])
        else:
            self._story.step(summary, [text, *(f"left: {thing}" for thing in self._left)])
        return ok

    def _tell(self, step: dict[str, Any], lines: list[str]) -> None:
        self._ok = self._ok and step["ok"]
        self._story.step(step, lines)

    # --- steps --------------------------------------------------------------------------------------

    def _start(self) -> None:
        from dracore.kube.client import KubeClient

        world = self._world
        world.start_api()
        self._client = KubeClient.to_url(world.url, user_agent="dracore-demo")
        self._client.create(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": world.node}}
        )
        for item in _manifests(world):
            self._client.create(f"{DRA}/deviceclasses", item)
        world.start_kubelet()
        world.start_plugin()
        world.until(lambda: self._slices() and self._registered(), "registering and publishing")
        pids = {"api": world.api.process.pid, "kubelet": world.kubelet.process.pid}
        pids["plugin"] = world.plugin.process.pid
        self._tell(
            {
                "step": "start",
                "ok": True,
                "node": world.node,
                "driver": DRIVER,
                "simulated": True,
                "pids": pids,
            },
            [
                f"processes: API server {pids['api']}, kubelet {pids['kubelet']}, plugin {pids['plugin']}",
                f"{DRIVER} is registered with the kubelet and has published its devices",
            ],
        )

    def _devices(self) -> None:
        devices = [
            (item["spec"], device) for item in self._slices() for device in item["spec"].get("devices") or ()
        ]
        rows = []
        told = []
        for spec, device in devices:
            shown = {name.rpartition("/")[2]: value for name, value in device.get("attributes", {}).items()}
            fields = {
                name: _value(shown.get(name)) for name in ("productName", "pcieRoot", "numaNode", "uuid")
            }
            memory = device.get("capacity", {}).get("memory", {}).get("value", "-")
            told.append({**_device(spec, device), **fields, "memory": memory})
            rows.append([device["name"], fields["productName"], memory, fields["numaNode"], fields["uuid"]])
        if not rows:
            status = ask_youngest(self._world.status_socket)
            raise DracoreError(" ".join(["no device is published;", *status["drivers"][0]["degradations"]]))
        self._story.table(["DEVICE", "PRODUCT", "MEMORY", "NUMA", "UUID"], rows)
        slices = len(self._slices())
        self._tell(
            {"step": "devices", "ok": True, "devices": told, "slices": slices},
            [f"{len(rows)} devices in {slices} ResourceSlice{'s' if slices != 1 else ''}"],
        )

    def _claim(self, step: str, wish: Wish) -> None:
        """Creates the claim, allocates it as the scheduler would, and has the kubelet start its pod."""
        self._wanted += 1
        claim = self._client.create(CLAIMS, wish.claim())
        ref = {"uid": claim["metadata"]["uid"], "namespace": NAMESPACE, "name": wish.name}
        if not self._allocate(step, claim, ref, wish):
            return
        self._wait_for_pod(step, wish, ref, self._world.ask_kubelet(**_pod(wish)))

    def _allocate(self, step: str, claim: dict[str, Any], ref: dict[str, str], wish: Wish) -> bool:
        try:
            claim["status"] = {
                "allocation": allocate(
                    claim,
                    self._slices(),
                    self._client.list(f"{DRA}/deviceclasses"),
                    taken=allocated_devices(self._client.list(CLAIMS)),
                ),
                "reservedFor": [{"resource": "pods", "name": wish.name, "uid": _uid(wish)}],
            }
        except (AllocationError, SelectorError) as error:
            self._client.delete(f"{CLAIMS}/{wish.name}")
            self._tell(
                {"step": step, "ok": True, "claim": ref, "skipped": str(error)},
                [f"not on this node: {error}"],
            )
            return False
        self._client.update(f"{CLAIMS}/{wish.name}/status", claim)
        return True

    def _wait_for_pod(self, step: str, wish: Wish, ref: dict[str, str], answer: dict[str, Any]) -> None:
        from dracore.testing.cdi import container_view

        allocation = self._client.get(f"{CLAIMS}/{wish.name}")["status"]["allocation"]
        devices = [
            {name: result[name] for name in ("request", "driver", "pool", "device")}
            for result in allocation["devices"]["results"]
        ]
        ids = [cdi_id for container in answer["cdi_ids"].values() for cdi_id in container]
        view = container_view(self._world.cdi, ids)
        self._landed.append(Landed(wish, ref, devices, ids))
        nodes = sorted(view.paths())
        container = {
            "cdiDevices": ids,
            "deviceNodes": nodes,
            "env": view.env,
            "mounts": len(view.mounts),
            "hooks": len(view.hooks),
        }
        env = " ".join(f"{name}={value}" for name, value in sorted(view.env.items()))
        lines = [
            f"{wish.name} landed on {', '.join(device['device'] for device in devices)}",
            f"its container gets {' '.join(nodes)}",
            f"and {len(view.mounts)} mounts{f', {env}' if env else ''}",
        ]
        self._tell(
            {"step": step, "ok": bool(ids), "claim": ref, "devices": devices, "container": container}, lines
        )

    def _kill(self) -> None:
        world = self._world
        before, files = self._prepared(), _files(world.cdi)
        slices = [item["metadata"]["uid"] for item in self._slices()]
        killed = world.plugin.process.pid
        world.plugin.kill()
        world.start_plugin()
        world.until(self._registered, "registering again")
        after = self._prepared()
        same = {
            "claims": before == after,
            "cdi": files == _files(world.cdi),
            "slices": slices == [item["metadata"]["uid"] for item in self._slices()],
        }
        # What counts in the end: asked again, as a kubelet that restarts does, it gives the same answer.
        repeated = []
        world.ask_kubelet(do="restart")
        world.ask_kubelet(do="wait_driver", driver=DRIVER, timeout=20)
        for landed in self._landed:
            answer = world.ask_kubelet(**_pod(landed.wish))
            repeated.append([i for ids in answer["cdi_ids"].values() for i in ids] == landed.cdi_ids)
        world.until(self._slices, "publishing again after the kubelet wiped the slices")
        ok = all(same.values()) and all(repeated)
        self._tell(
            {
                "step": "kill",
                "ok": ok,
                "killed": killed,
                "restarted": world.plugin.process.pid,
                "claims": [landed.ref for landed in self._landed],
                "unchanged": {**same, "answers": all(repeated)},
            },
            [
                f"process {killed} is dead, process {world.plugin.process.pid} has taken over",
                f"{len(after)} prepared claims before and after, CDI files and slices untouched"
                if ok
                else f"something was lost: {same}, answers {repeated}",
                "the kubelet restarted too, asked again, and got the same answers",
            ],
        )

    def _release(self) -> None:
        world = self._world
        for landed in self._landed:
            world.ask_kubelet(do="delete_pod", name=landed.wish.name)
            self._client.delete(f"{CLAIMS}/{landed.wish.name}")
            self._released += 1
        status = ask_youngest(world.status_socket)
        self._left = [
            *(f"CDI file {name}" for name in _files(world.cdi)),
            *(f"claim {claim['namespace']}/{claim['name']} in the journal" for claim in status["claims"]),
            *(f"effect {effect['key']}" for effect in status["effects"]),
        ]
        ended = world.plugin.end()
        sockets = sorted(path.name for path in (world.folder / "k" / "plugins_registry").iterdir())
        self._left += [f"socket {name}" for name in sockets]
        self._tell(
            {
                "step": "release",
                "ok": not self._left and ended == 0,
                "released": [landed.ref for landed in self._landed],
                "left": self._left,
                "exit": ended,
            },
            [
                f"{self._released} claims unprepared; CDI files, journal and effects are gone"
                if not self._left
                else f"{len(self._left)} things are left",
                f"the node plugin ended with exit status {ended}",
            ],
        )

    # --- looking ------------------------------------------------------------------------------------

    def _slices(self) -> list[dict[str, Any]]:
        found = self._client.list(f"{DRA}/resourceslices")
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def _registered(self) -> bool:
        try:
            status = ask_youngest(self._world.status_socket)
        except DracoreError:
            return False
        return all(driver["registered"] for driver in status["drivers"])

    def _prepared(self) -> list[dict[str, Any]]:
        status = ask_youngest(self._world.status_socket)
        return sorted(status["claims"], key=lambda claim: str(claim["uid"]))


def _manifests(world: World) -> list[dict[str, Any]]:
    """The DeviceClasses, as ``dracore manifests`` prints them."""
    from dracore.config import load
    from dracore.manifests import objects

    world.write_config()
    return [item for item in objects(load(world.config).plugins) if item["kind"] == "DeviceClass"]


def _pod(wish: Wish) -> dict[str, Any]:
    return {"do": "run_pod", "name": wish.name, "claims": [wish.name], "uid": _uid(wish), "retry_for": 20}


def _uid(wish: Wish) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{wish.name}.pod"))


def _device(spec: dict[str, Any], device: dict[str, Any]) -> dict[str, str]:
    return {"driver": spec["driver"], "pool": spec["pool"]["name"], "device": device["name"]}


def _value(attribute: Any) -> str:
    return str(next(iter(attribute.values()))) if attribute else "-"


def _files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json"))}
