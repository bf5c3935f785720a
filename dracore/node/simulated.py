"""The last step of writing a CDI spec on a simulated node: no device of it may reach real hardware."""

from __future__ import annotations

from typing import Any

NULL_DEVICE = {"type": "c", "major": 1, "minor": 3}
"""``/dev/null``: a container gets a node of the right name that does nothing."""


def null_devices(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec`, changed in place: the numbers of every device node are those of the null device.

    With type and major given, runtimes do not look for the node on the host, where it does not exist.
    """
    parts = [spec.get("containerEdits") or {}]
    parts += [device.get("containerEdits") or {} for device in spec.get("devices") or ()]
    for edits in parts:
        for node in edits.get("deviceNodes") or ():
            node.update(NULL_DEVICE)
    return spec
