"""The API client of this process: made when first needed, because making it takes half a second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dracore.errors import DracoreError
from dracore.kube.backoff import Backoff

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient

_log = structlog.get_logger(__name__)


class Api:
    """Gives everybody the same client.

    :param kubeconfig: None: ``$KUBECONFIG``, then the pod's service account.
    """

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig
        self._lock = threading.Lock()
        self._client: KubeClient | None = None
        self.problem = ""
        """Why there is no client yet, for status."""

    def __call__(self) -> KubeClient:
        """The client; connecting sends nothing yet.

        :raises ConfigError: where no credentials are found. The next call looks again: a service account's
            files may come late.
        """
        with self._lock:
            if self._client is None:
                from dracore.kube.client import KubeClient

                try:
                    self._client = KubeClient.connect(self._kubeconfig)
                except DracoreError as error:
                    self.problem = str(error)
                    raise
                self.problem = ""
            return self._client

    def wait(self, stopping: threading.Event, then: Callable[[KubeClient], None]) -> None:
        """Tries until there is a client, and hands it to `then`; returns early when `stopping` is set."""
        backoff = Backoff(first=1.0, limit=30.0)
        said = ""
        while not stopping.is_set():
            try:
                client = self()
            except DracoreError as error:
                if str(error) != said:
                    said = str(error)
                    _log.error("no access to an API server; nothing is published", error=said)
                stopping.wait(backoff.next())
                continue
            then(client)
            return

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
