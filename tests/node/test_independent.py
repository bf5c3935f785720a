"""Two drivers in one process: what one waits for or fails at is not the other's."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

TOYS, DOLLS = "toys.example.com", "dolls.example.com"
BOTH = pytest.mark.parametrize(("bad", "good"), [(TOYS, DOLLS), (DOLLS, TOYS)], ids=["first", "second"])


@pytest.fixture
def config(world: Any) -> Path:
    control = {"control": str(world.control)}
    made: Path = world.configure(plugins={"toys": control, "dolls": control}, observe={"port": 0})
    return made


def of(process: Any, driver: str) -> dict[str, Any]:
    status = process.status()
    (found,) = [entry for entry in status["drivers"] if entry["name"] == driver]
    return found


def serves(world: Any, driver: str, claim: str) -> None:
    world.claim(claim, "toy-0", driver=driver)
    world.kubelet.run_pod(claim, [claim], retry_for=30)
    world.kubelet.delete_pod(claim, retry_for=30)


@BOTH
def test_a_blocked_journal_blocks_its_driver_alone(
    world: Any, config: Path, stop_in_commit: Any, bad: str, good: str
) -> None:
    world.ready(config, "", TOYS, DOLLS).kill()
    stopped = stop_in_commit(bad)
    process = world.process(config)
    assert process.page("/healthz")[0] == 200, "at once, and another start would not help"
    world.until(lambda: (s := process.status()) and s and of(process, good)["published"], "the other one")
    serves(world, good, "g")
    world.until(lambda: world.events("JournalBlocked"), "the event")
    assert "database is locked" in process.degradations(bad)[0]
    code, text = process.page("/readyz")
    assert code == 503
    assert text.startswith(f"{bad}: ")
    assert good not in text
    assert process.page("/healthz") == (200, "ok\n")
    stopped.send_signal(signal.SIGCONT)
    world.until(lambda: process.page("/readyz") == (200, "ok\n"), "both", 60)
    serves(world, bad, "b")
    world.until(lambda: of(process, bad)["publishes"], "publishing")
    assert process.degradations(bad) == []
    assert process.stop() == 0


@BOTH
def test_a_driver_that_cannot_start_is_tried_again_beside_the_other(
    world: Any, config: Path, bad: str, good: str
) -> None:
    folder = Path(world.kubelet.plugins_dir) / bad
    folder.write_text("in the way")
    process = world.process(config)
    world.until(lambda: (s := process.status()) and s and of(process, good)["published"], "the other one")
    serves(world, good, "g")
    (text,) = process.degradations(bad)
    assert "cannot start" in text
    assert str(folder) in text
    assert process.page("/healthz") == (200, "ok\n")
    assert process.page("/readyz")[0] == 503
    (told,) = world.until(lambda: world.events("StartFailed"), "the event")
    assert str(folder) in told["message"]
    states = {plugin["driver"]: plugin["state"] for plugin in process.status()["plugins"]}
    assert states == {good: "running", bad: "waiting"}
    folder.unlink()
    world.until(lambda: process.page("/readyz") == (200, "ok\n"), "both", 60)
    serves(world, bad, "b")
    assert process.degradations(bad) == []
    assert "Traceback" not in process.log.read_text()
    assert process.stop() == 0
    assert world.sockets(bad) == []


def test_where_none_can_start_the_process_ends(world: Any, config: Path) -> None:
    for driver in (TOYS, DOLLS):
        (Path(world.kubelet.plugins_dir) / driver).write_text("in the way")
    process = world.process(config)
    assert process.child.wait(60) == 1
    log = process.log.read_text()
    assert "cannot open the journal" in log
    assert "Traceback" not in log
    assert not process.said("the driver cannot start"), "the last line says it"


def test_a_plugin_waits_for_one_of_a_driver_that_cannot_start(world: Any, tmp_path: Path) -> None:
    """Dolls here require toys: they have no devices while toys cannot start, and are served all the same."""
    package = tmp_path / "package"
    shutil.copytree(Path(__file__).parent / "package", package)
    code = package / "dracore_toys.py"
    code.write_text(
        code.read_text().replace(
            "    def dra_driver(self) -> str:\n        return self._driver\n",
            "    def dra_driver(self):\n        return dracore.Driver(self._driver, requires=('toys',))"
            " if self._driver.startswith('dolls') else self._driver\n",
        )
    )
    control = {"control": str(world.control)}
    config = world.configure(plugins={"toys": control, "dolls": control})
    folder = Path(world.kubelet.plugins_dir) / TOYS
    folder.write_text("in the way")
    process = world.process(config, package=package)
    world.until(lambda: (s := process.status()) and s and of(process, DOLLS)["registered"], "dolls", 60)
    assert world.devices(DOLLS) == []
    folder.unlink()
    world.until(lambda: world.devices(DOLLS), "dolls once toys are there", 60)
    assert {plugin["state"] for plugin in process.status()["plugins"]} == {"running"}
