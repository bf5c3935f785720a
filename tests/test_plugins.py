"""Plugins: found, checked, ordered, called one at a time; every fault names plugin, origin and cure."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from dracore import ConfigKind, Device, Driver, Effect, SharingStrategy, hookimpl
from dracore.errors import ConfigError, DeviceGone, DracoreError, PluginError
from dracore.model.effect import AtReboot
from dracore.plugins import Plugins

DISCOVER = """
from dracore import Device, Prepared, hookimpl
@hookimpl
def dra_discover(ctx):
    return [Device("a")]
@hookimpl
def dra_prepare(ctx, device, result, config):
    return Prepared()
"""


@hookimpl
def dra_discover(ctx: Any) -> Any:
    return [Device("a")]


@hookimpl
def dra_prepare(device: Any) -> Any:
    return None


def made(driver: str | Driver = "x.example.com", **hooks: Any) -> SimpleNamespace:
    """A plugin with the two required hooks and others."""

    @hookimpl
    def dra_driver() -> Any:
        return driver

    marked = {name: hookimpl(value) for name, value in hooks.items()}
    return SimpleNamespace(
        **{"dra_driver": dra_driver, "dra_discover": dra_discover, "dra_prepare": dra_prepare} | marked
    )


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one plugin into a folder of sys.path, as pip would."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def install(plugin: str, source: str, driver: str = "", dist: str = "") -> None:
        dist = dist or f"dra-{plugin}"
        module = f"{dist.replace('-', '_')}_module"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{dist.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n")
        points = f"[dracore.plugins]\n{plugin} = {module}\n"
        if driver:
            points += f"[dracore.drivers]\n{plugin} = {driver}\n"
        (info / "entry_points.txt").write_text(points)

    yield install
    for name in set(sys.modules) - before:
        if name.endswith("_module"):
            del sys.modules[name]


def test_an_installed_plugin_is_found_with_its_driver_and_distribution(install: Install) -> None:
    install("nic", DISCOVER, driver="nic.example.com")
    plugins = Plugins.load({"nic": {"speed": 1}})
    assert plugins.drivers() == ("nic.example.com",)
    assert plugins.plugins() == plugins.plugins("nic.example.com") == ("nic",)
    assert str(plugins.distribution("nic")) == "dra-nic 1.2"
    assert plugins.settings("nic") == {"speed": 1}
    assert plugins.with_settings({"nic": "decoded"}).settings("nic") == "decoded"
    assert plugins.call("nic", "dra_discover", ctx=None) == [Device("a")]
    assert plugins.implements("nic", "dra_prepare")
    assert not plugins.implements("nic", "dra_health")
    assert plugins.call("nic", "dra_health", ctx=None) is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nosuchmodule",
            r"cannot be imported from .*No module named 'nosuchmodule'; reinstall dra-nic",
        ),
        ("raise SystemExit(3)", r"cannot be imported from .*SystemExit: 3"),
        (
            "x = 1",
            r"dra_discover and dra_prepare missing.*define dra_discover\(ctx\) and dra_prepare\(ctx, dev",
        ),
        (
            DISCOVER.replace("dra_prepare", "dra_perpare"),
            r"dra_perpare is not a hook.*did you mean 'dra_prepare'",
        ),
        (
            DISCOVER.replace("device,", "devise,"),
            r"dra_prepare has no argument 'devise' \(it has: .*'device'\?",
        ),
        (DISCOVER.replace("(ctx, device", "(ctx, *, device"), r"'device' is keyword-only; .*take the \* out"),
        (DISCOVER.replace("@hookimpl\ndef dra_prep", "def dra_prep"), r"dra_prepare is not marked as a hook"),
    ],
)
def test_what_is_wrong_with_a_plugin(install: Install, source: str, message: str) -> None:
    install("nic", source, driver="nic.example.com")
    with pytest.raises(PluginError, match=message) as error:
        Plugins.load({"nic": None})
    assert str(error.value).startswith("plugin nic of dra-nic 1.2: ")


def test_a_plugin_without_a_driver_or_with_a_bad_one(install: Install) -> None:
    install("nic", DISCOVER)
    with pytest.raises(
        PluginError, match=r"define dra_driver\(\), or an entry point nic = <driver> of group drac"
    ):
        Plugins.load({"nic": None})
    install("bad", DISCOVER, driver="Bad_Driver")
    with pytest.raises(PluginError, match="'Bad_Driver' is not a driver name"):
        Plugins.load({"bad": None})


def test_a_plugin_that_is_not_installed(install: Install) -> None:
    install("nic", DISCOVER, driver="nic.example.com")
    with pytest.raises(
        PluginError, match=r"'nik' is not installed \(installed: .*nic.*\); did you mean 'nic'"
    ):
        Plugins.load({"nik": None})
    with pytest.raises(PluginError, match="install the distribution that has it"):
        Plugins.load({"quite-different": None})


def test_one_name_in_two_distributions(install: Install) -> None:
    install("nic", DISCOVER, driver="nic.example.com")
    install("nic", DISCOVER, driver="nic.example.com", dist="other-nic")
    with pytest.raises(PluginError, match="installed twice, by dra-nic and other-nic; uninstall one"):
        Plugins.load({"nic": None})


def test_all_faults_are_told_at_once(install: Install) -> None:
    install("nic", "x = 1", driver="nic.example.com")
    with pytest.raises(ConfigError) as error:
        Plugins.load({"nic": None, "other": None})
    assert len(error.value.problems) == 2
    assert "missing" in str(error.value)
    assert "'other' is not installed" in str(error.value)


def test_disabled_plugins_are_described_and_give_their_effect_types(install: Install) -> None:
    effect = (
        "from dracore import Effect\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Mode(Effect):\n    gpu: str\n"
        "    kind = 'b.mode'\n    reboot = 'gone'\n"
        "    @property\n    def key(self): return self.gpu\n"
        "    def apply(self, node, before): pass\n    def revert(self, node, before, outcome): pass\n"
    )
    install("a", DISCOVER, driver="x.example.com")
    install("b", DISCOVER + effect + "@hookimpl\ndef dra_effects(): return [Mode]\n", driver="x.example.com")
    install("c", "import nosuchmodule", driver="x.example.com")
    plugins = Plugins.load({"a": None})
    assert "dra_b_module" not in sys.modules
    found = plugins.effect_type("x.example.com", "b.mode")
    assert found is not None
    assert found.__name__ == "Mode"
    assert plugins.effect_type("y.example.com", "b.mode") is None
    assert plugins.effect_type("x.example.com", "unknown") is None
    assert plugins.distribution("b").name == "dra-b"
    described = {info.name: info for info in plugins.describe()}
    assert [described[name].state for name in "abc"] == ["enabled", "available", "broken"]
    assert described["b"].driver == "x.example.com"
    assert described["b"].hooks == ("dra_discover", "dra_effects", "dra_prepare")
    assert "nosuchmodule" in described["c"].problem


def test_requirements_come_first_then_the_order_of_the_configuration() -> None:
    plugins = Plugins.of(
        {
            "z": made(Driver("one.example.com", requires=("m",))),
            "a": made("two.example.com"),
            "m": made(Driver("one.example.com", requires=("k",))),
            "k": made("one.example.com"),
        }
    )
    assert plugins.plugins() == ("k", "m", "z", "a")
    assert plugins.drivers() == ("one.example.com", "two.example.com")
    assert plugins.plugins("one.example.com") == ("k", "m", "z")
    assert plugins.requires("z") == ("m",)


def test_a_requirement_that_is_not_enabled_or_not_installed(install: Install) -> None:
    source = (
        DISCOVER + "from dracore import Driver\n@hookimpl\ndef dra_driver(): return Driver('x.io', ('b',))\n"
    )
    install("a", source)
    with pytest.raises(PluginError, match="'a' requires the plugin 'b', which is not installed; install it"):
        Plugins.load({"a": None})
    install("b", DISCOVER, driver="x.io")
    with pytest.raises(
        PluginError, match="'a' requires the plugin 'b', which is not enabled; add 'b' to `plugins`"
    ):
        Plugins.load({"a": None})
    assert Plugins.load({"a": None, "b": None}).plugins() == ("b", "a")


def test_cycles_are_named() -> None:
    ring = {"a": "b", "b": "c", "c": "a"}
    with pytest.raises(PluginError, match="require each other: a → b → c → a"):
        Plugins.of({name: made(Driver("x.io", requires=(other,))) for name, other in ring.items()})


class Params(BaseModel):
    speed: int = 1


@dataclass(frozen=True)
class Good(Effect):
    reboot: ClassVar[AtReboot] = "gone"
    gpu: str = ""

    @property
    def key(self) -> str:
        return self.gpu

    def apply(self, node: Any, before: Any) -> Any: ...

    def revert(self, node: Any, before: Any, outcome: Any) -> None: ...


@dataclass(frozen=True)
class NoRevert(Effect):
    @property
    def key(self) -> str:
        return ""

    def apply(self, node: Any, before: Any) -> Any: ...


@dataclass(frozen=True)
class NoProbe(Good):
    reboot: ClassVar[AtReboot] = "probe"


class NoDataclass(Good):
    other: str = ""


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"dra_effects": lambda: [NoRevert]}, "effect NoRevert does not define revert"),
        (
            {"dra_effects": lambda: [NoProbe]},
            "NoProbe is to be probed .*; define probe, or",
        ),
        ({"dra_effects": lambda: [Params]}, "is not a subclass of dracore.Effect"),
        ({"dra_effects": lambda: [NoDataclass]}, "NoDataclass is no dataclass; put @dataclass"),
        ({"dra_effects": lambda: [Good, Good]}, "two effects are of kind 'Good'"),
        (
            {"dra_config_kinds": lambda: ConfigKind("v1", "K", Params, ("d",))},
            "must return a list of ConfigKind",
        ),
        ({"dra_config_kinds": lambda: [ConfigKind("v1", "K", dict, ("d",))]}, "no pydantic model"),
        ({"dra_config_kinds": lambda: [ConfigKind("v1", "K", Params, ())]}, "applies to no device"),
        (
            {"dra_config_kinds": lambda: [ConfigKind("v1", "K", Params, ("d",), 3)]},
            "the default is no Params",
        ),
        (
            {"dra_config_kinds": lambda: [ConfigKind("v1", "K", Params, ("d",), sharing="sharing")]},
            "no field 'sharing'.*add `sharing: Any = None`",
        ),
        ({"dra_driver": lambda: 1 / 0}, "hook dra_driver: ZeroDivisionError"),
    ],
)
def test_contributions_that_cannot_work(hooks: dict[str, Any], message: str) -> None:
    with pytest.raises(DracoreError, match=message):
        Plugins.of({"p": made(**hooks)})


def test_two_plugins_of_one_driver_that_bring_the_same() -> None:
    both = {
        "dra_effects": lambda: [Good],
        "dra_config_kinds": lambda: [ConfigKind("v1", "K", Params, ("d",))],
        "dra_sharing_strategies": lambda: [SharingStrategy("S", "sConfig", Params)],
    }
    with pytest.raises(ConfigError) as error:
        Plugins.of({"a": made(**both), "b": made(**both)})
    texts = [str(problem) for problem in error.value.problems]
    assert all("plugins 'a' and 'b' of driver x.example.com both bring the" in text for text in texts)
    assert [text.split("both bring the ")[1].split(";")[0] for text in texts] == [
        "effect 'Good'",
        "config kind 'v1 K'",
        "sharing strategy 'S'",
        "sharing strategy field 'sConfig'",
    ]
    apart = Plugins.of({"a": made(**both), "b": made("other.example.com", **both)})
    assert apart.effect_type("other.example.com", "Good") is Good
    (kind,) = apart.config_kinds("other.example.com")
    assert (kind.plugin, kind.value.kind) == ("b", "K")
    assert apart.strategies("x.example.com")["S"].plugin == "a"


def test_a_foreign_exception_names_plugin_and_hook() -> None:
    def dra_health(ctx: Any) -> Any:
        yield 1
        raise KeyError("uuid")

    plugins = Plugins.of({"p": made(dra_health=dra_health), "q": made()})
    with pytest.raises(PluginError, match="plugin p, hook dra_health: KeyError: 'uuid'") as error:
        plugins.call("p", "dra_health", ctx=None)
    assert isinstance(error.value.__cause__, KeyError)
    assert plugins.call("q", "dra_discover", ctx=None) == [Device("a")]


def test_an_error_of_dracore_passes_with_its_type_and_the_place() -> None:
    def dra_stop() -> Any:
        raise DeviceGone("gpu-1 is gone")

    def dra_start() -> Any:
        raise DeviceGone("gpu-1 is gone", where="bus 7")

    def dra_watch() -> Any:
        raise KeyboardInterrupt

    plugins = Plugins.of({"p": made(dra_stop=dra_stop, dra_start=dra_start, dra_watch=dra_watch)})
    with pytest.raises(DeviceGone, match="plugin p, hook dra_stop: gpu-1 is gone"):
        plugins.call("p", "dra_stop", ctx=None, session=None)
    with pytest.raises(DeviceGone, match="bus 7: gpu-1 is gone"):
        plugins.call("p", "dra_start", ctx=None)
    with pytest.raises(KeyboardInterrupt):
        plugins.call("p", "dra_watch", ctx=None, changed=None)


def test_what_a_generator_yields_comes_as_a_tuple() -> None:
    def dra_discover(ctx: Any) -> Any:
        yield Device("a")
        yield Device("b")

    plugins = Plugins.of({"p": made(dra_discover=dra_discover)})
    assert plugins.call("p", "dra_discover", ctx=None) == (Device("a"), Device("b"))


def test_the_bundled_plugin_is_installed() -> None:
    assert "nvidia_gpu" in [info.name for info in Plugins.load({}).describe()]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, asyncio.CancelledError])
def test_whatever_a_hook_raises_names_plugin_and_hook(kind: type[BaseException]) -> None:
    def dra_start(ctx: Any) -> None:
        raise kind("boom")

    plugins = Plugins.of({"p": made(dra_start=dra_start)})
    with pytest.raises(PluginError, match=f"plugin p, hook dra_start: {kind.__name__}: boom"):
        plugins.call("p", "dra_start", ctx=None)


def test_the_users_interrupt_goes_through_while_plugins_are_loaded() -> None:
    def dra_start(ctx: Any) -> None:
        raise KeyboardInterrupt

    plugins = Plugins.of({"p": made(dra_start=dra_start)})
    with pytest.raises(KeyboardInterrupt):
        plugins.call("p", "dra_start", ctx=None)
    with ThreadPoolExecutor(1) as pool, pytest.raises(PluginError):
        pool.submit(plugins.call, "p", "dra_start", ctx=None).result()
