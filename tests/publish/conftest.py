"""The publisher against an API server: the embedded one, and a real one where the environment names it.

``DRACORE_TEST_KUBECONFIG`` is the path of a kubeconfig with administrator's rights on a throw-away cluster;
``DRACORE_TEST_KUBERNETES`` is the release that its server emulates (1.37 where it is not set).
Every test makes a driver and a node of its own, so that tests do not meet on a shared server.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dracore.errors import NotFound
from dracore.kube.client import KubeClient
from dracore.model.device import Capacity, Device, Pool
from dracore.model.quantity import Quantity
from dracore.publish.publisher import Publisher
from dracore.publish.status import PublishObserver
from dracore.publish.wire import PATH

REAL = "DRACORE_TEST_KUBECONFIG"
RELEASE = "DRACORE_TEST_KUBERNETES"
PATIENCE = 20.0
SERVERS = ["embedded", "real"] if REAL in os.environ else ["embedded"]
"""What the tests of the publisher run against; tests/cluster runs them once more with a real server."""


class Recorder(PublishObserver):
    """Remembers everything, and lets a test wait for it."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.writes: list[str] = []
        self.publications: list[tuple[str, int, int]] = []
        self.degradations: list[str] = []
        self.recoveries: list[str] = []
        self.failures: list[str] = []
        self.repairs: list[tuple[str, int]] = []

    def _note(self, where: list[Any], what: Any) -> None:
        with self.condition:
            where.append(what)
            self.condition.notify_all()

    def wrote(self, verb: str) -> None:
        self._note(self.writes, verb)

    def published(self, pool: str, generation: int, slices: int) -> None:
        self._note(self.publications, (pool, generation, slices))

    def degraded(self, text: str) -> None:
        self._note(self.degradations, text)

    def recovered(self, text: str) -> None:
        self._note(self.recoveries, text)

    def failed(self, pool: str, error: str, delay: float) -> None:
        self._note(self.failures, error)

    def repaired(self, pool: str, writes: int) -> None:
        self._note(self.repairs, (pool, writes))

    def wait(self, predicate: Callable[[], bool], timeout: float = PATIENCE) -> None:
        with self.condition:
            assert self.condition.wait_for(predicate, timeout), vars(self)

    def poll(self, predicate: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """For what shows on the server only: looks again at every note, and now and then."""
        deadline = time.monotonic() + timeout
        while not predicate():
            assert time.monotonic() < deadline, vars(self)
            with self.condition:
                self.condition.wait(0.05)

    def counted(self) -> Counter[str]:
        return Counter(self.writes)


class Api:
    """An API server under test, and what a test needs to look at it past the publisher."""

    def __init__(self, client: KubeClient, server: Any = None) -> None:
        self.client = client
        self.server = server
        mark = uuid.uuid4().hex[:8]
        self.driver = f"d{mark}.example.com"
        self.node = f"node-{mark}"
        self.make_node(self.node)
        self._publishers: list[Publisher] = []

    def make_node(self, name: str) -> str:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        return str(self.client.create("/api/v1/nodes", node)["metadata"]["uid"])

    def slices(self, node: str | None = None, driver: str = "") -> list[dict[str, Any]]:
        selector = f"spec.driver={driver or self.driver},spec.nodeName={self.node if node is None else node}"
        found = self.client.list(PATH, params={"fieldSelector": selector})
        return sorted(found, key=lambda obj: obj["metadata"]["name"])

    def devices(self) -> list[str]:
        return [device["name"] for obj in self.slices() for device in obj["spec"].get("devices") or ()]

    def publisher(self, node: str | None = None, **options: Any) -> tuple[Publisher, Recorder]:
        recorder = Recorder()
        options.setdefault("observer", recorder)
        name = self.node if node is None else node
        publisher = Publisher(self.client, self.driver, name, **options)
        self._publishers.append(publisher)
        publisher.start()
        return publisher, recorder

    def pool(self, *devices: Device, name: str = "", **fields: Any) -> Pool:
        return Pool(self.driver, name or self.node, tuple(devices), **fields)

    def foreign_update(self, obj: dict[str, Any], **spec: Any) -> None:
        self.client.update(f"{PATH}/{obj['metadata']['name']}", {**obj, "spec": {**obj["spec"], **spec}})

    def foreign_delete(self, obj: dict[str, Any]) -> None:
        self.client.delete(f"{PATH}/{obj['metadata']['name']}")

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.stop()
            assert not publisher._reflector._thread.is_alive()
        if self.server is None:
            self._sweep()
        self.client.close()

    def _sweep(self) -> None:
        self.client.delete_collection(PATH, params={"fieldSelector": f"spec.driver={self.driver}"})
        with contextlib.suppress(NotFound):
            self.client.delete(f"/api/v1/nodes/{self.node}")


@pytest.fixture
def embedded() -> Iterator[Callable[..., Api]]:
    """Makes embedded API servers with options of their own (version, gates)."""
    from dracore.testing.apiserver import EmbeddedAPI

    made: list[tuple[Api, Any]] = []

    def make(**options: Any) -> Api:
        server = EmbeddedAPI(**options).start()
        api = Api(KubeClient.to_url(server.url), server)
        made.append((api, server))
        return api

    yield make
    for api, server in made:
        api.close()
        server.stop()


@pytest.fixture
def real() -> Iterator[Callable[[], Api]]:
    """The real API server that the environment names."""
    made: list[Api] = []

    def connect() -> Api:
        made.append(Api(KubeClient.connect(Path(os.environ[REAL]))))
        return made[-1]

    yield connect
    for api in made:
        api.close()


@pytest.fixture(params=SERVERS)
def api(request: pytest.FixtureRequest, embedded: Callable[..., Api], real: Callable[[], Api]) -> Api:
    if request.param == "embedded":
        return embedded()
    if os.environ.get(RELEASE, "1.37") < "1.36":
        pytest.skip("this server has the gates off that most of these tests use; see test_older_servers")
    return real()


@pytest.fixture
def gpus() -> Callable[..., list[Device]]:
    """Plain devices ``gpu-0`` … with something of every ungated sort of field."""

    def make(count: int, **changed: Any) -> list[Device]:
        return [
            Device(
                f"gpu-{number}",
                attributes={"index": number, "model": "T", "fast": True, **changed},
                capacity={"memory": Capacity(Quantity.parse("1536Mi"))},
            )
            for number in range(count)
        ]

    return make
