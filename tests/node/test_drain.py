"""A plugin that is taken out while its claims are prepared: disabled, or not even installed any more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dracore.testing.kubelet import KubeletError

TOYS, DOLLS = "toys.example.com", "dolls.example.com"


def enabled(world: Any, *plugins: str, **more: Any) -> Path:
    control = {"control": str(world.control)}
    return Path(world.configure(plugins=dict.fromkeys(plugins, control), **more))


def test_a_disabled_driver_is_said_and_drains(world: Any) -> None:
    process = world.ready(enabled(world, "toys", "dolls"), "", TOYS, DOLLS)
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    assert process.stop() == 0
    # Taken out without a word: what is left of it is said.
    process = world.ready(enabled(world, "dolls"), "", DOLLS)
    (text,) = process.status()["problems"]
    assert text == (
        f"{TOYS}: 1 claims and 1 effects are on this node and nobody serves them; "
        f"enable its plugin, or put {TOYS} on `drain`"
    )
    assert process.stop() == 0
    process = world.ready(enabled(world, "dolls", drain=[TOYS]), "", DOLLS)
    status = process.status()
    assert status["problems"] == []
    toys = next(driver for driver in status["drivers"] if driver["name"] == TOYS)
    assert toys["devices"] == []
    assert "1 claims are to be released" in "".join(toys["degradations"])
    world.until(lambda: not world.devices(TOYS), "nothing is offered")
    world.claim("late", "toy-1")
    with pytest.raises(KubeletError, match="toy-1"):
        world.kubelet.run_pod("late", ["late"])
    world.kubelet.delete_pod("c", retry_for=20)
    assert (world.held(), world.specs(), process.status()["claims"]) == ([], {}, [])
    world.until(
        lambda: "take it off `drain`" in str(process.status()["drivers"]),
        "what is to be done when all is done",
    )
    assert process.stop() == 0
    process = world.ready(enabled(world, "dolls"), "", DOLLS)
    assert process.status()["problems"] == []


def test_one_that_is_not_installed_is_named_and_drains_when_it_is_again(world: Any) -> None:
    """Two instances' worth of the package: the process is started where only a copy without toys is."""
    process = world.ready(enabled(world, "toys", "dolls"), "", TOYS, DOLLS)
    uid = world.claim("c", "toy-0")["metadata"]["uid"]
    world.kubelet.run_pod("c", ["c"])
    process.kill()
    package = world.folder / "package"
    shutil.copytree(Path(__file__).parent / "package", package)
    module = (package / "dracore_toys.py").read_text()
    (package / "dracore_toys.py").write_text(
        module.replace("return [Mark]", "return []").replace("class Mark(", "class Sticker(")
    )
    points = package / "dracore_toys-1.2.dist-info" / "entry_points.txt"
    points.write_text("[dracore.plugins]\ndolls = dracore_toys:dolls\n")
    process = world.process(enabled(world, "dolls", drain=[TOYS]), package=package)
    world.until(process.registered, "registration")
    with pytest.raises(KubeletError, match="install dracore-toys again; it need not be enabled"):
        world.kubelet.delete_pod("c")
    assert world.held() == ["toy-0"], "nothing is forgotten"
    (claim,) = process.status()["claims"]
    assert (claim["uid"], claim["state"]) == (uid, "releasing")
    assert "dracore-toys" in claim["error"]
    process.kill()
    process = world.process(enabled(world, "dolls", drain=[TOYS]))
    world.until(process.registered, "registration")
    world.until(lambda: world.held() == [], "it is released by itself")
    world.kubelet.delete_pod("c", retry_for=20)
    assert (world.specs(), process.status()["claims"]) == ({}, [])
