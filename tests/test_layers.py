"""The layers of `.importlinter` cover the package, and a wrong import breaks them."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import dracore

ROOT = Path(__file__).parents[1]
PACKAGE = Path(dracore.__file__).parent


def test_bundled_plugins_may_import_no_inner_module() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    section = parser["importlinter:contract:plugins-use-public-names"]
    forbidden = {name.removeprefix("dracore.") for name in section["forbidden_modules"].split()}
    inner = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert forbidden == inner - {"__init__"}


def test_a_wrong_import_is_found(tmp_path: Path) -> None:
    """The contract of the layers, on a small copy whose lower layer imports a higher one to check types."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    layers = parser["importlinter:contract:layers"]["layers"]
    package = tmp_path / "dracore"
    for name in layers.replace("|", "\n").split():
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    config = tmp_path / "layers.ini"
    lines = "\n".join(f"    {line}" for line in layers.split("\n") if line)
    config.write_text(
        "[importlinter]\nroot_package = dracore\n[importlinter:contract:layers]\nname = layers\n"
        f"type = layers\ncontainers = dracore\nexhaustive = True\nlayers =\n{lines}\n"
    )

    def lint() -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).parent / "lint-imports", "--config", config, "--no-cache"]
        environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    (package / "cdi/__init__.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dracore.prepare\n"
    )
    assert "dracore.cdi is not allowed to import dracore.prepare" in lint().stdout
    (package / "cdi/__init__.py").write_text("import dracore.kube\n")
    assert lint().returncode == 1
    (package / "cdi/__init__.py").write_text("")
    (package / "newcomer").mkdir()
    (package / "newcomer/__init__.py").write_text("")
    assert lint().returncode == 1
