"""The generated messages: names and numbers of the kubelet's contracts, pools that collide with nobody."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from dracore.kubelet.wire import methods

MODULES = [
    "registration_pb2",
    "dra_v1_pb2",
    "dra_v1beta1_pb2",
    "health_v1_pb2",
    "health_v1alpha1_pb2",
    "podresources_v1_pb2",
]


def load(name: str) -> ModuleType:
    return importlib.import_module(f"dracore.kubelet.wire.{name}")


def fields(name: str) -> dict[str, dict[str, int]]:
    """Message -> field -> number, nested map entries left out."""
    found = load(name).DESCRIPTOR.message_types_by_name
    return {message: {f.name: f.number for f in d.fields} for message, d in found.items()}


DRA = {
    "Claim": {"namespace": 1, "uid": 2, "name": 3},
    "NodePrepareResourcesRequest": {"claims": 1},
    "NodePrepareResourcesResponse": {"claims": 1},
    "NodePrepareResourceResponse": {"devices": 1, "error": 2},
    "NodeUnprepareResourcesRequest": {"claims": 1},
    "NodeUnprepareResourcesResponse": {"claims": 1},
    "NodeUnprepareResourceResponse": {"error": 1},
    "Device": {"request_names": 1, "pool_name": 2, "device_name": 3, "cdi_device_ids": 4},
}
HEALTH = {
    "NodeWatchResourcesRequest": {},
    "NodeWatchResourcesResponse": {"devices": 1},
    "DeviceHealth": {
        "device": 1,
        "health": 2,
        "last_updated_time": 3,
        "health_check_timeout_seconds": 4,
        "message": 5,
    },
    "DeviceIdentifier": {"pool_name": 1, "device_name": 2},
}


def test_fields_have_the_numbers_of_the_contract() -> None:
    assert fields("dra_v1beta1_pb2") == DRA
    assert fields("dra_v1_pb2") == {**DRA, "Device": {**DRA["Device"], "share_id": 5}}
    assert fields("health_v1_pb2") == fields("health_v1alpha1_pb2") == HEALTH
    assert fields("registration_pb2") == {
        "InfoRequest": {},
        "PluginInfo": {"type": 1, "name": 2, "endpoint": 3, "supported_versions": 4},
        "RegistrationStatus": {"plugin_registered": 1, "error": 2},
        "RegistrationStatusResponse": {},
    }
    assert fields("podresources_v1_pb2")["ClaimResource"] == {
        "cdi_devices": 1,
        "driver_name": 2,
        "pool_name": 3,
        "device_name": 4,
        "share_id": 5,
    }


def test_method_constants_name_what_the_proto_files_declare() -> None:
    declared = {
        f"/{service.full_name}/{method.name}"
        for name in MODULES
        for service in load(name).DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    constants = {value for key, value in vars(methods).items() if key.isupper() and value.startswith("/")}
    assert constants == declared


def test_share_id_tells_absent_from_empty() -> None:
    device = load("dra_v1_pb2").Device
    assert not device(device_name="gpu-0").HasField("share_id")
    sent = device.FromString(device(share_id="").SerializeToString())
    assert sent.HasField("share_id")


def test_map_of_claims_survives_the_wire() -> None:
    dra = load("dra_v1_pb2")
    response = dra.NodePrepareResourcesResponse()
    response.claims["uid-1"].devices.add(pool_name="node", device_name="gpu-0", cdi_device_ids=["a/b=c"])
    response.claims["uid-2"].error = "no"
    again = dra.NodePrepareResourcesResponse.FromString(response.SerializeToString())
    assert again == response
    assert list(again.claims["uid-1"].devices[0].cdi_device_ids) == ["a/b=c"]


def test_health_enum() -> None:
    health = load("health_v1_pb2")
    assert (health.UNKNOWN, health.HEALTHY, health.UNHEALTHY) == (0, 1, 2)
    assert health.HealthStatus.Name(health.DeviceHealth(health="UNHEALTHY").health) == "UNHEALTHY"


@pytest.mark.parametrize("name", MODULES)
def test_nothing_enters_the_default_pool(name: str) -> None:
    message = next(iter(load(name).DESCRIPTOR.message_types_by_name.values()))
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName(message.full_name)


def test_another_library_may_own_the_same_names() -> None:
    """A file "health_v1.proto" of package v1 with a different DeviceHealth, in the default pool."""
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="health_v1.proto", package="v1", syntax="proto3")
file.message_type.add(name="DeviceHealth").field.add(name="other", number=7, type=9, label=1)
descriptor_pool.Default().Add(file) if hasattr(descriptor_pool.Default(), "Add") else \
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
theirs = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("v1.DeviceHealth"))
from dracore.kubelet.wire import health_v1_pb2, podresources_v1_pb2
assert theirs(other="x").SerializeToString() == b"\\x3a\\x01x"
assert health_v1_pb2.DeviceHealth(message="x").SerializeToString() == b"\\x2a\\x01x"
assert podresources_v1_pb2.CDIDevice(name="x").name == "x"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_fields_of_a_newer_kubelet_are_ignored() -> None:
    pods = load("podresources_v1_pb2")
    newer = descriptor_pb2.FileDescriptorProto(name="x")  # any other message: field 1 is a string there too
    container = pods.ContainerResources.FromString(newer.SerializeToString() + b"\x22\x02ab")
    assert container.name == "x"


def test_messages_import_without_grpc() -> None:
    names = ", ".join(MODULES)
    code = f"import sys; from dracore.kubelet.wire import methods, {names}; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
