"""A node: containerd and a kubelet in namespaces of their own; all that they write is below one folder."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from .binaries import Binaries
from .controlplane import ControlPlane
from .network import Network, pids_in
from .process import Component, alive, kill_all, wait_for
from .runtime import kubelet_config, write_containerd

# Kernel settings that a kubelet would change for the whole machine: it finds what it wants, writes nothing.
TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

# $1 is the node's folder. The kubelet's device manager knows only /var/lib/kubelet; the overlay lets that
# folder exist here without making it on the machine.
MOUNTS = """
set -e
umount -R /sys 2>/dev/null || umount -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/varlib/upper /run/varlib/work
if [ ! -d /var/lib/kubelet ]; then
    mount -t overlay -o lowerdir=/var/lib,upperdir=/run/varlib/upper,workdir=/run/varlib/work overlay /var/lib
    mkdir /var/lib/kubelet
fi
mount --bind "$1/kubelet" /var/lib/kubelet
mount --bind "$1/log" /var/log
for setting in $(cd "$1/tunables" && find . -type f); do
    [ -e "/proc/sys/$setting" ] && mount --bind "$1/tunables/$setting" "/proc/sys/$setting"
done
touch "$1/mounted"
exec sleep infinity
"""


class Node:
    """start, wait_ready, stop; reboot. `kubelet` and `containerd` can be stopped and started by themselves.

    Paths are the same inside and outside. `cdi` is the folder of CDI specs, `boot_id` the file that stands
    for /proc/sys/kernel/random/boot_id, `status_socket` where a driver answers `dracore status`.
    """

    def __init__(
        self,
        name: str,
        short: str,
        folder: Path,
        logs: Path,
        image: Path,
        binaries: Binaries,
        plane: ControlPlane,
        network: Network,
    ) -> None:
        self.name = name
        self.short = short  # a letter or two: parts of socket and interface names, which are short
        self.folder = folder
        self.logs = logs
        self.kubelet_dir = folder / "kubelet"
        self.cdi = folder / "cdi"
        self.boot_id = folder / "boot_id"
        self.status_socket = folder / "status.sock"
        self.address = ""
        self._image = image
        self._binaries = binaries
        self._plane = plane
        self._network = network
        self._namespace = ""
        self._holder: subprocess.Popen[bytes] | None = None
        self.containerd = Component(f"containerd-{name}", [], logs / f"containerd-{name}.log")
        self.kubelet = Component(f"kubelet-{name}", [], logs / f"kubelet-{name}.log")

    # ------------------------------------------------------------------- life

    def start(self) -> None:
        """Starts the node; `wait_ready` follows. Several nodes become ready side by side."""
        for path in (self.kubelet_dir, self.cdi, self.folder / "log" / "pods"):
            path.mkdir(parents=True, exist_ok=True)
        for setting, value in TUNABLES.items():
            path = self.folder / "tunables" / setting
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value + "\n")
        self._namespace, self.address = self._network.add(self.short)
        self._boot()

    def _boot(self) -> None:
        self.boot_id.write_text(f"{uuid.uuid4()}\n")
        ready = self.folder / "mounted"
        ready.unlink(missing_ok=True)
        enter = [
            "nsenter",
            f"--net=/run/netns/{self._namespace}",
            "--",
            "unshare",
            "--mount",
            "--propagation",
            "private",
        ]
        with (self.logs / f"mounts-{self.name}.log").open("ab") as log:
            self._holder = subprocess.Popen(
                [*enter, "--", "sh", "-c", MOUNTS, "sh", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(f"the mounts of {self.name} stand ({log.name})", ready.exists, timeout=10, every=0.02)
        self._start_containerd()
        self._start_kubelet()

    def _start_containerd(self) -> None:
        folder = self.folder / "containerd"
        config = write_containerd(folder, self.cdi, self._binaries)
        bins = str(self._binaries["containerd"].parent)
        environment = {**os.environ, "PATH": f"{bins}:{os.environ.get('PATH', '')}"}
        self.containerd.command = self.inside([str(self._binaries["containerd"]), "--config", str(config)])
        self.containerd.environment = environment
        self.containerd.start()
        self.containerd.wait_ready((folder / "containerd.sock").exists, timeout=30)
        wait_for(
            "containerd answers",
            lambda: self.run(self.ctr("version"), check=False).returncode == 0,
            timeout=30,
        )
        marker = folder / "imported"
        if not marker.exists():
            self.run(self.ctr("images", "import", "--local", "--snapshotter", "native", str(self._image)))
            marker.touch()

    def _start_kubelet(self) -> None:
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps(kubelet_config(self.folder, self.folder / "containerd/containerd.sock")))
        self.kubelet.command = self.inside(
            [
                str(self._binaries["kubelet"]),
                f"--config={config}",
                f"--kubeconfig={self._plane.kubeconfig('kubelet')}",
                f"--root-dir={self.kubelet_dir}",
                f"--cert-dir={self.folder / 'pki'}",
                f"--hostname-override={self.name}",
                f"--node-ip={self.address}",
                "--v=3",
            ]
        )
        self.kubelet.start()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Until the API server calls this node Ready and takes pods for it."""

        def ready() -> bool:
            self.kubelet.check_running()
            self.containerd.check_running()
            node = self._plane.api.find("Node", self.name)
            assert node is not None, "the kubelet has not registered it"
            conditions = {entry["type"]: entry["status"] for entry in node["status"].get("conditions", [])}
            taints = node["spec"].get("taints", [])
            assert conditions.get("Ready") == "True", conditions
            assert not taints, taints
            return True

        wait_for(f"node {self.name} is Ready", ready, timeout)

    def stop(self) -> None:
        """Ends every process of the node, containers included, and forgets the node in the API."""
        self.kill()
        subprocess.run(["ip", "netns", "delete", self._namespace], capture_output=True)
        api = self._plane.api
        for pod in api.list("Pod", fields=f"spec.nodeName={self.name}"):
            api.delete("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], grace=0)
        api.delete_all("ResourceSlice", fields=f"spec.nodeName={self.name}")
        api.delete("Node", self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Every process at once, as a power cut does it."""
        if self._namespace:
            kill_all(lambda: pids_in(self._namespace))
        for component in (self.kubelet, self.containerd):
            component.kill()  # reaps it
        if self._holder is not None:
            self._holder.wait()
            self._holder = None

    def reboot(self) -> None:
        """As after a power cut: no process and no container, /run and the CDI folder empty, a new boot id.

        Disks stay. A driver that ran inside is gone too.
        """
        self.power_off()
        self.power_on()

    def power_off(self) -> None:
        """The first half of a reboot."""
        self.kill()
        shutil.rmtree(self.cdi)
        self.cdi.mkdir()
        shutil.rmtree(self.folder / "containerd" / "state")

    def power_on(self) -> None:
        """The second half; a new boot id."""
        self._boot()

    def restart_kubelet(self) -> None:
        self.kubelet.stop()
        self.kubelet.start()

    # -------------------------------------------------------- running things

    def inside(self, command: list[str]) -> list[str]:
        """The command line that runs `command` on the node. It execs: the pid is the command's."""
        assert self._holder is not None, f"{self.name} is not started"
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--", *command]

    def run(
        self,
        command: list[str],
        check: bool = True,
        timeout: float = 60.0,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.inside(command),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)} on {self.name}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def ctr(self, *arguments: str) -> list[str]:
        return [
            str(self._binaries["ctr"]),
            "--address",
            str(self.folder / "containerd/containerd.sock"),
            "-n",
            "k8s.io",
            *arguments,
        ]

    def processes(self) -> list[int]:
        """Pids of all that runs on the node, containers included."""
        return [pid for pid in pids_in(self._namespace) if alive(pid)]

    def container_pids(self) -> list[int]:
        """Pids of the first processes of pod containers and sandboxes."""
        lines = self.run(self.ctr("tasks", "list")).stdout.splitlines()[1:]
        return [int(line.split()[1]) for line in lines if line.split()[2] == "RUNNING"]

    def cdi_devices(self, container_id: str) -> list[str]:
        """The CDI names that the kubelet asked containerd for; container_id as in the pod's status."""
        plain = container_id.removeprefix("containerd://")
        info = json.loads(self.run(self.ctr("containers", "info", plain)).stdout)
        extension = info["Extensions"]["io.cri-containerd.container.metadata"]
        metadata = json.loads(base64.b64decode(extension["value"]))
        config = metadata["Metadata"]["Config"]
        return sorted(device["name"] for device in config.get("CDI_devices", []))

    # ------------------------------------------------------- files of drivers

    def plugin_dir(self, driver: str) -> Path:
        return self.kubelet_dir / "plugins" / driver

    def registration_sockets(self, driver: str) -> list[Path]:
        folder = self.kubelet_dir / "plugins_registry"
        return sorted(folder.glob(f"{driver}-*reg.sock")) if folder.is_dir() else []

    def cdi_files(self, driver: str = "", claim_uid: str = "") -> list[Path]:
        """CDI specs of a driver, or of one of its claims."""
        return sorted(self.cdi.glob(f"dracore-{driver or '*'}-{claim_uid}*.json"))
