"""What an author sees who checks types with mypy's strict mode: nothing that must be ignored."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

DEVICES = """
from decimal import Decimal

from dracore import Capacity, Device, Quantity, RequestPolicy, Semver

plain = Device("gpu-0", capacity={"memory": "80Gi", "engines": 7, "share": Decimal("0.5")})
policy = Capacity(Quantity.parse(1), RequestPolicy())
ready = Device("gpu-1", capacity={"memory": Quantity.parse("80Gi"), "n": policy})
found: dict[str, str] = {"memory": "80Gi"}
names: dict[str, str | int] = {"model": "T4", "index": 0}
given = Device("gpu-2", attributes=names, capacity=found)
version = Semver(1, 2, 3)
lists = Device("gpu-3", attributes={"links": ["a", "b"], "lanes": (1, 2), "driver": version})
reveal_type(plain.capacity)
reveal_type(lists.attributes)
Device("gpu-4", capacity={"memory": 1.5})
Device("gpu-5", attributes={"speed": 1.5})
plain.name = "gpu-6"
"""


def checked(folder: Path, source: str) -> list[str]:
    """What mypy says of a file, without the file's name."""
    (folder / "plugin.py").write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "plugin.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.replace("plugin.py:", "").splitlines()


def test_a_device_takes_what_is_handy_and_has_what_is_exact(tmp_path: Path) -> None:
    said = checked(tmp_path, DEVICES)
    first, second, *errors = said
    assert re.search(r'note: Revealed type is ".*Mapping\[.*str, .*Capacity\]"', first), said
    assert re.search(r'note: Revealed type is ".*tuple\[.*Semver, \.\.\.\]\]"', second), said
    assert "list[" not in second
    lines = DEVICES.splitlines()
    wrong = [line for line in lines if re.search(r"gpu-[456]", line)]
    assert [lines[int(text.split(":")[0]) - 1] for text in errors] == wrong, said


def test_the_plugin_of_the_guide(tmp_path: Path) -> None:
    source = (ROOT / "examples/plugins/nics/nics.py").read_text()
    assert "ignore" not in source
    assert checked(tmp_path, source) == []


def test_the_effect_of_the_hooks_page(tmp_path: Path) -> None:
    page = (ROOT / "docs/hooks.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert checked(tmp_path, source) == []
