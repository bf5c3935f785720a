"""The JSON schema of the node configuration, with the sections of every installed plugin."""

from __future__ import annotations

from typing import Any

from dracore.config.loading import settings_model
from dracore.config.node import NodeConfiguration
from dracore.plugins import EntryPoints, Plugins


def schema(find: EntryPoints | None = None) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a node configuration: for editors, and for people who read it.

    Plugins that cannot be loaded are left out; ``dracore plugins`` says why.
    """
    result = NodeConfiguration.model_json_schema(by_alias=True)
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    usable = [info.name for info in Plugins.load({}, find).describe() if info.state != "broken"]
    plugins, _ = Plugins.find(dict.fromkeys(usable), find)
    sections: dict[str, Any] = {}
    for name in sorted(plugins.plugins()):
        model = settings_model(plugins, name)
        if model is None:
            sections[name] = {"type": ["object", "null"], "additionalProperties": False}
            continue
        # Definitions move to the top, under names that two plugins cannot share.
        section = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}.{{model}}")
        for key, value in section.pop("$defs", {}).items():
            result.setdefault("$defs", {})[f"{name}.{key}"] = value
        section["additionalProperties"] = False
        sections[name] = {"anyOf": [section, {"type": "null"}]} if "required" not in section else section
    result["properties"]["plugins"] |= {"properties": sections, "additionalProperties": False}
    return result
