"""One HTTP exchange with the API server: connection reuse, time limits, credentials, errors."""

from __future__ import annotations

import functools
import http.client
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dracore.errors import KubeError, Unreachable
from dracore.kube.credentials import Endpoint
from dracore.kube.status import error_from

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_TIMEOUT = 10.0
"""Seconds to open a connection; the caller's limit shortens it."""

_log = logging.getLogger(__name__)


class Http:
    """Sends requests to one endpoint. Safe for any number of threads."""

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        self.endpoint = endpoint
        self._headers = {"accept": "application/json", "user-agent": user_agent}
        pools = endpoint.pools
        self._urlopen: Callable[..., BaseHTTPResponse]
        if pools.proxy is None:
            # One pool, looked up once: PoolManager.urlopen would parse the address again for each request.
            pool = pools.connection_from_url(endpoint.base_url)
            self._urlopen = functools.partial(pool.urlopen, assert_same_host=False)
            scheme_and_host = "/".join(endpoint.base_url.split("/", 3)[:3])
            self._prefix = endpoint.base_url[len(scheme_and_host) :]
        else:
            self._urlopen = pools.urlopen
            self._prefix = endpoint.base_url

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        """One request; the answer has a status below 300.

        :param timeout: seconds that connecting, and each wait for bytes, may take.
        :param stream: leave the body unread (the caller must release the response).
        :raises KubeError: for every other answer, and :class:`Unreachable` for none.
        """
        import urllib3

        target = self._prefix + path
        if params:
            target = f"{target}?{urlencode(params)}"
        response = self._attempt(method, target, body, content_type, timeout, stream)
        authorization = self.endpoint.authorization
        if response.status == 401 and authorization is not None:
            # A token that rotated a moment ago; the server did nothing, so any method may be sent again.
            response.drain_conn()
            authorization.forget()
            response = self._attempt(method, target, body, content_type, timeout, stream)
        if response.status >= 300:
            try:
                content = response.data
            except (urllib3.exceptions.HTTPError, OSError):
                content = b""  # the status says enough
            finally:
                response.release_conn()
            raise error_from(response.status, content, f"{method} {path}")
        return response

    def _attempt(
        self, method: str, target: str, body: bytes | None, content_type: str, timeout: float, stream: bool
    ) -> BaseHTTPResponse:
        import urllib3

        headers = self._headers
        if body is not None:
            headers = {**headers, "content-type": content_type}
        if self.endpoint.authorization is not None:
            value = self._authorization()
            if value:
                headers = {**headers, "authorization": value}
        limit = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)

        def once() -> BaseHTTPResponse:
            return self._urlopen(
                method,
                target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=limit,
                preload_content=not stream,
            )

        try:
            try:
                return once()
            except urllib3.exceptions.ProtocolError as error:
                # The server closed an idle connection just as we reused it. Only a GET is sent again.
                if method != "GET" or not _was_stale(error):
                    raise
                return once()
        except (urllib3.exceptions.HTTPError, OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"no answer from the API server: {_plain(error)}",
                where=f"{method} {self.endpoint.base_url}",
                fix="check that it runs and that this address can be reached",
            ) from error

    def _authorization(self) -> str | None:
        assert self.endpoint.authorization is not None
        try:
            return self.endpoint.authorization.header()
        except KubeError:
            raise
        except Exception as error:
            # Token files and exec plugins fail in their own ways; the next request tries again.
            raise Unreachable(
                f"the credentials cannot be read: {error}", where="kube", fix="check the token or exec plugin"
            ) from error


def _was_stale(error: Exception) -> bool:
    causes = [*error.args, error.__cause__, error.__context__]
    return any(
        isinstance(cause, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
        for cause in causes
    )


def _plain(error: BaseException) -> str:
    """The last cause in words: urllib3 wraps a refused connection into a page of object addresses."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.ReadTimeoutError):
        return "it did not answer in time"
    refused = isinstance(error, exceptions.NewConnectionError)  # a kind of ConnectTimeoutError to urllib3
    if isinstance(error, exceptions.ConnectTimeoutError) and not refused:
        return "the connection was not made in time"
    seen: BaseException = error
    while (cause := seen.__cause__ or seen.__context__) is not None:
        seen = cause
    text = (seen.strerror if isinstance(seen, OSError) else None) or str(seen)
    return text or type(seen).__name__
