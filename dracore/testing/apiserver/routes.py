"""From a request line to a verb on a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.status import bad_request, method_not_allowed, no_such_path

APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")
_BY_METHOD = {
    ("GET", True): "get",
    ("GET", False): "list",
    ("HEAD", True): "get",
    ("POST", False): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}


@dataclass(frozen=True)
class Query:
    """Query parameters; a flag is true for ``true`` and ``1``."""

    values: Mapping[str, list[str]]

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, [default])[-1]

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1")

    def number(self, name: str, default: int = 0) -> int:
        text = self.text(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise bad_request(f"{name}: {text!r} is not a number") from None


@dataclass(frozen=True)
class Target:
    """Verb and object of a request; ``name`` is empty for collections."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str


def split(target: str) -> tuple[list[str], Query]:
    """Path segments and query of a request target."""
    parts = urlsplit(target)
    path = [unquote(segment) for segment in parts.path.split("/") if segment]
    return path, Query(parse_qs(parts.query, keep_blank_values=True))


def resolve(
    method: str, path: list[str], query: Query, content_type: str, resources: tuple[Resource, ...]
) -> Target:
    """What the request wants; raises StatusError 404 or 405."""
    if path[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", path[2:]
    elif path[:1] == ["apis"] and len(path) > 3:
        group, version, rest = path[1], path[2], path[3:]
    else:
        raise no_such_path()
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] != "status":
        namespace, rest = rest[1], rest[2:]
    found = [r for r in resources if (r.group, r.version, r.plural) == (group, version, (rest or [""])[0])]
    if not found or len(rest) > 3:
        raise no_such_path()
    resource = found[0]
    name, subresource = [*rest[1:], "", ""][:2]
    if subresource and not (subresource == "status" and resource.status):
        raise no_such_path()
    if namespace and not resource.namespaced:
        raise no_such_path()
    verb = _BY_METHOD.get((method, bool(name)))
    if verb is None or (resource.namespaced and not namespace and verb not in ("list", "deletecollection")):
        raise method_not_allowed()
    if subresource and verb not in ("get", "update", "patch"):
        raise method_not_allowed()
    if verb == "list" and query.flag("watch"):
        verb = "watch"
    if verb == "patch" and content_type.split(";")[0].strip() in APPLY:
        verb = "apply"
    return Target(verb, resource, namespace, name, subresource)
