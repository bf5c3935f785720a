"""An embedded Kubernetes API server for tests and demonstrations: :class:`EmbeddedAPI`."""

from __future__ import annotations

from dracore.testing.apiserver.faults import Fault, Request
from dracore.testing.apiserver.server import EmbeddedAPI
from dracore.testing.apiserver.status import StatusError

__all__ = ["EmbeddedAPI", "Fault", "Request", "StatusError"]
