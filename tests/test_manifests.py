"""What the enabled plugins need in a cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from dracore import ConfigKind, DeviceClass, hookimpl
from dracore.errors import DracoreError
from dracore.manifests import objects, render
from dracore.plugins import Plugins


class Speed(BaseModel):
    mbit: int = 1000


def plugins(**classes: Any) -> Plugins:
    def made(answer: Any) -> SimpleNamespace:
        @hookimpl
        def dra_driver() -> str:
            return "nic.example.com"

        @hookimpl
        def dra_discover(ctx: Any) -> Any: ...

        @hookimpl
        def dra_prepare(ctx: Any) -> Any: ...

        @hookimpl
        def dra_device_classes() -> Any:
            return answer

        hooks = [dra_driver, dra_discover, dra_prepare, dra_device_classes]
        return SimpleNamespace(**{hook.__name__: hook for hook in hooks})

    @hookimpl
    def dra_config_kinds() -> Any:
        return [ConfigKind("nic.example.com/v1", "Speed", Speed, ("nic",))]

    built = {name: made(answer) for name, answer in classes.items()}
    next(iter(built.values())).dra_config_kinds = dra_config_kinds
    return Plugins.of(built)


def test_device_classes() -> None:
    fast = DeviceClass(
        "fast.nic.example.com",
        selectors=("device.driver == 'nic.example.com'", "device.attributes['nic.example.com'].mbit > 1"),
        extended_resource_name="nic.example.com/fast",
        config=({"apiVersion": "nic.example.com/v1", "kind": "Speed", "mbit": 10},),
    )
    found = objects(plugins(a=[fast], b=[DeviceClass("plain.nic.example.com")], c=None))
    assert found == [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {
                "name": "fast.nic.example.com",
                "labels": {"app.kubernetes.io/managed-by": "dracore"},
            },
            "spec": {
                "selectors": [
                    {"cel": {"expression": "device.driver == 'nic.example.com'"}},
                    {"cel": {"expression": "device.attributes['nic.example.com'].mbit > 1"}},
                ],
                "config": [
                    {
                        "opaque": {
                            "driver": "nic.example.com",
                            "parameters": {
                                "apiVersion": "nic.example.com/v1",
                                "kind": "Speed",
                                "mbit": 10,
                            },
                        }
                    }
                ],
                "extendedResourceName": "nic.example.com/fast",
            },
        },
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {
                "name": "plain.nic.example.com",
                "labels": {"app.kubernetes.io/managed-by": "dracore"},
            },
            "spec": {},
        },
    ]
    assert list(yaml.safe_load_all(render(found))) == found


@pytest.mark.parametrize(
    ("device_class", "message"),
    [
        (DeviceClass("Bad Name"), "'Bad Name' is not a DeviceClass name"),
        (DeviceClass("x", selectors=("",)), "a selector has 1 to"),
        (DeviceClass("x", selectors=("device.driver ==",)), "the selector 'device.driver ==' is not valid"),
        (DeviceClass("x", extended_resource_name="gpu"), "'gpu' is no extended resource name"),
        (DeviceClass("x", extended_resource_name="kubernetes.io/gpu"), "no extended resource name"),
        (DeviceClass("x", config=({"kind": "Speed"},)), "DeviceClass x, config 0: apiVersion is missing"),
        (
            DeviceClass("x", config=({"apiVersion": "nic.example.com/v1", "kind": "Speed", "mbt": 1},)),
            "mbt: unknown key 'mbt'; did you mean 'mbit'",
        ),
        ("x", "'x' is no DeviceClass"),
    ],
)
def test_classes_that_the_api_server_or_a_node_would_refuse(device_class: Any, message: str) -> None:
    with pytest.raises(DracoreError, match=message) as error:
        objects(plugins(a=[device_class]))
    assert "plugin a, hook dra_device_classes" in str(error.value)


def test_two_plugins_with_one_class() -> None:
    with pytest.raises(DracoreError, match="plugins 'a' and 'b' both bring the DeviceClass x"):
        objects(plugins(a=[DeviceClass("x")], b=[DeviceClass("x")]))
