"""The hardware of the plugin `testbed`, as a test sees and handles it."""

from __future__ import annotations

from pathlib import Path

from .api import Object
from .process import wait_for


class Testbed:
    """A folder: what was applied and reverted, and a brake for the next apply."""

    __test__ = False  # for pytest: no test class

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @property
    def settings(self) -> Object:
        """The plugin's section in the node configuration."""
        return {"folder": str(self.folder)}

    def events(self, device: str = "") -> list[str]:
        """ "apply" and "revert", oldest first, of a device or of all."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split()[0] for line in lines if not device or line.split()[1] == device]

    def count(self, what: str, device: str = "") -> int:
        return self.events(device).count(what)

    def marks(self) -> list[str]:
        """Devices with an effect on the node now."""
        folder = self.folder / "marks"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def hold(self, device: str) -> None:
        """The next apply for the device does its work and does not return until `let_go`."""
        (self.folder / f"hold-{device}").touch()

    def let_go(self, device: str) -> None:
        (self.folder / f"hold-{device}").unlink(missing_ok=True)

    def wait_applying(self, device: str, timeout: float = 30.0) -> None:
        wait_for(f"{device} is being applied", lambda: self.count("apply", device), timeout)
