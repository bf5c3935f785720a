"""The plugin as the core finds it: entry point, settings, classes, parameters, commands, checks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from dracore_nvidia_gpu import plugin
from dracore_nvidia_gpu.gpus import Places
from dracore_nvidia_gpu.settings import Settings

from dracore.config import parse
from dracore.config.opaque import Opaque
from dracore.errors import ConfigError, DracoreError
from dracore.model.claim import Claim, ClaimRef, OpaqueConfig, Result
from dracore.model.device import Device
from dracore.plugins import Plugins

V1BETA1 = "resource.nvidia.com/v1beta1"


def configuration(section):
    return (
        "apiVersion: dracore.dev/v1alpha1\nkind: NodeConfiguration\nnode: n1\n"
        f"plugins:\n  nvidia_gpu: {json.dumps(section)}\n"
    )


@pytest.fixture
def plugins():
    return Plugins.load({"nvidia_gpu": {}})


# --- load ---------------------------------------------------------------------------------------------


def test_it_is_installed_under_its_driver(plugins):
    assert list(plugins.drivers()) == ["gpu.nvidia.com"]


def test_loading_it_imports_nothing_that_costs():
    code = (
        "import sys; import dracore_nvidia_gpu.plugin; "
        "bad = {'pynvml', 'pydantic', 'click', 'yaml', 'structlog', 'kubernetes'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_device_class_is_that_of_nvidias_driver():
    (found,) = plugin.dra_device_classes()
    assert found.name == "gpu.nvidia.com"
    assert found.selectors == (
        "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'",
    )
    assert found.extended_resource_name == "nvidia.com/gpu"
    assert found.config == ()


# --- settings -----------------------------------------------------------------------------------------


def test_settings_are_read_from_the_configuration():
    loaded = parse(configuration({"driverRoot": "/run/nvidia/driver/", "discoveryInterval": 5}), "f.yaml", {})
    settings = loaded.plugins.settings("nvidia_gpu")
    assert settings.driver_root == "/run/nvidia/driver"
    assert settings.discovery_interval == 5.0
    assert settings.sys_root == "/sys"


def test_every_setting_says_what_it_is():
    assert [n for n, f in Settings.model_fields.items() if not f.description] == []


@pytest.mark.parametrize(
    ("section", "parts"),
    [
        ({"driverroot": "/"}, ["plugins.nvidia_gpu.driverroot", "unknown key", "driverRoot"]),
        ({"driverRoot": "run/nvidia"}, ["plugins.nvidia_gpu.driverRoot", "begins with /"]),
        ({"driverRoot": 3}, ["plugins.nvidia_gpu.driverRoot", "3", "text"]),
        ({"discoveryInterval": 0.1}, ["plugins.nvidia_gpu.discoveryInterval", "0.1"]),
        ({"disabledHooks": ["chmod"]}, ["plugins.nvidia_gpu.disabledHooks", "chmod", "update-ldcache"]),
    ],
)
def test_a_wrong_setting_is_one_clear_error(section, parts):
    with pytest.raises(ConfigError) as error:
        parse(configuration(section), "f.yaml", {})
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("section", "driver", "dev", "own_host"),
    [
        ({}, ("/", "/"), ("/", "/"), True),
        ({"driverRoot": "/d"}, ("/d", "/d"), ("/", "/"), True),
        ({"driverRoot": "/d", "devRoot": "/d"}, ("/d", "/d"), ("/d", "/d"), True),
        ({"driverRoot": "/d", "driverRootMount": "/m"}, ("/d", "/m"), ("/", "/"), False),
        ({"driverRoot": "/d", "driverRootMount": "/m", "devRoot": "/d"}, ("/d", "/m"), ("/d", "/m"), False),
        ({"devRoot": "/v"}, ("/", "/"), ("/v", "/v"), True),
    ],
)
def test_places(section, driver, dev, own_host):
    places = Places.of(Settings.model_validate(section))
    assert (places.driver.host, places.driver.here) == driver
    assert (places.dev.host, places.dev.here) == dev
    assert places.own_host is own_host


def test_the_drivers_root_has_the_nodes_where_it_has_nvidiactl(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").symlink_to("/dev/null")
    places = Places.of(Settings.model_validate({"driverRoot": "/d", "driverRootMount": str(tmp_path)}))
    assert (places.dev.host, places.dev.here) == ("/d", str(tmp_path))


# --- opaque parameters --------------------------------------------------------------------------------


def resolve(plugins, *parameters):
    claim = Claim(
        ClaimRef("u1", "ns", "c"),
        allocated=True,
        results=(Result("gpu", "gpu.nvidia.com", "n1", "gpu-0"),),
        configs=tuple(OpaqueConfig("FromClaim", "gpu.nvidia.com", p) for p in parameters),
    )
    return Opaque(plugins, "gpu.nvidia.com").resolve(claim, [Device("gpu-0", "gpu")])


def test_an_empty_gpu_config_is_accepted(plugins):
    resolution = resolve(plugins, {"apiVersion": V1BETA1, "kind": "GpuConfig"})
    assert resolution.configs[0].sharing is None
    assert resolution.groups == ()


def test_without_parameters_a_gpu_is_not_shared(plugins):
    assert resolve(plugins).configs[0].sharing is None


@pytest.mark.parametrize("strategy", ["TimeSlicing", "MPS"])
def test_a_strategy_that_nobody_offers_is_one_clear_error(plugins, strategy):
    with pytest.raises(DracoreError) as error:
        resolve(plugins, {"apiVersion": V1BETA1, "kind": "GpuConfig", "sharing": {"strategy": strategy}})
    assert strategy in str(error.value)
    assert "no enabled plugin brings one" in str(error.value)
    assert "sharing.strategy" in str(error.value)


def test_unknown_fields_are_refused(plugins):
    with pytest.raises(DracoreError, match=r"unknown key 'sharring'.*sharing"):
        resolve(plugins, {"apiVersion": V1BETA1, "kind": "GpuConfig", "sharring": {}})


# --- checks -------------------------------------------------------------------------------------------


def verdicts(under_test):
    return {check.name: check for check in plugin.dra_preflight(under_test.ctx)}


def test_a_good_node(node):
    under_test = node("dgx-h100")
    under_test.discover()
    found = verdicts(under_test)
    assert [name for name, check in found.items() if not check.ok] == []
    assert found["NVML"].message == "simulated, driver 580.95.05"
    assert found["GPUs"].message == "8 offered, 0 withheld, 0 lost"
    assert found["driver files"].message.endswith("files of driver 580.95.05")


def test_every_verdict_that_is_not_good_says_what_to_do(node):
    under_test = node("dgx-h100")
    under_test.hardware.set_driver(loaded=False)
    under_test.discover()
    found = verdicts(under_test)
    assert {"NVML", "GPUs", "device nodes", "nvidia-persistenced"} == {
        name for name, check in found.items() if not check.ok
    }
    assert all(check.message for check in found.values())
    assert [name for name, check in found.items() if not check.ok and not check.fix] == []
    assert "nvidia-modprobe" in found["device nodes"].fix
    assert "kernel driver is not loaded" in found["NVML"].message


def test_checks_of_lost_and_withheld_gpus(node):
    under_test = node("dgx-h100")
    under_test.hardware.lose("1")
    under_test.hardware.set_mig_mode(under_test.simulator.spec.gpus[2].uuid, 1)
    under_test.discover()
    check = verdicts(under_test)["GPUs"]
    assert (check.ok, check.message) == (False, "6 offered, 1 withheld, 1 lost")


def test_checks_of_a_node_without_any_driver(tmp_path):
    from dracore_nvidia_gpu.gpus import Gpus
    from dracore_nvidia_gpu.preflight import checks

    settings = Settings.model_validate(
        {"driverRoot": str(tmp_path / "gone"), "sysRoot": str(tmp_path), "procRoot": str(tmp_path)}
    )
    found = {c.name: c for c in checks(Gpus.open(settings, None))}
    assert not any(found[name].ok for name in ("driver root", "NVML", "GPUs", "device nodes"))
    assert found["nvidia-persistenced"].fix == "start nvidia-persistenced"
    assert "driverRoot" in found["driver root"].fix
    assert "libnvidia-ml.so.1" in found["NVML"].message


# --- commands -----------------------------------------------------------------------------------------


def test_the_simulated_node_can_be_changed_from_the_command_line(node):
    under_test = node("dgx-a100-40")
    under_test.discover()
    (sim,) = plugin.dra_commands()
    assert sim.name == "sim"

    def run(*args):
        done = CliRunner().invoke(sim, ["--state-dir", str(under_test.state_dir), *args])
        assert done.exit_code == 0, done.output
        return done.output

    run("fault", "lost", "gpu", "1")
    assert [d.name for d in under_test.discover().devices if d.taints] == ["gpu-1"]
    assert json.loads(run("show"))["node"] == "dgx-a100-40"
    run("clear")
    assert not [d for d in under_test.discover().devices if d.taints]
    run("reload", "--version", "590.44.01")
    assert str(under_test.devices()["gpu-0"].attributes["driverVersion"]) == "590.44.1"
    run("xid", "79", "--gpu", "0")
    assert [d.name for d in under_test.discover().devices if d.taints] == ["gpu-0"]


# --- life ---------------------------------------------------------------------------------------------


def test_a_restarted_plugin_meets_the_same_node(node):
    under_test = node("dgx-h100")
    before = under_test.devices()
    under_test.stop()
    under_test.start()
    assert under_test.devices() == before


def test_an_unknown_simulated_node_is_one_clear_error(node):
    with pytest.raises(DracoreError) as error:
        node("dgx-h10")
    assert "did you mean dgx-h100" in str(error.value)
    assert "\n" not in str(error.value)


def test_help_of_every_simulator_command_needs_no_folder():
    (sim,) = plugin.dra_commands()
    for name in sim.commands:
        done = CliRunner().invoke(sim, [name, "--help"])
        assert done.exit_code == 0, done.output
        assert "Usage:" in done.output
    done = CliRunner().invoke(sim, ["show"])
    assert done.exit_code == 2
    assert "Missing option '--state-dir'" in done.output
