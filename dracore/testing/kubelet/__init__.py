"""A kubelet for tests and the demo: :class:`FakeKubelet`."""

from __future__ import annotations

from dracore.testing.kubelet.kubelet import FakeKubelet
from dracore.testing.kubelet.model import (
    Answer,
    ClaimRef,
    Container,
    ContainerClaim,
    KubeletError,
    Pod,
    PreparedDevice,
    pod_uid,
)

__all__ = [
    "Answer",
    "ClaimRef",
    "Container",
    "ContainerClaim",
    "FakeKubelet",
    "KubeletError",
    "Pod",
    "PreparedDevice",
    "pod_uid",
]
