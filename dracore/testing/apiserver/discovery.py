"""What a client asks before it asks for objects: version and discovery."""

from __future__ import annotations

from typing import Any

from dracore.testing.apiserver.resources import Resource

Object = dict[str, Any]
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def version(number: tuple[int, int]) -> Object:
    major, minor = number
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": f"v{major}.{minor}.0+dracore-embedded",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def core_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(resources: tuple[Resource, ...]) -> Object:
    groups = dict.fromkeys(resource.group for resource in resources if resource.group)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, resources) for name in groups],
    }


def group(name: str, resources: tuple[Resource, ...]) -> Object | None:
    if not any(resource.group == name for resource in resources):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, resources)}


def _group(name: str, resources: tuple[Resource, ...]) -> Object:
    found = dict.fromkeys(resource.version for resource in resources if resource.group == name)
    versions = [{"groupVersion": f"{name}/{each}", "version": each} for each in found]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(group: str, version: str, resources: tuple[Resource, ...]) -> Object | None:
    found = [resource for resource in resources if (resource.group, resource.version) == (group, version)]
    if not found:
        return None
    entries: list[Object] = []
    for resource in found:
        entry: Object = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": _VERBS,
        }
        if resource.short:
            entry["shortNames"] = list(resource.short)
        entries.append(entry)
        if resource.status:
            entries.append(
                {
                    "name": f"{resource.plural}/status",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "kind": resource.kind,
                    "verbs": ["get", "patch", "update"],
                }
            )
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }
