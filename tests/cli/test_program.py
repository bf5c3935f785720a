"""The program: help that teaches, commands that load when used, errors that are one message."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from dracore.cli.app import COMMANDS, app


def leaves() -> Iterator[tuple[str, click.Command]]:
    for name, (module, _) in COMMANDS.items():
        command = import_module(module).command
        if isinstance(command, click.Group):
            for inner in command.commands.values():
                yield f"{name} {inner.name}", inner
        else:
            yield name, command


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_one_line_of_help_is_the_command_s_own(name: str) -> None:
    module, text = COMMANDS[name]
    assert import_module(module).command.short_help == text


@pytest.mark.parametrize(
    ("name", "command"), list(leaves()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_help_teaches_with_an_example(name: str, command: click.Command) -> None:
    assert command.help
    assert len(command.help) > 60
    assert command.epilog
    assert "Example:  " in command.epilog
    assert f"dracore {name}" in command.epilog
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name != "output":
            assert parameter.help, f"{name} --{parameter.name} says nothing"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from dracore.cli.app import app\n"
        "app.main(['--help'], standalone_mode=False)\n"
        "heavy = {'rich', 'yaml', 'pydantic', 'kubernetes', 'grpc', 'celpy', 'pluggy', 'structlog'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("HEAVY []")
    assert all(name in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage(dracore) -> None:
    done = dracore("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_one_message(dracore, folder: Path) -> None:
    for arguments in (
        ("run", "--config"),
        ("slices", "--config"),
        ("config", "check"),
        ("manifests", "--config"),
    ):
        done = dracore(*arguments, "absent.yaml")
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("\n") == 1
        assert "dracore: cannot read absent.yaml" in done.stderr


def test_every_fault_of_a_file_is_told(dracore, folder: Path) -> None:
    (folder / "node.yaml").write_text(
        "node: UPPER\nkubelt: {}\nplugins: {nvidia_gpuu: {}}\nobserve: {port: x}\n"
    )
    done = dracore("config", "check", "node.yaml")
    assert done.returncode == 1
    assert done.stdout == ""
    first, *faults = done.stderr.splitlines()
    assert first.startswith("dracore: node.yaml: 4 faults:")
    assert len(faults) == 4
    text = " ".join(faults)
    for said in (
        'node: "UPPER"',
        "unknown key 'kubelt'",
        "did you mean 'kubelet'",
        "did you mean 'nvidia_gpu'",
        "observe.port",
    ):
        assert said in text


def test_a_filter_that_does_not_compile(dracore, folder: Path) -> None:
    (folder / "node.yaml").write_text("node: n\nplugins: {nvidia_gpu: {}}\nfilter: device.attributes[\n")
    done = dracore("config", "check", "node.yaml")
    assert done.returncode == 1
    assert "node.yaml:3: filter: not " in done.stderr


@pytest.mark.parametrize("command", [("config", "check"), ("slices", "--config"), ("run", "--config")])
def test_a_simulation_and_a_filter_are_checked_with_everything_else(dracore, folder: Path, command) -> None:
    (folder / "node.yaml").write_text(
        "node: n\nplugins: {nvidia_gpu: {driverRot: /}}\nfilter: device.x ==\n"
        "simulation: {node: dgx-h10, stateDir: s}\n"
    )
    done = dracore(*command, "node.yaml")
    assert done.returncode == 1
    first, root, wrong_filter, wrong_node = done.stderr.splitlines()
    assert first == "dracore: node.yaml: 3 faults:"
    assert root.startswith("  node.yaml:2: plugins.nvidia_gpu.driverRot: unknown key")
    assert wrong_filter.startswith("  node.yaml:3: filter: not ")
    assert wrong_node.startswith(
        "  node.yaml:4: simulation.node: no simulated node and no file is called dgx-h10"
    )
    assert "did you mean dgx-h100?" in wrong_node
    assert [path.name for path in folder.iterdir()] == ["node.yaml"]


def test_a_file_of_a_simulated_node_is_checked(dracore, folder: Path) -> None:
    (folder / "machine.yaml").write_text("gpus: [{product: h100-sxm5-80gb, pci: nowhere}]\n")
    (folder / "node.yaml").write_text(
        "node: n\nplugins: {nvidia_gpu: }\nsimulation: {node: machine.yaml, stateDir: s}\n"
    )
    done = dracore("config", "check", "node.yaml")
    assert done.returncode == 1
    assert "node.yaml:3: simulation.node: machine: driver is missing" in done.stderr


def test_the_schema_is_a_schema(dracore) -> None:
    schema = json.loads(dracore("config", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"node", "plugins", "filter", "kubelet"} <= set(schema["properties"])
    assert "nvidia_gpu" in schema["properties"]["plugins"]["properties"]


def test_plugins(dracore) -> None:
    (gpu,) = [p for p in json.loads(dracore("plugins", "-o", "json").stdout) if p["name"] == "nvidia_gpu"]
    assert gpu["driver"] == "gpu.nvidia.com"
    assert gpu["state"] == "available"
    assert "dra_prepare" in gpu["hooks"]
    table = dracore("plugins").stdout
    assert "nvidia_gpu" in table
    assert "dracore-nvidia-gpu" in table


def test_commands_of_a_plugin(dracore) -> None:
    done = dracore("nvidia_gpu", "--help")
    assert done.returncode == 0
    assert "Commands of the plugin nvidia_gpu." in done.stdout


def test_status_without_a_process(dracore, folder: Path) -> None:
    done = dracore("status", "--socket", "none.sock")
    assert done.returncode == 1
    assert "no dracore answers here" in done.stderr
    assert "--socket" in done.stderr


def test_a_reader_that_has_enough(dracore, folder: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m dracore.cli config schema | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


def test_the_version(dracore) -> None:
    assert dracore("--version").stdout.startswith("dracore 0.")


def test_app_has_the_help_option_of_one_letter() -> None:
    assert app.context_settings["help_option_names"] == ["-h", "--help"]
