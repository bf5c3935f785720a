"""The three claims of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DRIVER = "gpu.nvidia.com"
NAMESPACE = "default"


@dataclass(frozen=True)
class Wish:
    """A claim, and what it says in plain words."""

    name: str
    words: str
    devices: dict[str, Any]

    def claim(self) -> dict[str, Any]:
        """The ResourceClaim."""
        return {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {"devices": self.devices},
        }


def _request(**more: Any) -> dict[str, Any]:
    return {"name": "gpu", "exactly": {"deviceClassName": DRIVER, **more}}


MEMORY = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('40Gi')) >= 0"

ANY = Wish("any-gpu", "any GPU", {"requests": [_request()]})
LARGE = Wish(
    "large-memory",
    "a GPU with at least 40Gi of memory",
    {"requests": [_request(selectors=[{"cel": {"expression": MEMORY}}])]},
)
PAIR = Wish(
    "same-numa",
    "two GPUs of one NUMA node",
    {
        "requests": [_request(count=2)],
        "constraints": [{"requests": ["gpu"], "matchAttribute": "resource.kubernetes.io/numaNode"}],
    },
)
