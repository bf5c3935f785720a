"""The permissions that docs/operating.md names are those that a driver asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dracore

DOCS = Path(dracore.__file__).parent.parent / "docs"
TOYS = "toys.example.com"


def documented() -> dict[str, set[str]]:
    section = (DOCS / "operating.md").read_text().split("## Permissions", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `\S+` \| `(\w+)` \| (.*?) \|", section, flags=re.MULTILINE)
    return {resource: set(re.findall(r"`(\w+)`", verbs)) for resource, verbs in rows}


def test_they_are_what_a_life_asks_for(world: Any) -> None:
    world.api.log.clear()
    process = world.ready()
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    # Another form of the devices is an update, a slice that somebody made in our name is deleted.
    world.configure(filter="device.attributes['toys.example.com'].index < 2")
    world.until(lambda: len(world.devices()) == 2, "fewer devices")
    (mine,) = world.slices()
    pool = {**mine["spec"]["pool"], "resourceSliceCount": 2}
    spec = {**mine["spec"], "pool": pool, "devices": [{"name": "toy-7"}]}
    world.api.create({**mine, "metadata": {"name": "foreign"}, "spec": spec})
    world.until(lambda: len(world.slices()) == 1, "its end")
    (world.control / "broken").touch()
    world.until(lambda: process.status()["plugins"][0]["state"] == "failed", "a reason for an event")
    world.until(lambda: world.api.log.select("create", "events"), "the event")
    process.kill()
    asked: dict[str, set[str]] = {}
    for request in world.api.log.all():
        # /version is open to everybody, and the kubelet wipes slices in one call.
        if not request.resource.startswith("/") and request.verb != "deletecollection":
            asked.setdefault(request.resource, set()).add(request.verb)
    found = documented()
    assert asked.keys() == found.keys()
    assert asked["resourceslices"] | {"get"} == found["resourceslices"], "get: after a conflict"
    assert asked["events"] | {"patch"} == found["events"], "patch: a series of the same event"
    assert (asked["resourceclaims"], asked["nodes"]) == (found["resourceclaims"], found["nodes"])
