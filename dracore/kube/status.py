"""What the API server's answers mean: a ``Status`` object becomes one of our errors."""

from __future__ import annotations

import json

from dracore.errors import Conflict, Forbidden, Gone, Invalid, KubeError, NotFound, Unreachable

_CLASSES: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Unreachable,
}

_FIXES = {
    401: "check the credentials of the kubeconfig or service account",
    403: "grant it to this identity (RBAC, `dracore manifests` prints what is needed)",
}


def error_from(status: int, body: bytes, where: str) -> KubeError:
    """The error for an answer with HTTP status `status` and content `body`; `where` is method and path."""
    reason: str | None = None
    message = ""
    try:
        content = json.loads(body)
    except ValueError:
        message = " ".join(body[:300].decode("utf-8", "replace").split())
    else:
        if isinstance(content, dict):
            reason = content.get("reason") or None
            message = str(content.get("message") or "")
    return error_of(status, reason, message, where)


def error_of(status: int, reason: str | None, message: str, where: str) -> KubeError:
    """The error for a status code, the machine-readable reason and the text of a ``Status`` object."""
    kind = _CLASSES.get(status) or (Unreachable if status >= 500 else KubeError)
    what = message or f"the API server answered HTTP {status}"
    return kind(what, where=where, fix=_FIXES.get(status), status=status, reason=reason)
