"""Every answer of an engine that reaches the kubelet as an error is fit for a pod's event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from dracore import errors
from dracore.errors import EVENT_LIMIT, DracoreError
from dracore.kubelet.dra import DraService
from dracore.kubelet.wire import dra_v1_pb2 as wire
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.observe.metrics import Metrics

NAMESPACE = "team-a"
KINDS = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, DracoreError)]
RAISED: list[BaseException] = [
    *(kind("", where=None, fix=None) for kind in KINDS),
    *(
        kind(
            f"claim {NAMESPACE}/{'n' * 253} of\nnamespace {NAMESPACE}: {'why ' * 100}",
            where=f"/var/lib/{'p' * 300}",
            fix="do " + "this " * 50,
        )
        for kind in KINDS
    ),
    RuntimeError(f"{NAMESPACE}/x\n" * 100),
    KeyError("k" * 500),
    SystemExit(3),
    MemoryError(),
]


class Engine:
    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        raise self.failure

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        raise self.failure


class Context:
    def time_remaining(self) -> float:
        return 45.0

    def is_active(self) -> bool:
        return True


@pytest.mark.parametrize("failure", RAISED, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("method", ["Prepare", "Unprepare"])
def test_an_error_is_one_short_line_without_namespace(failure: BaseException, method: str) -> None:
    service = DraService("gpu.example.com", Engine(failure), Metrics())
    request: Any = getattr(wire, f"Node{method}ResourcesRequest")()
    request.claims.add(uid="u1", namespace=NAMESPACE, name="web")

    class Details:
        method_name = f"/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/Node{method}Resources"

    found = None
    for handler in service.handlers():
        details: Any = type("D", (), {"method": Details.method_name, "invocation_metadata": ()})()
        found = found or handler.service(details)
    assert found is not None
    answer = found.unary_unary(request, Context())
    text = answer.claims["u1"].error
    assert text, "an empty text would read as success"
    assert len(text) <= EVENT_LIMIT
    assert len(text.splitlines()) == 1
    assert f"{NAMESPACE}/" not in text
    assert f"namespace {NAMESPACE}" not in text
    service.close()
