"""Fixtures of the test kit for pytest; everything heavy is imported when a fixture is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from dracore.testing.apiserver import EmbeddedAPI
    from dracore.testing.crash.report import Report
    from dracore.testing.kubelet import FakeKubelet


@pytest.fixture
def embedded_api() -> Iterator[EmbeddedAPI]:
    """A running embedded API server that behaves as the newest Kubernetes."""
    from dracore.testing.apiserver import EmbeddedAPI

    with EmbeddedAPI() as api:
        yield api


@pytest.fixture
def kubelet_root() -> Iterator[Path]:
    """A short directory for sockets: their paths may have 107 bytes, which pytest's own can exceed."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kubelet-") as folder:
        yield Path(folder)


@pytest.fixture
def fake_kubelet(embedded_api: EmbeddedAPI, kubelet_root: Path) -> Iterator[FakeKubelet]:
    """A running fake kubelet of ``node-1`` on the embedded API server, with short retries."""
    from dracore.kube.client import KubeClient
    from dracore.testing.kubelet import FakeKubelet

    client = KubeClient.to_url(embedded_api.url, user_agent="fake-kubelet")
    kubelet = FakeKubelet(
        kubelet_root, client, poll=0.05, registration_retry=0.1, reconcile_interval=None, health_retry=0.2
    )
    with kubelet:
        yield kubelet
    client.close()


@pytest.fixture
def crash_matrix() -> Callable[..., Report]:
    """``crash_matrix(plugin, scenario)``: see :func:`dracore.testing.crash.crash_matrix`."""
    from dracore.testing.crash import crash_matrix

    return crash_matrix
