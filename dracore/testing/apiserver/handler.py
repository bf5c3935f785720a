"""The HTTP side: one handler a connection, requests answered in JSON, watches streamed."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from dracore.testing.apiserver import discovery, events, resources, routes, status
from dracore.testing.apiserver.decode import decode, parse_body
from dracore.testing.apiserver.faults import Fault, Request
from dracore.testing.apiserver.fielderrors import not_supported, required
from dracore.testing.apiserver.registry import Write
from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.routes import Query, Target
from dracore.testing.apiserver.selectors import Selection
from dracore.testing.apiserver.selectors import select as compile_selection
from dracore.testing.apiserver.served import Served
from dracore.testing.apiserver.status import StatusError
from dracore.testing.apiserver.watching import Watch

Object = dict[str, Any]
_MAX_BODY = 3 * 1024 * 1024


class _Cut(Exception):
    """The connection is to be closed without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Serves one connection; ``server`` is what it is served from."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: Served  # type: ignore[assignment]  # no BaseServer: it has its own acceptor

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the request log replaces it."""

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, _Cut, ValueError):  # the peer went away, or we cut it
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names http.server looks for

    # --- one request ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        path, query = routes.split(self.path)
        request = Request(self.command.lower(), "/" + "/".join(path), time=time.time(), query=self.path)
        try:
            body = self._body()
            if (found := self._plain(path)) is not None:
                fault = self.server.faults.take(request)
                self._faulty(fault, request, lambda: (200, found))
                return
            content_type = self.headers.get("Content-Type", "application/json")
            target = routes.resolve(self.command, path, query, content_type, self.server.resources)
            request = replace(
                request,
                verb=target.verb,
                resource=target.resource.plural,
                namespace=target.namespace,
                name=target.name,
                subresource=target.subresource,
                dry_run=query.text("dryRun") == "All",
            )
            fault = self.server.faults.take(request)
            if target.verb == "watch":
                self._faulty(fault, request, None)
                self._watch(target, query, request)
            else:
                self._faulty(fault, request, lambda: self._do(target, query, body, content_type))
        except StatusError as error:
            self._answer(request, error.code, error.body)
        except _Cut:
            self.server.log.add(request)
            raise
        except (OSError, ValueError) as error:
            if not isinstance(error, json.JSONDecodeError | UnicodeError):
                raise  # the connection broke
            self._answer(request, 400, status.bad_request(str(error)).body)
        except Exception as error:  # noqa: BLE001 - one request must not take the server down
            text = f"Internal error occurred: {error!r}"
            self._answer(request, 500, status.generic(500, text).body)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY:
            self.close_connection = True
            message = f"Request entity too large: limit is {_MAX_BODY}"
            raise StatusError(413, "RequestEntityTooLarge", message)
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _faulty(self, fault: Fault | None, request: Request, serve: Any) -> None:
        """Serves the request through the fault that a test put before it, if any."""
        if fault is not None:
            if fault.delay:
                self.server.pause(fault.delay)
            if fault.hang:
                self.server.hang(fault)
                raise _Cut
            if fault.after and serve is not None:
                serve()
            if fault.cut:
                raise _Cut
            if fault.code:
                raise status.generic(fault.code, fault.message)
        if serve is not None:
            code, body = serve()
            self._answer(request, code, body)

    def _answer(self, request: Request, code: int, body: Any) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()
        self.server.log.add(replace(request, code=code))
        self.send_response_only(code, HTTPStatus(code).phrase)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for text in getattr(self, "_warnings", ()):
            self.send_header("Warning", f'299 - "{text}"')
        self._warnings: list[str] = []
        if code in (429, 503, 504):
            self.send_header("Retry-After", "1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _plain(self, path: list[str]) -> Any:
        """Answers that are not about objects; None when the path is."""
        served = self.server.resources
        if path in (["healthz"], ["livez"], ["readyz"]):
            return "ok"
        if path == ["version"]:
            return discovery.version(self.server.gates.version)
        if path == ["api"]:
            return discovery.core_versions()
        if path == ["apis"]:
            return discovery.group_list(served)
        if path[:1] == ["apis"] and len(path) == 2:
            return discovery.group(path[1], served)
        if path == ["api", "v1"]:
            return discovery.resource_list("", "v1", served)
        if path[:1] == ["apis"] and len(path) == 3:
            return discovery.resource_list(path[1], path[2], served)
        return None

    # --- verbs ----------------------------------------------------------------------------------------

    def _do(self, target: Target, query: Query, body: bytes, content_type: str) -> tuple[int, Any]:
        registry, resource = self.server.registry, target.resource
        dry_run = self._dry_run(query)
        write = Write(
            manager=query.text("fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0],
            dry_run=dry_run,
            subresource=target.subresource,
            force=query.flag("force"),
        )
        stored = resources.find("events", "") if resource.group == "events.k8s.io" else resource
        where = (stored, target.namespace)
        if target.verb == "get":
            return 200, self._show(resource, registry.get(*where, target.name))
        if target.verb == "list":
            return 200, self._list(target, query)
        if target.verb == "create":
            obj = self._object(resource, parse_body(body, content_type), query)
            return 201, self._show(resource, registry.create(*where, obj, write))
        if target.verb == "update":
            obj = self._object(resource, parse_body(body, content_type), query)
            return 200, self._show(resource, registry.update(*where, target.name, obj, write))
        if target.verb == "patch":
            kind = content_type.split(";")[0].strip()
            if kind not in (
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ):
                raise status.unsupported_media_type(content_type)
            patch = parse_body(body, content_type)
            if stored is not resource and isinstance(patch, dict):
                patch = events.to_core(patch)
            return 200, self._show(resource, registry.patch(*where, target.name, kind, patch, write))
        if target.verb == "apply":
            return self._apply(target, query, body, write)
        options = parse_body(body, content_type) if body else {}
        options = {**options, "preconditions": options.get("preconditions") or {}}
        if query.text("gracePeriodSeconds"):
            options["gracePeriodSeconds"] = query.number("gracePeriodSeconds")
        dry_run = dry_run or options.get("dryRun") == ["All"]
        if target.verb == "delete":
            left, gone = registry.delete(*where, target.name, options, dry_run=dry_run)
            if gone and resource.group != "resource.k8s.io" and resource.kind != "Pod":
                return 200, status.success(resource, target.name, left["metadata"]["uid"])
            return 200, self._show(resource, left)
        selection = self._selection(resource, query)
        items, metadata = registry.delete_collection(*where, selection, options, dry_run=dry_run)
        return 200, self._listing(resource, items, metadata)

    def _apply(self, target: Target, query: Query, body: bytes, write: Write) -> tuple[int, Any]:
        resource = target.resource
        if not query.text("fieldManager"):
            fault = required("fieldManager", "is required for apply patch")
            options = replace(resource, kind="PatchOptions", group="meta.k8s.io")
            raise status.invalid(options, "", [fault])
        stored = resources.find("events", "") if resource.group == "events.k8s.io" else resource
        obj = self._object(resource, parse_body(body, "application/yaml"), query)
        applied, created = self.server.registry.apply(stored, target.namespace, target.name, obj, write)
        return (201 if created else 200), self._show(resource, applied)

    def _dry_run(self, query: Query) -> bool:
        if (text := query.text("dryRun")) not in ("", "All"):
            kinds = {"POST": "CreateOptions", "PUT": "UpdateOptions", "DELETE": "DeleteOptions"}
            options = replace(
                resources.find("pods", ""), kind=kinds.get(self.command, "PatchOptions"), group="meta.k8s.io"
            )
            raise status.invalid(options, "", [not_supported("dryRun", [text], ("All",))])
        return text == "All"

    def _object(self, resource: Resource, body: Any, query: Query) -> Object:
        unknown: list[str] = []
        obj = decode(body, resource.shape, unknown=unknown.append)
        if unknown and query.text("fieldValidation") == "Strict":
            faults = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise status.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                f"strict decoding error: {faults}"
            )
        if unknown and query.text("fieldValidation") != "Ignore":
            self._warnings = [f'unknown field \\"{path}\\"' for path in unknown]
        return events.to_core(obj) if resource.group == "events.k8s.io" else obj

    def _show(self, resource: Resource, obj: Object) -> Object:
        return events.from_core(obj) if resource.group == "events.k8s.io" else obj

    def _selection(self, resource: Resource, query: Query) -> Selection:
        return compile_selection(resource, query.text("labelSelector"), query.text("fieldSelector"))

    def _list(self, target: Target, query: Query) -> Object:
        resource, selection = target.resource, self._selection(target.resource, query)
        version, match = query.text("resourceVersion"), query.text("resourceVersionMatch")
        at = None
        if version not in ("", "0"):
            if not version.isdigit():
                raise status.bad_request(f'resource version "{version}" is not a number')
            self.server.store.check(resource.storage, int(version)) if match == "Exact" else None
            if int(version) > self.server.store.version:
                raise status.too_large_version(int(version), self.server.store.version)
            at = int(version) if match == "Exact" else None
        items, metadata = self.server.registry.list(
            resource,
            target.namespace,
            selection,
            limit=query.number("limit"),
            token=query.text("continue"),
            at=at,
        )
        return self._listing(resource, items, metadata)

    def _listing(self, resource: Resource, items: Sequence[Object], metadata: Object) -> Object:
        shown = []
        for item in items:
            content = self._show(resource, item)
            shown.append({key: value for key, value in content.items() if key not in ("apiVersion", "kind")})
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": metadata,
            "items": shown,
        }

    # --- watches --------------------------------------------------------------------------------------

    def _watch(self, target: Target, query: Query, request: Request) -> None:
        resource = target.resource
        version = query.text("resourceVersion")
        if version and not version.isdigit():
            raise status.bad_request(f'resource version "{version}" is not a number')
        round_at_start = self.server.watch_round()
        watch = Watch(
            self.server.store,
            resource,
            target.namespace,
            self._selection(resource, query),
            lambda obj: self._show(resource, obj),
            version=version,
            bookmarks=query.flag("allowWatchBookmarks"),
            bookmark_interval=self.server.bookmark_interval,
            send_initial=query.flag("sendInitialEvents"),
            stopped=lambda: self.server.watch_round() != round_at_start,
            bookmark_round=self.server.bookmark_round,
        )
        self.server.log.add(replace(request, code=200))
        self.send_response_only(200, "OK")
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        deadline = time.monotonic() + (query.number("timeoutSeconds") or 3600)
        for line in watch.events(deadline):
            if line is not None:
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            elif self._gone():
                self.close_connection = True
                return
        if self.server.watch_round() != round_at_start:
            raise _Cut
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _gone(self) -> bool:
        """Whether the peer closed the connection under a quiet watch."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        waiting: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return not waiting
