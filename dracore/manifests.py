"""What the enabled plugins need in a cluster, as objects for ``kubectl apply``: DeviceClasses.

Roles and workloads come with later versions; ``dra_permissions`` is collected by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from dracore import selectors
from dracore.config.opaque import Opaque
from dracore.errors import ConfigError, DracoreError, PluginError, SelectorError
from dracore.model.context import DeviceClass
from dracore.model.names import EXPRESSION_LIMIT, is_dns_subdomain
from dracore.plugins import Plugins

LABELS = {"app.kubernetes.io/managed-by": "dracore"}


def objects(plugins: Plugins) -> list[dict[str, Any]]:
    """The objects, in the order of the plugins; the same for the same plugins.

    :raises DracoreError: a class that the API server would refuse, or two plugins that bring the same one.
    """
    result: list[dict[str, Any]] = []
    owners: dict[str, str] = {}
    for plugin in plugins.plugins():
        for device_class in plugins.call(plugin, "dra_device_classes") or ():
            where = f"plugin {plugin}, hook dra_device_classes"
            if not isinstance(device_class, DeviceClass):
                raise PluginError(f"{device_class!r} is no DeviceClass", where=where)
            owner = owners.setdefault(device_class.name, plugin)
            if owner != plugin:
                raise PluginError(
                    f"plugins {owner!r} and {plugin!r} both bring the DeviceClass {device_class.name}",
                    fix="enable only one of them",
                )
            result.append(_device_class(device_class, plugins.driver(plugin), plugins, where))
    return result


def render(manifests: Sequence[dict[str, Any]]) -> str:
    """The objects as one YAML text, a document each."""
    return "".join("---\n" + yaml.safe_dump(manifest, sort_keys=False) for manifest in manifests)


def _device_class(device_class: DeviceClass, driver: str, plugins: Plugins, where: str) -> dict[str, Any]:
    if not is_dns_subdomain(device_class.name):
        raise PluginError(f"{device_class.name!r} is not a DeviceClass name (a DNS subdomain)", where=where)
    for expression in device_class.selectors:
        if not expression or len(expression.encode()) > EXPRESSION_LIMIT:
            raise PluginError(
                f"DeviceClass {device_class.name}: a selector has 1 to {EXPRESSION_LIMIT} bytes", where=where
            )
        try:
            selectors.compile(expression)
        except SelectorError as error:
            raise PluginError(
                f"DeviceClass {device_class.name}: the selector {expression!r} is {error.what}", where=where
            ) from error
    spec: dict[str, Any] = {
        "selectors": [{"cel": {"expression": expression}} for expression in device_class.selectors]
    }
    if device_class.config:
        opaque = Opaque(plugins, driver)
        for index, parameters in enumerate(device_class.config):
            _check_parameters(opaque, parameters, f"{where}: DeviceClass {device_class.name}, config {index}")
        spec["config"] = [
            {"opaque": {"driver": driver, "parameters": parameters}} for parameters in device_class.config
        ]
    if device_class.extended_resource_name:
        if not is_extended_resource(device_class.extended_resource_name):
            raise PluginError(
                f"DeviceClass {device_class.name}: {device_class.extended_resource_name!r} is no extended "
                "resource name (vendor.example.com/thing)",
                where=where,
            )
        spec["extendedResourceName"] = device_class.extended_resource_name
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": device_class.name, "labels": dict(LABELS)},
        "spec": {key: value for key, value in spec.items() if value},
    }


def _check_parameters(opaque: Opaque, parameters: Any, label: str) -> None:
    """A class that no claim could use is found here, not on a node at night."""
    try:
        opaque.decode(parameters, label)
    except ConfigError:
        raise
    except DracoreError as error:
        raise PluginError(str(error), where=label) from error


def is_extended_resource(name: str) -> bool:
    """``domain/name`` outside of kubernetes.io, as extended resources are named."""
    domain, slash, resource = name.partition("/")
    inside = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    return bool(slash) and is_dns_subdomain(domain) and not inside and 0 < len(resource) <= 63
