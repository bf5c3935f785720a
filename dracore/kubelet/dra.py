"""``NodePrepareResources`` and ``NodeUnprepareResources``, v1 and v1beta1 from one implementation.

Every claim of a call is handled on its own: side by side where there is room, else in order; the failure of
one never touches another's answer (KEP-3063: errors per claim).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any, TypeVar

import grpc
import structlog

from dracore.errors import DracoreError
from dracore.kubelet.call import GrpcCall
from dracore.kubelet.wire import dra_v1_pb2, dra_v1beta1_pb2, methods
from dracore.model.answer import Call, ClaimEngine, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.model.seam import Seam, no_seam
from dracore.observe.metrics import Metrics

CLAIM_THREADS = 16
"""Claims of calls with several claims that are handled beside the calls' own threads."""

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class DraService:
    """Answers the kubelet for one driver, on behalf of a :class:`ClaimEngine`."""

    def __init__(self, driver: str, engine: ClaimEngine, metrics: Metrics, *, seam: Seam = no_seam) -> None:
        self._driver = driver
        self._engine = engine
        self._metrics = metrics
        self._seam = seam
        self._helpers = ThreadPoolExecutor(CLAIM_THREADS, thread_name_prefix=f"{driver}-claim")
        self._room = threading.BoundedSemaphore(CLAIM_THREADS)
        self._idle = threading.Condition()
        self._running = 0

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """The services for a gRPC server, newest first."""
        return [
            self._handler(methods.DRA_V1_SERVICE, dra_v1_pb2, shares=True),
            self._handler(methods.DRA_V1BETA1_SERVICE, dra_v1beta1_pb2, shares=False),
        ]

    @property
    def running(self) -> int:
        """Calls that are not answered yet."""
        return self._running

    def wait_idle(self, timeout: float) -> bool:
        """Waits until no call is running; False where some still were after `timeout` seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._running == 0, timeout)

    def close(self) -> None:
        self._helpers.shutdown(wait=False, cancel_futures=True)

    # --- one service --------------------------------------------------------------------------------

    def _handler(self, service: str, wire: ModuleType, *, shares: bool) -> grpc.GenericRpcHandler:
        def prepare(request: Any, context: Any) -> Any:
            answers = self._each(request, context, "prepare", self._engine.prepare)
            response = wire.NodePrepareResourcesResponse()
            for uid, (results, error) in answers.items():
                _answer(response.claims[uid], results or (), error, shares)
            return response

        def unprepare(request: Any, context: Any) -> Any:
            answers = self._each(request, context, "unprepare", self._engine.unprepare)
            response = wire.NodeUnprepareResourcesResponse()
            for uid, (_, error) in answers.items():
                response.claims[uid].error = error
            return response

        return grpc.method_handlers_generic_handler(
            service,
            {
                "NodePrepareResources": grpc.unary_unary_rpc_method_handler(
                    prepare,
                    request_deserializer=wire.NodePrepareResourcesRequest.FromString,
                    response_serializer=wire.NodePrepareResourcesResponse.SerializeToString,
                ),
                "NodeUnprepareResources": grpc.unary_unary_rpc_method_handler(
                    unprepare,
                    request_deserializer=wire.NodeUnprepareResourcesRequest.FromString,
                    response_serializer=wire.NodeUnprepareResourcesResponse.SerializeToString,
                ),
            },
        )

    # --- claims -------------------------------------------------------------------------------------

    def _each(
        self, request: Any, context: Any, method: str, work: Callable[[ClaimRef, Call], T]
    ) -> dict[str, tuple[T | None, str]]:
        """Result and error of each claim by uid; an uid that is named twice is handled once."""
        call = GrpcCall(context)
        refs = {c.uid: ClaimRef(c.uid, c.namespace, c.name) for c in request.claims}
        with self._idle:
            self._running += 1
        try:
            return self._spread(list(refs.values()), lambda ref: self._one(ref, call, method, work))
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _spread(
        self, refs: Sequence[ClaimRef], one: Callable[[ClaimRef], tuple[T | None, str]]
    ) -> dict[str, tuple[T | None, str]]:
        futures: dict[str, Future[tuple[T | None, str]]] = {}
        # The first claim is this thread's own; a helper is asked only where one is surely free, so that no
        # claim waits behind another call's while its own thread is idle.
        for ref in refs[1:]:
            if not self._room.acquire(blocking=False):
                break
            try:
                future = self._helpers.submit(one, ref)
            except RuntimeError:  # closed: the process ends
                self._room.release()
                break
            future.add_done_callback(lambda _: self._room.release())
            futures[ref.uid] = future
        answers = {ref.uid: one(ref) for ref in refs if ref.uid not in futures}
        answers |= {uid: future.result() for uid, future in futures.items()}
        return answers

    def _one(
        self, ref: ClaimRef, call: Call, method: str, work: Callable[[ClaimRef, Call], T]
    ) -> tuple[T | None, str]:
        started = time.perf_counter()
        self._metrics.add("inflight", self._driver, by=1)
        with structlog.contextvars.bound_contextvars(driver=self._driver, claim=ref.uid):
            result: T | None = None
            error = ""
            outcome = "ok"
            try:
                if not ref.uid:
                    raise DracoreError("the kubelet named a claim without a uid")
                result = work(ref, call)
            except DracoreError as failure:
                # An empty text would read as success.
                error, outcome = (
                    failure.for_event(ref.namespace) or type(failure).__name__,
                    type(failure).__name__,
                )
                _log.warning(f"{method} failed", name=str(ref), error=str(failure), kind=outcome)
            except BaseException as failure:  # noqa: BLE001
                # A defect of one hook is that claim's alone. Whatever kills this thread (SystemExit,
                # CancelledError) would leave the kubelet without an answer for 45 s.
                outcome = "defect"
                text = f"internal error of the driver during {method}: {type(failure).__name__}: {failure}"
                error = DracoreError(text, fix="its log has the details").for_event(ref.namespace)
                _log.exception(f"{method} met a defect", name=str(ref))
            finally:
                seconds = time.perf_counter() - started
                self._metrics.add("inflight", self._driver, by=-1)
                self._metrics.called(self._driver, method, outcome, seconds)
            if not error:
                _log.info(f"{method}d", name=str(ref), ms=round(seconds * 1000, 2))
            self._seam(f"reply.{method}.before", ref.uid)
            return result, error


def _answer(entry: Any, results: Sequence[PreparedResult], error: str, shares: bool) -> None:
    """One claim's answer; what cannot be said of it must not cost the others theirs."""
    try:
        entry.error = error
        for result in results:
            _fill(entry.devices.add(), result, shares)
    except (TypeError, ValueError) as failure:
        entry.Clear()
        entry.error = DracoreError(f"its answer cannot be sent: {failure}").for_event()


def _fill(message: Any, result: PreparedResult, shares: bool) -> None:
    message.request_names.extend(result.requests)
    message.pool_name = result.pool
    message.device_name = result.device
    message.cdi_device_ids.extend(result.cdi_ids)
    if shares and result.share_id:
        message.share_id = result.share_id
