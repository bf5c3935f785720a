"""What the example plugin and the GPU plugin stand on in the matrix."""

from __future__ import annotations

import json

from dracore import Simulation
from dracore.testing.crash import Ground


class Interfaces(Ground):
    """Two network interfaces in a folder that stands for /sys/class/net."""

    def arrange(self):
        import nics

        nics.INTERFACES = self.folder / "net"
        for name in ("eth0", "eth1"):
            place = self.folder / "net" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "mtu").write_text("1500\n")

    def observe(self):
        return {
            str(path.relative_to(self.folder)): path.is_dir() for path in sorted(self.folder.rglob("*/*"))
        }


class SimulatedGpus(Ground):
    """A simulated DGX H100 in the run's folder."""

    def arrange(self):
        if not (self.folder / "boot_id").exists():
            (self.folder / "boot_id").write_text("boot-1\n")

    def simulation(self):
        return Simulation("dgx-h100", self.folder / "state", self.folder / "boot_id")

    def observe(self):
        """The modes and partitions of every GPU that are not as the factory left them."""
        file = self.folder / "state/state.json"
        if not file.exists():
            return {}
        kept = ("mig", "mig_pending", "instances", "compute_mode", "persistence")
        gpus = json.loads(file.read_text())["gpus"]
        return {f"{uuid} {name}": gpu[name] for uuid, gpu in gpus.items() for name in kept if gpu[name]}

    def reboot(self):
        (self.folder / "boot_id").write_text("boot-2\n")
