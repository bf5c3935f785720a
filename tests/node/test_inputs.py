"""Wrong and changed inputs: one clear message, and a process that goes on where it can."""

from __future__ import annotations

import json
import signal
import socket
from typing import Any

import pytest

from dracore.testing.kubelet import KubeletError

TOYS = "toys.example.com"


def refused(world: Any, config: Any) -> str:
    """What a process says that cannot start."""
    process = world.process(config)
    assert process.child.wait(60) == 1
    log = process.log.read_text()
    assert "Traceback" not in log
    return str(log)


def test_a_wrong_configuration(world: Any) -> None:
    log = refused(world, world.configure(plugins={"toys": {"control": 5, "colour": "x"}}, nod="x"))
    assert "3 faults" in log
    assert "did you mean 'color'" in log


def test_a_socket_path_that_is_too_long(world: Any) -> None:
    log = refused(world, world.configure(kubelet={"rootDir": str(world.folder / ("x" * 100))}))
    assert "kubelet" in log
    assert "107" in log


def test_a_folder_that_cannot_be_written(world: Any) -> None:
    (world.folder / "file").write_text("")
    log = refused(world, world.configure(kubelet={"rootDir": str(world.folder / "file")}))
    assert str(world.folder / "file") in log


def test_a_cdi_folder_that_cannot_be_used_leaves_no_claim_behind(world: Any) -> None:
    (world.folder / "file").write_text("")
    process = world.ready(world.configure(cdi={"dir": str(world.folder / "file" / "cdi")}))
    world.claim("c", "toy-0")
    with pytest.raises(KubeletError, match=r"cannot write .*check cdi\.dir"):
        world.kubelet.run_pod("c", ["c"])
    assert (world.held(), process.status()["claims"]) == ([], [])
    world.kubelet.delete_pod("c")


def test_a_boot_id_that_is_not_there(world: Any) -> None:
    host = {"statusSocket": str(world.folder / "status.sock"), "bootIdFile": str(world.folder / "none")}
    log = refused(world, world.configure(host=host))
    assert "host.bootIdFile: the boot id cannot be read" in log


def test_a_boot_id_file_that_is_empty(world: Any) -> None:
    """Taken for an id it would say after every reboot that there was none."""
    file = world.folder / "boot"
    file.write_text("\n")
    host = {"statusSocket": str(world.folder / "status.sock"), "bootIdFile": str(file)}
    assert "host.bootIdFile: there is no boot id in" in refused(world, world.configure(host=host))


def test_a_filter_that_does_not_compile(world: Any) -> None:
    assert "filter: not valid at line 1" in refused(world, world.configure(filter="device.attributes["))


def test_a_second_process_for_the_same_driver(world: Any) -> None:
    first = world.ready()
    log = refused(world, world.configure("second.yaml"))
    assert "another process" in log
    assert "--instance-id" in log
    assert first.registered()
    assert len(world.sockets()) == 2


def test_an_instance_id_that_is_no_name(world: Any) -> None:
    process = world.process(None, "../x")
    assert process.child.wait(60) == 1
    assert "no instance id" in process.log.read_text()


def test_a_port_that_is_taken_is_only_a_warning(world: Any) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        process = world.ready(world.configure(observe={"port": other.getsockname()[1]}))
        status = world.until(lambda: (s := process.status()) and s["problems"] and s, "the problem")
    assert "cannot be served" in status["problems"][0]


def test_a_status_socket_that_cannot_be_made_stops_no_pod(world: Any) -> None:
    (world.folder / "file").write_text("")
    host = {"statusSocket": str(world.folder / "file" / "s"), "bootIdFile": str(world.boot_id)}
    process = world.process(world.configure(host=host))
    world.kubelet.wait_for_driver(TOYS, timeout=30)
    world.until(world.slices, "publishing")
    assert process.said("`dracore status` cannot ask this process")


def test_no_credentials(world: Any) -> None:
    process = world.process(world.configure(kube={"kubeconfig": str(world.folder / "none")}))
    world.kubelet.wait_for_driver(TOYS, timeout=30)
    status = world.until(lambda: (s := process.status()) and s["problems"] and s, "the problem")
    assert "the file does not exist" in status["problems"][0]
    world.api.write_kubeconfig(world.folder / "none")
    world.until(world.slices, "publishing once the file is there")
    assert process.status()["problems"] == []


def test_a_kubelet_that_does_not_register_the_driver(world: Any) -> None:
    world.kubelet.stop()
    process = world.process()

    what = "the kubelet has not registered this driver yet, so nothing is published"
    (text,) = world.until(lambda: [text for text in process.degradations() if what in text], "the problem")
    assert str(world.kubelet.registry_dir) in text
    world.kubelet.start()
    world.until(process.registered, "registration")
    world.until(world.slices, "slices")
    assert process.degradations() == []


def test_a_node_object_that_comes_late(world: Any) -> None:
    process = world.process(world.configure(node="node-2"))

    world.until(lambda: "there is no node object node-2" in "".join(process.degradations()), "the problem")
    world.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}})
    world.until(world.slices, "publishing")
    world.until(lambda: not process.degradations(), "the end of the problem")


@pytest.mark.parametrize("how", ["signal", "file"])
def test_reload(world: Any, how: str) -> None:
    config = world.configure()
    process = world.ready(config)
    content = json.loads(config.read_text())
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    config.write_text(
        json.dumps(
            {
                **content,
                "filter": f"device.attributes['{TOYS}'].index != 0",
                "cdi": {"dir": str(world.folder / "other")},
                "plugins": {"toys": {"control": str(world.control), "color": "green", "devices": 9}},
            }
        )
    )
    if how == "signal":
        process.signal(signal.SIGHUP)
    world.until(lambda: process.said("reloaded"), "the reload")
    world.until(
        lambda: {d["attributes"]["color"]["string"] for d in world.devices()} == {"green"}, "the new color"
    )
    assert [device["name"] for device in world.devices()] == ["toy-1", "toy-2", "toy-3"]
    problems = process.status()["problems"]
    assert [text.partition(" ")[0] for text in problems] == ["cdi.dir", "plugins.toys.devices"]
    assert all("waits for a restart" in text for text in problems)
    assert [claim["state"] for claim in process.status()["claims"]] == ["prepared"]
    world.kubelet.delete_pod("c")
    assert world.held() == []
    # A file that cannot be used changes nothing, and the next good one is taken.
    config.write_text("{")
    process.signal(signal.SIGHUP)
    world.until(lambda: "is not used" in process.status()["problems"][0], "the refusal")
    config.write_text(json.dumps(content))
    world.until(lambda: len(world.devices()) == 4, "the way back")
    world.until(lambda: process.status()["problems"] == [], "no problem left")
