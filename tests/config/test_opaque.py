"""Opaque parameters: strict decoding, precedence, merge rules, sharing strategies, groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dracore import ConfigKind, Device, Driver, SharingStrategy, hookimpl
from dracore.config.opaque import Group, Opaque
from dracore.config.sharing import Sharing
from dracore.errors import ClaimError, ConfigError
from dracore.model.claim import Claim, ClaimRef, OpaqueConfig, Result
from dracore.plugins import Plugins

DRIVER = "gpu.example.com"
V1 = "example.com/v1"


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Power(Camel):
    limit_watts: int = Field(default=300, ge=1)
    boost: bool = False


class GpuConfig(Camel):
    sharing: Any = None
    power: Power = Power()
    label: str = ""


class MigConfig(Camel):
    sharing: Any = None


class VfioConfig(Camel):
    policy: str = "Legacy"


class Slicing(Camel):
    interval: str = "Default"


class Daemon(Camel):
    percentage: int


class Tags(Camel):
    tags: dict[str, str] = {}
    limits: dict[str, Any] = {}


def plugin(**contributions: Any) -> SimpleNamespace:
    hooks = {name: hookimpl(value) for name, value in contributions.items()}

    @hookimpl
    def dra_driver() -> Driver:
        return Driver(DRIVER)

    @hookimpl
    def dra_discover(ctx: Any) -> Any: ...

    @hookimpl
    def dra_prepare(ctx: Any) -> Any: ...

    return SimpleNamespace(dra_driver=dra_driver, dra_discover=dra_discover, dra_prepare=dra_prepare, **hooks)


@pytest.fixture(scope="module")
def opaque() -> Opaque:
    gpus = plugin(
        dra_config_kinds=lambda: [
            ConfigKind(
                V1, "GpuConfig", GpuConfig, ("gpu",), default=GpuConfig(label="default"), sharing="sharing"
            ),
            ConfigKind(V1, "MigConfig", MigConfig, ("mig",), sharing="sharing"),
            ConfigKind(V1, "VfioConfig", VfioConfig, ("vfio",), merge="one"),
            ConfigKind(V1, "Tags", Tags, ("nic",), merge="merge"),
        ],
        dra_sharing_strategies=lambda: [SharingStrategy("Slicing", "slicingConfig", Slicing, ("gpu",))],
    )
    mps = plugin(dra_sharing_strategies=lambda: [SharingStrategy("Daemon", "daemonConfig", Daemon)])
    return Opaque(Plugins.of({"gpus": gpus, "mps": mps}), DRIVER)


def params(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": V1, "kind": kind} | fields


def config(parameters: Any, *requests: str, source: Any = "FromClaim") -> OpaqueConfig:
    return OpaqueConfig(source, DRIVER, parameters, requests)


def resolve(
    opaque: Opaque, results: list[tuple[str, str]], *configs: OpaqueConfig, admin: bool = False
) -> Any:
    """`results`: request and device kind."""
    claim = Claim(
        ClaimRef("uid", "ns", "c"),
        True,
        tuple(
            Result(request, DRIVER, "pool", f"{kind}-{index}", admin_access=admin)
            for index, (request, kind) in enumerate(results)
        ),
        configs,
    )
    devices = [Device(f"{kind}-{index}", kind) for index, (_, kind) in enumerate(results)]
    return opaque.resolve(claim, devices)


def labels(resolution: Any) -> list[str]:
    return [getattr(value, "label", value) for value in resolution.configs]


def gpu(label: str) -> dict[str, Any]:
    return params("GpuConfig", label=label)


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([], ["default", "default"]),
        ([config(gpu("claim"))], ["claim", "claim"]),
        ([config(gpu("claim"), "a")], ["claim", "default"]),
        ([config(gpu("one")), config(gpu("two"))], ["two", "two"]),
        ([config(gpu("one"), "b"), config(gpu("two"))], ["two", "two"]),
        ([config(gpu("one")), config(gpu("two"), "b")], ["one", "two"]),
        # The claim wins over the class wherever it stands in the list.
        ([config(gpu("claim")), config(gpu("class"), source="FromClass")], ["claim", "claim"]),
        ([config(gpu("class"), "a", source="FromClass"), config(gpu("claim"), "b")], ["class", "claim"]),
        ([config(params("MigConfig"))], ["default", "default"]),
        ([config(gpu("x"), "other")], ["default", "default"]),
    ],
)
def test_precedence(opaque: Opaque, configs: list[OpaqueConfig], expected: list[str]) -> None:
    assert labels(resolve(opaque, [("a", "gpu"), ("b", "gpu")], *configs)) == expected


def test_a_parent_request_covers_its_sub_requests(opaque: Opaque) -> None:
    results = [("p/big", "gpu"), ("q/big", "gpu")]
    resolution = resolve(opaque, results, config(gpu("parent"), "p"), config(gpu("sub"), "q/big"))
    assert labels(resolution) == ["parent", "sub"]
    assert labels(resolve(opaque, results, config(gpu("x"), "p/small", "q/small"))) == ["default", "default"]


def test_a_config_that_names_a_request_of_another_device_kind(opaque: Opaque) -> None:
    with pytest.raises(
        ClaimError, match=r"config 0 from the claim: MigConfig is for mig, and request a was given"
    ):
        resolve(opaque, [("a", "gpu")], config(params("MigConfig"), "a"))
    mixed = resolve(opaque, [("a", "gpu"), ("b", "mig")], config(params("MigConfig")), config(gpu("g")))
    assert [type(value) for value in mixed.configs] == [GpuConfig, MigConfig]
    assert resolve(opaque, [("a", "unknown")]).configs == (None,)


def test_configs_of_requests_that_this_driver_does_not_serve_are_not_read(opaque: Opaque) -> None:
    assert labels(resolve(opaque, [("a", "gpu")], config({"kind": "Nonsense"}, "b"))) == ["default"]


def test_merge_rule_one(opaque: Opaque) -> None:
    one = config(params("VfioConfig", policy="x"), "a")
    (value,) = resolve(opaque, [("a", "vfio")], one).configs
    assert value == VfioConfig(policy="x")
    with pytest.raises(
        ClaimError, match=r"request a may have one VfioConfig, and has 2: config 0 .* and config 1"
    ):
        resolve(opaque, [("a", "vfio")], one, config(params("VfioConfig")))


def test_merge_rule_merge(opaque: Opaque) -> None:
    (first, second) = resolve(
        opaque,
        [("a", "nic"), ("b", "nic")],
        config(params("Tags", tags={"x": "claim", "y": "claim"}, limits={"l": [3]})),
        config(params("Tags", tags={"x": "class", "z": "class"}, limits={"l": [1, 2]}), source="FromClass"),
        config(params("Tags", tags={"y": "b"}), "b"),
    ).configs
    assert first.tags == {"x": "claim", "y": "claim", "z": "class"}
    assert first.limits == {"l": [3]}
    assert second.tags == {"x": "claim", "y": "b", "z": "class"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (None, "config 0 from the claim: found null, allowed: an object"),
        ({}, "apiVersion is missing; known: example.com/v1 GpuConfig"),
        ({"apiVersion": V1, "kind": []}, "kind is missing"),
        (
            params("GpuConfg"),
            "no parameters 'example.com/v1 GpuConfg' .*did you mean 'example.com/v1 GpuConfig'",
        ),
        ({"apiVersion": "example.com/v2", "kind": "GpuConfig"}, "did you mean 'example.com/v1 GpuConfig'"),
        (params("GpuConfig", lable=1), "lable: unknown key 'lable'; did you mean 'label'"),
        (
            params("GpuConfig", power={"boost": "yes"}),
            r'power.boost: found "yes" \(text\), allowed: true or false',
        ),
        (params("GpuConfig", power={"limitWats": 1}), "power.limitWats: .*did you mean 'limitWatts'"),
        (
            params("GpuConfig", power={"limitWatts": 0}),
            "power.limitWatts: found 0 .*greater than or equal to 1",
        ),
        (params("GpuConfig", sharing=3), r"sharing: found 3 \(a number\), allowed: a section"),
        (params("GpuConfig", sharing={}), "sharing.strategy: missing; allowed: Slicing, Daemon"),
        (params("GpuConfig", sharing={"strategy": "Slcing"}), "sharing.strategy: .*did you mean 'Slicing'"),
        (
            params("GpuConfig", sharing={"strategy": ["x"]}),
            "sharing.strategy: found .* allowed: Slicing, Daemon",
        ),
        (
            params("GpuConfig", sharing={"strategy": "Slicing", "daemonConfig": {}}),
            "sharing.daemonConfig: daemonConfig belongs to strategy Daemon, and the strategy is Slicing; "
            "use slicingConfig, or strategy: Daemon",
        ),
        (
            params("GpuConfig", sharing={"strategy": "Slicing", "slicngConfig": {}}),
            "sharing.slicngConfig: unknown key .*did you mean 'slicingConfig'",
        ),
        (
            params("GpuConfig", sharing={"strategy": "Slicing", "slicingConfig": {"intervall": "x"}}),
            "sharing.slicingConfig.intervall: .*did you mean 'interval'",
        ),
        (params("GpuConfig", sharing={"strategy": "Daemon"}), "sharing.daemonConfig.percentage: missing"),
        (
            params("MigConfig", sharing={"strategy": "Slicing"}),
            "sharing.strategy: .*allowed: Daemon; it shares gpu, not mig",
        ),
    ],
)
def test_what_is_wrong_with_parameters(opaque: Opaque, parameters: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(opaque, [("a", "gpu")], config(parameters))


def test_all_faults_of_one_config_are_told_at_once(opaque: Opaque) -> None:
    bad = params("GpuConfig", lable=1, power={"boost": 3}, sharing={"strategy": "No", "x": 1})
    with pytest.raises(ConfigError) as error:
        opaque.decode(bad)
    assert len(error.value.problems) == 3


def test_sharing_groups_follow_the_config_and_leave_admins_out(opaque: Opaque) -> None:
    slicing = params("GpuConfig", sharing={"strategy": "Slicing", "slicingConfig": {"interval": "Long"}})
    daemon = params("GpuConfig", sharing={"strategy": "Daemon", "daemonConfig": {"percentage": 50}})
    results = [("a", "gpu"), ("a", "gpu"), ("b", "gpu"), ("c", "gpu")]
    resolution = resolve(opaque, results, config(slicing, "a", "c"), config(daemon, "b"))
    assert resolution.groups == (
        Group("gpus", "Slicing", Slicing(interval="Long"), (0, 1, 3)),
        Group("mps", "Daemon", Daemon(percentage=50), (2,)),
    )
    assert resolution.configs[0].sharing == Sharing("Slicing", Slicing(interval="Long"), "gpus")
    assert resolution.configs[0] is resolution.configs[3]
    assert resolve(opaque, results, config(slicing), admin=True).groups == ()
    # The same content in two configs is two groups: each config stands for one use of the devices.
    assert len(resolve(opaque, results, config(slicing, "a"), config(slicing, "b")).groups) == 2


def test_a_strategy_without_parameters_takes_its_defaults(opaque: Opaque) -> None:
    for fields in ({}, {"slicingConfig": None}, {"slicingConfig": {}}):
        _, value = opaque.decode(params("GpuConfig", sharing={"strategy": "Slicing"} | fields))
        assert value.sharing.params == Slicing()
    assert opaque.decode(params("GpuConfig", sharing=None))[1].sharing is None
