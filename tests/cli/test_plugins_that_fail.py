"""What a person reads when a plugin is no good: which one it is, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = """
from dracore import Device, hookimpl
@hookimpl
def dra_discover(ctx): return [Device("a")]
@hookimpl
def dra_prepare(device): ...
"""
Install = Callable[..., dict[str, str]]


@pytest.fixture
def install(folder: Path) -> Install:
    """Installs a module as a plugin named like it; answers the environment in which it is found."""

    def install(name: str, code: str, driver: str = "toys.example.com") -> dict[str, str]:
        site = folder / "site"
        info = site / f"dra_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dra-{name}\nVersion: 1.0\n")
        points = f"[dracore.plugins]\n{name} = {name}\n[dracore.drivers]\n{name} = {driver}\n"
        (info / "entry_points.txt").write_text(points)
        (folder / "node.yaml").write_text(
            f"node: n\nplugins: {{{name}: }}\nkubelet: {{rootDir: k}}\ncdi: {{dir: cdi}}\n"
            "host: {statusSocket: s.sock}\n"
        )
        return {"PYTHONPATH": str(site)}

    return install


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "import nosuchmodule",
            "plugin toys of dra-toys 1.0: cannot be imported from toys: ModuleNotFoundError",
        ),
        ("def (", "cannot be imported from toys: SyntaxError"),
        (
            GOOD + "@hookimpl\ndef dra_discovr(ctx): ...\n",
            "dra_discovr is not a hook of dracore; did you mean 'dra_discover'?",
        ),
        (
            GOOD.replace("(ctx)", "(contex)"),
            "dra_discover has no argument 'contex' (it has: ctx); did you mean 'ctx'?",
        ),
        (GOOD.replace("@hookimpl\ndef dra_prepare(device): ...\n", ""), "dra_prepare missing"),
        (
            GOOD + "from dracore import Driver\n@hookimpl\n"
            "def dra_driver(): return Driver('toys.example.com', requires=('nvidia_gpu',))\n",
            "requires the plugin 'nvidia_gpu', which is not enabled; add 'nvidia_gpu' to `plugins`",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded(
    dracore: Any, install: Install, folder: Path, code: str, expected: str
) -> None:
    env = install("toys", code)
    commands = [("config", "check"), ("run", "--config")]
    if code == "def (":  # all of them load plugins in one way
        commands += [("slices", "--config"), ("manifests", "--config")]
    for command in commands:
        done = dracore(*command, "node.yaml", env=env)
        assert (done.returncode, done.stdout) == (1, ""), command
        assert done.stderr.startswith("dracore: node.yaml:2: plugins.toys: "), done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    assert not (folder / "k").exists()


def test_a_plugin_that_fails_leaves_the_others_devices(dracore: Any, install: Install, folder: Path) -> None:
    env = install("toys", GOOD + "@hookimpl\ndef dra_start(ctx): raise RuntimeError('no library')\n")
    done = dracore("slices", "--config", "node.yaml", "-o", "json", env=env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("dracore: toys.example.com: plugin toys, hook dra_start: RuntimeError: no library")
    (folder / "node.yaml").write_text("node: n\nplugins: {toys: , nvidia_gpu: {driverRoot: /nowhere}}\n")
    done = dracore("slices", "--config", "node.yaml", env=env)
    assert done.returncode == 1, "another driver's answer does not hide it"
    assert "gpu.nvidia.com: no device is offered" in done.stderr
    assert "gpu.nvidia.com: plugin nvidia_gpu: driver root" in done.stderr


def test_a_device_that_breaks_a_limit_is_left_out_and_named(dracore: Any, install: Install) -> None:
    code = GOOD.replace('[Device("a")]', '[Device("a"), Device("b", attributes={"x": "y" * 65})]')
    done = dracore("slices", "--config", "node.yaml", "-o", "json", env=install("toys", code))
    assert done.returncode == 0
    (item,) = json.loads(done.stdout)["items"]
    assert [device["name"] for device in item["spec"]["devices"]] == ["a"]
    assert done.stderr.startswith("dracore: device n/b: ")
    assert "left out until that is mended" in done.stderr
