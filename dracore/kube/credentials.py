"""Where the API server is and how to speak to it: read by the official client, used without its models.

Kubeconfig files, certificates, tokens that rotate and exec plugins are a long tail of rules; the official
client follows them. It costs 0.6 s and 48 MiB to import, so that happens here, inside a function, and only
its connection pool and its authorization header are used afterwards.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dracore.errors import ConfigError

if TYPE_CHECKING:
    import urllib3

POOL_SIZE = 96
"""Connections kept alive: one for each of 64 server threads, with room for watches and writers."""

AUTHORIZATION_TTL = 5.0
"""Seconds for which an authorization header is used again without asking the official client."""


@dataclass(frozen=True)
class Endpoint:
    """An API server: `base_url` without a final slash, its connections, and the header that opens it."""

    base_url: str
    pools: urllib3.PoolManager
    authorization: Authorization | None = None


class Authorization:
    """The ``Authorization`` header, read again when it is older than a few seconds.

    Reading it may re-read a token file or run an exec plugin, and the official hook is not thread-safe.
    """

    def __init__(self, read: Callable[[], str | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._value: str | None = None
        self._expires = float("-inf")

    def header(self) -> str | None:
        """The header's value, or None where the server is open or asks for a client certificate."""
        if self._clock() < self._expires:
            return self._value
        with self._lock:
            if self._clock() >= self._expires:
                self._value = self._read()
                self._expires = self._clock() + AUTHORIZATION_TTL
            return self._value

    def forget(self) -> None:
        """Makes the next call read again (the server said 401)."""
        self._expires = float("-inf")


def keepalive_options() -> list[tuple[int, int, int]]:
    """Socket options that notice a dead peer in about a minute, also on a watch that is silent for long."""
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), seconds))
    return options


def plain_endpoint(base_url: str) -> Endpoint:
    """An API server on ``http://`` without credentials (the embedded one)."""
    import urllib3

    pools = urllib3.PoolManager(maxsize=POOL_SIZE, socket_options=keepalive_options())
    return Endpoint(base_url.rstrip("/"), pools)


def find_endpoint(kubeconfig: Path | None, context: str | None = None) -> Endpoint:
    """Reads `kubeconfig`; where None, the file of ``$KUBECONFIG``, then the pod's service account.

    :raises ConfigError: where none of these can be used.
    """
    chosen = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    configuration = _configuration()
    from kubernetes import config

    # What the loaders raise for a broken file reaches from ConfigException to KeyError and yaml's own errors.
    if chosen:
        where = f"kubeconfig {chosen}"
        if not any(Path(part).is_file() for part in chosen.split(os.pathsep) if part):
            raise ConfigError(
                "the file does not exist", where=where, fix="set kube.kubeconfig or $KUBECONFIG"
            )
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=chosen, context=context, client_configuration=configuration, persist_config=False
            )
        except Exception as error:
            raise ConfigError(
                f"cannot be used: {error}", where=where, fix="check it with `kubectl version`"
            ) from error
    else:
        try:
            config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        except Exception as error:
            raise ConfigError(
                f"no kubeconfig is given and this is no pod with a service account ({error})",
                where="kube.kubeconfig",
                fix="set kube.kubeconfig or $KUBECONFIG",
            ) from error
    return _endpoint(configuration)


def _configuration() -> Any:
    from kubernetes import client

    configuration = client.Configuration()
    configuration.connection_pool_maxsize = POOL_SIZE
    configuration.socket_options = keepalive_options()
    return configuration


def _endpoint(configuration: Any) -> Endpoint:
    from kubernetes.client.rest import RESTClientObject

    def read() -> str | None:
        for setting in configuration.auth_settings().values():
            if setting.get("in") == "header" and setting.get("value"):
                # A token file that ends in a newline would otherwise split the header.
                return str(setting["value"]).strip()
        if configuration.username:
            return str(configuration.get_basic_auth_token())
        return None

    rest = RESTClientObject(configuration)
    return Endpoint(str(configuration.host).rstrip("/"), rest.pool_manager, Authorization(read))
