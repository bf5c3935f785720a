"""The kubelet's part: prepare and unprepare calls over the socket, timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from dracore.kubelet.wire import dra_v1_pb2 as pb
from dracore.kubelet.wire import methods


@dataclass
class Times:
    """Seconds of each call, in order."""

    prepare: list[float] = field(default_factory=list)
    unprepare: list[float] = field(default_factory=list)
    wall: float = 0.0

    def ms(self, quantile: float, which: str = "prepare") -> float:
        values: list[float] = sorted(getattr(self, which))
        return 1000 * values[min(len(values) - 1, int(len(values) * quantile))]

    @property
    def rate(self) -> float:
        """Claims prepared and unprepared a second."""
        return len(self.prepare) / self.wall


class Caller:
    """A client of one DRA socket."""

    def __init__(self, socket: Path) -> None:
        self.channel = grpc.insecure_channel(f"unix:{socket}")
        self._prepare = self.channel.unary_unary(
            methods.DRA_V1_PREPARE,
            request_serializer=pb.NodePrepareResourcesRequest.SerializeToString,
            response_deserializer=pb.NodePrepareResourcesResponse.FromString,
        )
        self._unprepare = self.channel.unary_unary(
            methods.DRA_V1_UNPREPARE,
            request_serializer=pb.NodeUnprepareResourcesRequest.SerializeToString,
            response_deserializer=pb.NodeUnprepareResourcesResponse.FromString,
        )

    def prepare(self, claim: dict[str, Any]) -> float:
        request = pb.NodePrepareResourcesRequest(claims=[_ref(claim)])
        start = time.perf_counter()
        answer = self._prepare(request, timeout=45).claims[claim["metadata"]["uid"]]
        took = time.perf_counter() - start
        if answer.error or not answer.devices:
            raise SystemExit(f"bench: prepare failed: {answer.error or 'no devices'}")
        return took

    def unprepare(self, claim: dict[str, Any]) -> float:
        request = pb.NodeUnprepareResourcesRequest(claims=[_ref(claim)])
        start = time.perf_counter()
        answer = self._unprepare(request, timeout=45).claims[claim["metadata"]["uid"]]
        took = time.perf_counter() - start
        if answer.error:
            raise SystemExit(f"bench: unprepare failed: {answer.error}")
        return took

    def close(self) -> None:
        self.channel.close()


def _ref(claim: dict[str, Any]) -> Any:
    meta = claim["metadata"]
    return pb.Claim(namespace=meta["namespace"], uid=meta["uid"], name=meta["name"])


def one_at_a_time(socket: Path, claims: Sequence[dict[str, Any]], rounds: int) -> Times:
    """Each claim prepared and unprepared, `rounds` times over."""
    caller, times = Caller(socket), Times()
    start = time.perf_counter()
    for _ in range(rounds):
        for claim in claims:
            times.prepare.append(caller.prepare(claim))
            times.unprepare.append(caller.unprepare(claim))
    times.wall = time.perf_counter() - start
    caller.close()
    return times


def side_by_side(socket: Path, claims: Sequence[dict[str, Any]], rounds: int) -> Times:
    """One thread a claim, all at once; each prepares and unprepares its claim `rounds` times."""
    times, gate = Times(), threading.Barrier(len(claims) + 1)
    failed: list[BaseException] = []

    def work(claim: dict[str, Any]) -> None:
        caller = Caller(socket)
        gate.wait()
        try:
            for _ in range(rounds):
                times.prepare.append(caller.prepare(claim))
                times.unprepare.append(caller.unprepare(claim))
        except BaseException as error:
            failed.append(error)
        caller.close()

    threads = [threading.Thread(target=work, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    times.wall = time.perf_counter() - start
    if failed:
        raise failed[0]
    return times


def alternating(one: Callable[[], Times], other: Callable[[], Times], blocks: int) -> tuple[Times, Times]:
    """Both in turn, so that a drift of the machine's speed meets both."""
    a, b = Times(), Times()
    for _ in range(blocks):
        for total, part in ((a, one()), (b, other())):
            total.prepare += part.prepare
            total.unprepare += part.unprepare
            total.wall += part.wall
    return a, b
