"""The fake kubelet against a small scripted plugin on real sockets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from dracore.kube.client import KubeClient
from dracore.kubelet.wire import (
    dra_v1_pb2,
    dra_v1beta1_pb2,
    health_v1_pb2,
    methods,
    podresources_v1_pb2,
    registration_pb2,
)
from dracore.testing.apiserver import EmbeddedAPI
from dracore.testing.kubelet import (
    ClaimRef,
    Container,
    ContainerClaim,
    FakeKubelet,
    KubeletError,
    pod_uid,
)
from dracore.testing.waiting import until

DRIVER = "gpu.example.com"


class Plugin:
    """Registers like a driver and answers what the test scripts."""

    def __init__(self, root: Path, *, name: str = "a", driver: str = DRIVER, **info: Any) -> None:
        self.registration = root / "plugins_registry" / f"{driver}-{name}-reg.sock"
        self.endpoint = root / "plugins" / f"{driver}-{name}.sock"
        for path in (self.registration, self.endpoint):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.info = {
            "type": "DRAPlugin",
            "name": driver,
            "endpoint": str(self.endpoint),
            "supported_versions": [methods.DRA_V1, methods.DRA_V1BETA1],
            **info,
        }
        self.calls: list[tuple[str, list[str]]] = []
        self.statuses: list[Any] = []
        self.notified = threading.Event()
        self.answer: Callable[[Any, Any], Any] = self._answer
        self.unprepare_error = ""
        self.health_pushes: list[Any] = []
        self._servers: list[grpc.Server] = []

    def start(self) -> Plugin:
        prepare = {
            methods.DRA_V1_SERVICE: dra_v1_pb2,
            methods.DRA_V1BETA1_SERVICE: dra_v1beta1_pb2,
        }
        handlers = [self._dra(service, wire) for service, wire in prepare.items()]
        if self.health_pushes:
            handlers.append(self._health())
        self._serve(self.endpoint, handlers)
        self._serve(self.registration, [self._registration()])
        return self

    def stop(self) -> None:
        for server in reversed(self._servers):
            server.stop(None).wait()
        self._servers.clear()
        for path in (self.registration, self.endpoint):
            path.unlink(missing_ok=True)

    def _serve(self, path: Path, handlers: list[grpc.GenericRpcHandler]) -> None:
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers(handlers)
        assert server.add_insecure_port(f"unix:{path}")
        server.start()
        self._servers.append(server)

    def _registration(self) -> grpc.GenericRpcHandler:
        def notify(request: Any, context: Any) -> Any:
            self.statuses.append(request)
            self.notified.set()
            return registration_pb2.RegistrationStatusResponse()

        return grpc.method_handlers_generic_handler(
            methods.REGISTRATION_SERVICE,
            {
                "GetInfo": grpc.unary_unary_rpc_method_handler(
                    lambda request, context: registration_pb2.PluginInfo(**self.info),
                    registration_pb2.InfoRequest.FromString,
                    registration_pb2.PluginInfo.SerializeToString,
                ),
                "NotifyRegistrationStatus": grpc.unary_unary_rpc_method_handler(
                    notify,
                    registration_pb2.RegistrationStatus.FromString,
                    registration_pb2.RegistrationStatusResponse.SerializeToString,
                ),
            },
        )

    def _answer(self, request: Any, response: Any) -> Any:
        for claim in request.claims:
            response.claims[claim.uid].devices.add(
                request_names=["r0"],
                pool_name="node-1",
                device_name="gpu-0",
                cdi_device_ids=[f"x/y={claim.uid}"],
            )
        return response

    def _dra(self, service: str, wire: Any) -> grpc.GenericRpcHandler:
        def prepare(request: Any, context: Any) -> Any:
            self.calls.append((service, [claim.name for claim in request.claims]))
            return self.answer(request, wire.NodePrepareResourcesResponse())

        def unprepare(request: Any, context: Any) -> Any:
            self.calls.append(("unprepare", [claim.name for claim in request.claims]))
            response = wire.NodeUnprepareResourcesResponse()
            for claim in request.claims:
                response.claims[claim.uid].error = self.unprepare_error
            return response

        return grpc.method_handlers_generic_handler(
            service,
            {
                "NodePrepareResources": grpc.unary_unary_rpc_method_handler(
                    prepare,
                    wire.NodePrepareResourcesRequest.FromString,
                    wire.NodePrepareResourcesResponse.SerializeToString,
                ),
                "NodeUnprepareResources": grpc.unary_unary_rpc_method_handler(
                    unprepare,
                    wire.NodeUnprepareResourcesRequest.FromString,
                    wire.NodeUnprepareResourcesResponse.SerializeToString,
                ),
            },
        )

    def _health(self) -> grpc.GenericRpcHandler:
        def stream(request: Any, context: Any) -> Iterator[Any]:
            yield from self.health_pushes
            ended = threading.Event()
            context.add_callback(ended.set)
            ended.wait(20)

        handler = grpc.unary_stream_rpc_method_handler(
            stream,
            health_v1_pb2.NodeWatchResourcesRequest.FromString,
            health_v1_pb2.NodeWatchResourcesResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            methods.HEALTH_V1_SERVICE, {"NodeWatchResources": handler}
        )


@pytest.fixture
def make_plugin(kubelet_root: Path) -> Iterator[Callable[..., Plugin]]:
    started: list[Plugin] = []

    def make(**options: Any) -> Plugin:
        plugin = Plugin(kubelet_root, **options)
        started.append(plugin)
        return plugin

    yield make
    for plugin in started:
        plugin.stop()


def test_registration_tells_the_plugin(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    plugin = make_plugin().start()
    instance = fake_kubelet.wait_for_driver(DRIVER)
    assert (instance.endpoint, instance.service) == (str(plugin.endpoint), methods.DRA_V1)
    until(lambda: bool(plugin.statuses))
    assert plugin.statuses[0].plugin_registered
    plugin.registration.unlink()
    fake_kubelet.wait_gone(DRIVER)


def test_version_is_the_first_of_the_plugins_list(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    make_plugin(supported_versions=["v9.DRAPlugin", methods.DRA_V1BETA1, methods.DRA_V1]).start()
    assert fake_kubelet.wait_for_driver(DRIVER).service == methods.DRA_V1BETA1


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"supported_versions": []}, "empty list of supported gRPC services"),
        ({"supported_versions": ["v9.DRAPlugin"]}, "none of services supported by the plugin"),
        ({"type": "CSIPlugin"}, "no handler registered for plugin type: CSIPlugin"),
    ],
)
def test_refused_plugins_are_told_why(
    fake_kubelet: FakeKubelet, make_plugin: Any, info: Any, message: str
) -> None:
    plugin = make_plugin(**info).start()
    assert plugin.notified.wait(10)
    assert not plugin.statuses[0].plugin_registered
    assert message in plugin.statuses[0].error
    assert fake_kubelet.plugins.drivers() == []
    plugin.info = {**plugin.info, "type": "DRAPlugin", "supported_versions": [methods.DRA_V1]}
    fake_kubelet.wait_for_driver(DRIVER)  # the next attempt restarts the whole sequence


def test_dot_files_are_ignored_and_empty_endpoint_is_the_registration_socket(
    fake_kubelet: FakeKubelet, make_plugin: Any
) -> None:
    hidden = make_plugin(name="hidden")
    hidden.registration = hidden.registration.with_name(".hidden.sock")
    hidden.start()
    shown = make_plugin(name="shown", endpoint="", driver="other.example.com").start()
    until(lambda: bool(shown.statuses))
    assert fake_kubelet.plugins.get("other.example.com").endpoint == str(shown.registration)
    assert hidden.statuses == []


def test_youngest_connected_instance_is_preferred(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    old = make_plugin(name="old").start()
    fake_kubelet.wait_for_driver(DRIVER)
    young = make_plugin(name="young").start()
    assert fake_kubelet.wait_for_driver(DRIVER, instances=2).endpoint == str(young.endpoint)
    young._servers[0].stop(None).wait()  # its DRA server dies, its registration stays
    until(lambda: fake_kubelet.plugins.get(DRIVER).endpoint == str(old.endpoint))


def test_same_endpoint_twice_is_refused(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    first = make_plugin(name="a").start()
    fake_kubelet.wait_for_driver(DRIVER)
    second = make_plugin(name="b", endpoint=str(first.endpoint)).start()
    assert second.notified.wait(10)
    assert "already registered for DRA driver plugin" in second.statuses[0].error


def test_slices_are_wiped_at_start_and_after_the_last_instance(
    embedded_api: EmbeddedAPI, client: KubeClient, kubelet_root: Path, make_plugin: Any, objects: Any
) -> None:
    embedded_api.create(objects.slice("old"))
    embedded_api.create(objects.slice("elsewhere", "node-2"))
    with FakeKubelet(kubelet_root, client, wipe_delay=0.1, poll=0.05, reconcile_interval=None) as kubelet:
        kubelet.plugins.wait(lambda: kubelet.plugins.wiped == [None], 10, "the first wipe")
        assert [item["metadata"]["name"] for item in embedded_api.list("resourceslices")] == ["elsewhere"]
        plugin = make_plugin().start()
        kubelet.wait_for_driver(DRIVER)
        embedded_api.create(objects.slice("mine"))
        embedded_api.create(objects.slice("foreign", driver="other.example.com"))
        plugin.stop()
        kubelet.plugins.wait(lambda: DRIVER in kubelet.plugins.wiped, 10, "the second wipe")
        left = [item["metadata"]["name"] for item in embedded_api.list("resourceslices")]
        assert left == ["elsewhere", "foreign"]
        assert len(embedded_api.log.select("deletecollection")) == 2


def ready(kubelet: FakeKubelet, plugin: Plugin) -> Plugin:
    plugin.start()
    kubelet.wait_for_driver(plugin.info["name"])
    return plugin


def test_pod_is_prepared_once_and_unprepared_after_the_last(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    claim = embedded_api.create(objects.claim(pods=(pod_uid("p1"), pod_uid("p2"))))
    first = fake_kubelet.run_pod("p1", ["c1"])
    assert first == {"main": (f"x/y={claim['metadata']['uid']}",)}
    assert fake_kubelet.run_pod("p2", ["c1"]) == first
    fake_kubelet.delete_pod("p1")
    assert plugin.calls == [(methods.DRA_V1_SERVICE, ["c1"])]
    fake_kubelet.delete_pod("p2")
    assert plugin.calls[1:] == [("unprepare", ["c1"])]
    assert fake_kubelet.manager.infos() == {}


def test_all_claims_of_a_pod_come_in_one_call_a_driver(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    gpu = ready(fake_kubelet, make_plugin())
    nic = ready(fake_kubelet, make_plugin(driver="nic.example.com"))
    uid = pod_uid("p")
    embedded_api.create(objects.claim("c1", pods=(uid,)))
    embedded_api.create(objects.claim("c2", pods=(uid,)))
    embedded_api.create(objects.claim("c3", driver="nic.example.com", pods=(uid,)))
    fake_kubelet.run_pod("p", ["c1", "c2", "c3"])
    assert gpu.calls == [(methods.DRA_V1_SERVICE, ["c1", "c2"])]
    assert nic.calls == [(methods.DRA_V1_SERVICE, ["c3"])]


def test_checks_come_before_any_call(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    uid = pod_uid("p")
    embedded_api.create(objects.claim("good", pods=(uid,)))
    embedded_api.create(objects.claim("unallocated", allocated=False))
    embedded_api.create(objects.claim("unreserved"))
    embedded_api.create(objects.claim("unserved", driver="none.example.com", pods=(uid,)))
    for other, message in [
        ("unallocated", "not allocated"),
        ("unreserved", "is not allowed to use ResourceClaim"),
        ("unserved", "DRA driver none.example.com is not registered"),
        ("missing", "fetch ResourceClaim missing"),
    ]:
        with pytest.raises(KubeletError, match=message):
            fake_kubelet.run_pod("p", ["good", other])
    assert plugin.calls == []
    assert fake_kubelet.manager.infos() == {}


def wrong(kind: str) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        if kind == "error":
            response.claims[request.claims[0].uid].error = "no such device"
        elif kind == "unknown":
            response.claims["other-uid"].devices.add()
        return response

    return answer


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("error", "NodePrepareResources failed for ResourceClaim c1: no such device"),
        ("unknown", "NodePrepareResources returned result for unknown claim UID other-uid"),
        ("skipped", "NodePrepareResources skipped 1 ResourceClaims"),
    ],
)
def test_answers_are_checked(
    embedded_api: EmbeddedAPI,
    fake_kubelet: FakeKubelet,
    make_plugin: Any,
    objects: Any,
    kind: str,
    message: str,
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    embedded_api.create(objects.claim(pods=(pod_uid("p"),)))
    plugin.answer = wrong(kind)
    with pytest.raises(KubeletError) as caught:
        fake_kubelet.run_pod("p", ["c1"])
    assert str(caught.value) == message
    plugin.answer = plugin._answer
    fake_kubelet.run_pod("p", ["c1"])
    plugin.unprepare_error = "busy"
    with pytest.raises(KubeletError, match="NodeUnprepareResources failed for ResourceClaim c1: busy"):
        fake_kubelet.delete_pod("p")
    with pytest.raises(KubeletError, match="is being unprepared"):
        fake_kubelet.run_pod("p", ["c1"])
    plugin.unprepare_error = ""
    fake_kubelet.delete_pod("p")


def test_call_has_a_deadline(
    embedded_api: EmbeddedAPI, client: KubeClient, kubelet_root: Path, make_plugin: Any, objects: Any
) -> None:
    embedded_api.create(objects.claim(pods=(pod_uid("p"),)))
    with FakeKubelet(kubelet_root, client, call_timeout=0.3, poll=0.05, reconcile_interval=None) as kubelet:
        plugin = ready(kubelet, make_plugin())
        release = threading.Event()

        def slow(request: Any, response: Any) -> Any:
            release.wait(20)
            return plugin._answer(request, response)

        plugin.answer = slow
        with pytest.raises(KubeletError, match="DEADLINE_EXCEEDED"):
            kubelet.run_pod("p", ["c1"])
        release.set()
        assert kubelet.run_pod("p", ["c1"], retry_for=10)["main"]


def test_pods_that_start_together_call_concurrently(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    names = ("p1", "p2", "p3")
    embedded_api.create(objects.claim(pods=tuple(pod_uid(name) for name in names)))
    together = threading.Barrier(3, timeout=15)

    def answer(request: Any, response: Any) -> Any:
        together.wait()
        return plugin._answer(request, response)

    plugin.answer = answer
    with ThreadPoolExecutor(3) as pool:
        ids = list(pool.map(lambda name: fake_kubelet.run_pod(name, ["c1"]), names))
    assert ids[0] == ids[1] == ids[2]
    assert len(plugin.calls) == 3
    for name in names:
        fake_kubelet.delete_pod(name)
    assert [call for call in plugin.calls if call[0] == "unprepare"] == [("unprepare", ["c1"])]


def test_restart_forgets_prepared_marks_only(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    embedded_api.create(objects.claim(pods=(pod_uid("p"),)))
    ids = fake_kubelet.run_pod("p", ["c1"])
    fake_kubelet.restart()
    fake_kubelet.wait_for_driver(DRIVER)
    assert fake_kubelet.cdi_ids("p") == ids
    assert fake_kubelet.run_pod("p", ["c1"]) == ids
    assert plugin.calls == [(methods.DRA_V1_SERVICE, ["c1"])] * 2
    fake_kubelet.restart(lose_checkpoint=True)
    fake_kubelet.wait_for_driver(DRIVER)
    fake_kubelet.delete_pod("p")
    assert len(plugin.calls) == 2  # a kubelet that lost its checkpoint never unprepares


def test_force_deleted_pod_is_unprepared_by_the_reconcile_loop(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    embedded_api.create(objects.claim(pods=(pod_uid("p"),)))
    fake_kubelet.run_pod("p", ["c1"])
    fake_kubelet.force_delete("p")
    embedded_api.delete("resourceclaims", "c1", "default")
    embedded_api.create(objects.claim(pods=(pod_uid("new"),)))
    with pytest.raises(KubeletError, match="old ResourceClaim with same name c1 and different UID"):
        fake_kubelet.run_pod("new", ["c1"])
    assert fake_kubelet.reconcile() == []
    assert plugin.calls[-1] == ("unprepare", ["c1"])
    assert fake_kubelet.run_pod("new", ["c1"])["main"]


def test_containers_get_their_requests(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    plugin = ready(fake_kubelet, make_plugin())
    embedded_api.create(objects.claim(devices=("gpu-0", "gpu-1", "gpu-2"), pods=(pod_uid("p"),)))

    def answer(request: Any, response: Any) -> Any:
        devices = response.claims[request.claims[0].uid].devices
        for i, names in enumerate((["r0"], ["r1/sub"], [])):
            devices.add(
                request_names=names, pool_name="n", device_name=f"gpu-{i}", cdi_device_ids=[f"x/y={i}"]
            )
        return response

    plugin.answer = answer
    containers = [
        Container("all", (ContainerClaim("gpu"),)),
        Container("first", (ContainerClaim("gpu", "r0"),)),
        Container("second", (ContainerClaim("gpu", "r1"),)),
        Container("none"),
    ]
    ids = fake_kubelet.run_pod("p", {"gpu": "c1"}, containers=containers)
    assert ids == {
        "all": ("x/y=0", "x/y=1", "x/y=2"),
        "first": ("x/y=0", "x/y=2"),
        "second": ("x/y=2",),  # a driver that leaves "/sub" in the name is not matched
        "none": (),
    }


def test_skipped_operations_make_no_call(
    fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any, kubelet_root: Path, embedded_api: EmbeddedAPI
) -> None:
    claim = objects.claim(pods=(pod_uid("p"),))
    with EmbeddedAPI(feature_gates={"DRAOptionalNodeOperations": True}) as api:
        claim["status"]["allocation"]["devices"]["results"][0]["skipNodeOperations"] = ["*"]
        stored = api.create(claim)
    embedded_api.store.put("resourceclaims", stored)
    assert fake_kubelet.run_pod("p", ["c1"]) == {"main": ()}  # no driver is needed at all
    fake_kubelet.delete_pod("p")


def list_pods(socket: Path) -> Any:
    with grpc.insecure_channel(f"unix:{socket}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(
            methods.POD_RESOURCES_LIST,
            request_serializer=podresources_v1_pb2.ListPodResourcesRequest.SerializeToString,
            response_deserializer=podresources_v1_pb2.ListPodResourcesResponse.FromString,
        )
        return call(podresources_v1_pb2.ListPodResourcesRequest(), timeout=5)


def test_pod_resources_tell_who_uses_what(
    embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, make_plugin: Any, objects: Any
) -> None:
    ready(fake_kubelet, make_plugin())
    claim = embedded_api.create(objects.claim(pods=(pod_uid("p"),)))
    fake_kubelet.run_pod("p", ["c1"])
    (pod,) = list_pods(fake_kubelet.pod_resources_socket).pod_resources
    (resource,) = pod.containers[0].dynamic_resources
    assert (pod.name, resource.claim_name, resource.claim_namespace) == ("p", "c1", "default")
    device = resource.claim_resources[0]
    assert (device.driver_name, device.pool_name, device.device_name) == (DRIVER, "node-1", "gpu-0")
    assert device.cdi_devices[0].name == f"x/y={claim['metadata']['uid']}"
    fake_kubelet.force_delete("p")
    assert list(list_pods(fake_kubelet.pod_resources_socket).pod_resources) == []
    fake_kubelet.stop()
    assert fake_kubelet.pod_resources_socket.exists()
    with pytest.raises(grpc.RpcError):
        list_pods(fake_kubelet.pod_resources_socket)
    fake_kubelet.start()
    assert list(list_pods(fake_kubelet.pod_resources_socket).pod_resources) == []


def test_health_stream_is_read_and_cleared_when_it_ends(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    plugin = make_plugin(supported_versions=[methods.DRA_V1, methods.HEALTH_V1])
    sick = {"device": {"pool_name": "n", "device_name": "gpu-0"}, "health": 2, "message": "x" * 2000}
    plugin.health_pushes = [health_v1_pb2.NodeWatchResourcesResponse(devices=[sick])]
    ready(fake_kubelet, plugin)
    watcher = fake_kubelet.health(DRIVER)
    watcher.wait("n", "gpu-0", "Unhealthy")
    assert len(watcher.devices()["n", "gpu-0"].message) == 1024
    assert watcher.health("n", "gpu-1") == "Unknown"
    plugin.health_pushes = []
    plugin._servers[0].stop(None).wait()
    watcher.wait("n", "gpu-0", "Unknown")


def test_bare_calls_reach_a_v1beta1_plugin(fake_kubelet: FakeKubelet, make_plugin: Any) -> None:
    plugin = ready(fake_kubelet, make_plugin(supported_versions=[methods.DRA_V1BETA1]))
    claim = ClaimRef("default", "c", "uid-1")
    (device,) = fake_kubelet.prepare(DRIVER, [claim])["uid-1"].devices
    assert (device.cdi_ids, device.share_id) == (("x/y=uid-1",), None)
    assert fake_kubelet.unprepare(DRIVER, [claim])["uid-1"].error == ""
    assert [call[0] for call in plugin.calls] == [methods.DRA_V1BETA1_SERVICE, "unprepare"]


def test_processes_talk_over_lines(
    tmp_path: Path, kubelet_root: Path, make_plugin: Any, objects: Any
) -> None:
    """Both as processes of their own: what the demo starts."""
    kubeconfig, state = tmp_path / "kubeconfig", tmp_path / "state.json"
    api = subprocess.Popen(
        [sys.executable, "-m", "dracore.testing.apiserver", "--kubeconfig", kubeconfig, "--state", state],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert api.stdout is not None
    url = api.stdout.readline().strip()
    client = KubeClient.to_url(url)
    plugin = make_plugin().start()
    kubelet = subprocess.Popen(
        [sys.executable, "-m", "dracore.testing.kubelet", "--root", kubelet_root, "--server", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert kubelet.stdin is not None
    assert kubelet.stdout is not None

    def ask(**command: Any) -> Any:
        kubelet.stdin.write(json.dumps(command) + "\n")
        kubelet.stdin.flush()
        return json.loads(kubelet.stdout.readline())

    try:
        assert json.loads(kubelet.stdout.readline()) == {"ok": True, "ready": True}
        assert ask(do="wait_driver", driver=DRIVER)["service"] == methods.DRA_V1
        path = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
        claim = objects.claim(pods=(pod_uid("p"),))
        made = client.create(path, claim)
        client.update(f"{path}/c1/status", {**made, "status": claim["status"]})
        ids = ask(do="run_pod", name="p", claims=["c1"])
        assert ids == {"ok": True, "cdi_ids": {"main": [f"x/y={made['metadata']['uid']}"]}}
        assert ask(do="run_pod", name="q", claims=["c1"])["ok"] is False
        assert "unknown command" in ask(do="dance")["error"]
        assert ask(do="delete_pod", name="p") == {"ok": True}
        assert [call[0] for call in plugin.calls] == [methods.DRA_V1_SERVICE, "unprepare"]
    finally:
        client.close()
        for process in (kubelet, api):
            process.terminate()
            assert process.wait(20) == 0
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
    assert json.loads(state.read_text())["tables"]["resourceclaims"][0]["metadata"]["name"] == "c1"
