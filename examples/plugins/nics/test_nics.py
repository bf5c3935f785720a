"""The proof of the plugin: killed and failed at every point."""

import nics
import pytest

from dracore.testing import Ground, standard


class Interfaces(Ground):
    """Two interfaces, in a folder that stands for /sys/class/net."""

    def arrange(self):
        nics.INTERFACES = self.folder / "net"
        for name in ("eth0", "eth1"):
            (nics.INTERFACES / name).mkdir(parents=True, exist_ok=True)

    def observe(self):
        return {path.name: path.is_dir() for path in nics.INTERFACES.iterdir()}


@pytest.mark.parametrize("scenario", standard("eth0", "eth1"), ids=str)
def test_nothing_is_lost(crash_matrix, scenario):
    crash_matrix("nics", scenario, driver="nics.example.com", ground=Interfaces)
