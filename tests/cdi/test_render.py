"""What specs say, and when a claim has several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore.cdi import Cdi, Part
from dracore.errors import CdiError
from dracore.model.claim import Result
from dracore.model.edits import ContainerEdits, DeviceNode, Hook, Mount

UID = "0f1e2d3c-0000-4000-8000-000000000001"
LETTER = "af1e2d3c-0000-4000-8000-000000000001"
DRIVER = "gpu.example.com"
LIB = Mount("/lib/libgpu.so", "/lib/libgpu.so")
OTHER = Mount("/lib/other.so", "/lib/other.so")
LDCACHE = Hook("createContainer", "/usr/bin/hook", ("hook", "update-ldcache"))
COMMON = ContainerEdits(env={"GPU": "void"}, device_nodes=(DeviceNode("/dev/gpuctl"),), mounts=(LIB,))


def part(
    device: str,
    edits: ContainerEdits | None = None,
    common: ContainerEdits | None = None,
    *,
    request: str = "gpu",
    share: str = "",
    pool: str = "node-1",
    plugin: str = "gpus",
) -> Part:
    return Part(
        Result(request, DRIVER, pool, device, share),
        [(plugin, ContainerEdits(device_nodes=(DeviceNode(f"/dev/{device}"),)) if edits is None else edits)],
        [(plugin, common)] if common else (),
    )


def rendered(*parts: Part, uid: str = UID) -> dict[str, dict]:
    specs = Cdi(Path("/unused"), DRIVER).render(uid, parts)
    return {name: json.loads(spec.text) for name, spec in specs.items()}


def only(*parts: Part, uid: str = UID) -> dict:
    (spec,) = rendered(*parts, uid=uid).values()
    return spec


def names(spec: dict) -> list[str]:
    return [device["name"].removeprefix(UID + "-") for device in spec["devices"]]


def test_golden() -> None:
    edits = ContainerEdits(
        env={"A": "1"},
        device_nodes=(DeviceNode("/dev/gpu0", "/root/dev/gpu0", "c", 195, 0, 0o666, "rw", 0, 44),),
        mounts=(Mount("/run/x", "/run/x", ("rw", "bind"), "bind"),),
        hooks=(Hook("createContainer", "/h", ("h", "x"), ("D=1",), 5),),
        additional_gids=(44,),
    )
    assert rendered(part("gpu-0", edits, COMMON)) == {
        f"dracore-{DRIVER}-{UID}.json": {
            "cdiVersion": "0.7.0",
            "kind": f"k8s.{DRIVER}/claim",
            "devices": [
                {
                    "name": f"{UID}-gpu-0",
                    "containerEdits": {
                        "env": ["A=1"],
                        "deviceNodes": [
                            {
                                "path": "/dev/gpu0",
                                "hostPath": "/root/dev/gpu0",
                                "type": "c",
                                "major": 195,
                                "minor": 0,
                                "fileMode": 438,
                                "permissions": "rw",
                                "uid": 0,
                                "gid": 44,
                            }
                        ],
                        "hooks": [
                            {
                                "hookName": "createContainer",
                                "path": "/h",
                                "args": ["h", "x"],
                                "env": ["D=1"],
                                "timeout": 5,
                            }
                        ],
                        "mounts": [
                            {
                                "hostPath": "/run/x",
                                "containerPath": "/run/x",
                                "type": "bind",
                                "options": ["rw", "bind"],
                            }
                        ],
                        "additionalGids": [44],
                    },
                }
            ],
            "containerEdits": {
                "env": ["GPU=void"],
                "deviceNodes": [{"path": "/dev/gpuctl"}],
                "mounts": [
                    {
                        "hostPath": "/lib/libgpu.so",
                        "containerPath": "/lib/libgpu.so",
                        "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"],
                    }
                ],
            },
        }
    }


def test_ids_name_claim_device_and_share() -> None:
    cdi = Cdi(Path("/unused"), DRIVER)
    assert cdi.id_of(UID, Result("r", DRIVER, "p", "gpu-0")) == f"k8s.{DRIVER}/claim={UID}-gpu-0"
    shared = part("gpu-0", share="ab12")
    assert cdi.id_of(UID, shared.result) == f"k8s.{DRIVER}/claim={UID}-gpu-0-ab12"
    assert names(only(shared, part("gpu-0", share="cd34"))) == ["gpu-0-ab12", "gpu-0-cd34"]


def test_devices_with_other_common_edits_stand_in_a_file_of_their_own() -> None:
    vfio = ContainerEdits(device_nodes=(DeviceNode("/dev/vfio/vfio"),))
    specs = rendered(
        part("gpu-0", common=COMMON, request="a"),
        part("gpu-1-vfio", common=vfio, request="b"),
        part(
            "gpu-2",
            common=ContainerEdits(env=dict(COMMON.env), device_nodes=COMMON.device_nodes, mounts=(LIB,)),
            request="a",
        ),
    )
    first, second = f"dracore-{DRIVER}-{UID}.json", f"dracore-{DRIVER}-{UID}-1.json"
    assert list(specs) == [first, second]
    assert names(specs[first]) == ["gpu-0", "gpu-2"]
    assert names(specs[second]) == ["gpu-1-vfio"]
    assert specs[second]["containerEdits"] == {"deviceNodes": [{"path": "/dev/vfio/vfio"}]}
    assert "vfio" not in json.dumps(specs[first])


def test_what_all_devices_of_a_file_mount_and_run_is_written_once() -> None:
    def one(device: str, *mounts: Mount) -> Part:
        return part(device, ContainerEdits(env={device: "1"}, mounts=mounts, hooks=(LDCACHE,)))

    spec = only(one("a", LIB, OTHER), one("b", LIB))
    assert [m["containerPath"] for m in spec["containerEdits"]["mounts"]] == [LIB.container_path]
    assert len(spec["containerEdits"]["hooks"]) == 1
    a, b = (device["containerEdits"] for device in spec["devices"])
    # Only device a has it: a container with b alone must not get it.
    assert [m["containerPath"] for m in a["mounts"]] == [OTHER.container_path]
    assert "mounts" not in b
    assert "hooks" not in a
    assert "hooks" not in b


def test_what_the_common_edits_mount_is_not_repeated_by_a_device() -> None:
    spec = only(part("a", ContainerEdits(env={"A": "1"}, mounts=(LIB, OTHER)), COMMON))
    assert [m["containerPath"] for m in spec["devices"][0]["containerEdits"]["mounts"]] == ["/lib/other.so"]


def test_no_device_is_without_edits() -> None:
    empty = ContainerEdits()
    spec = only(part("nic-0", empty), part("nic-1", empty, share="x.y"))
    assert [device["containerEdits"]["env"] for device in spec["devices"]] == [
        [f"DRACORE_DEVICE_{UID.upper().replace('-', '_')}_NIC_0={UID}-nic-0"],
        [f"DRACORE_DEVICE_{UID.upper().replace('-', '_')}_NIC_1_X_Y={UID}-nic-1-x.y"],
    ]
    assert "containerEdits" not in spec
    lifted = only(part("a", ContainerEdits(mounts=(LIB,))), part("b", ContainerEdits(mounts=(LIB,))))
    assert all(device["containerEdits"]["env"] for device in lifted["devices"])


@pytest.mark.parametrize(
    ("uid", "edits", "version"),
    [
        (LETTER, ContainerEdits(env={"A": "1"}), "0.3.0"),
        (LETTER, ContainerEdits(mounts=(Mount("tmpfs", "/x", (), "tmpfs"),)), "0.4.0"),
        (LETTER, ContainerEdits(device_nodes=(DeviceNode("/dev/a", "/host/dev/a"),)), "0.5.0"),
        (UID, ContainerEdits(env={"A": "1"}), "0.5.0"),
        (LETTER, ContainerEdits(additional_gids=(44,)), "0.7.0"),
    ],
)
def test_the_lowest_version_that_carries_the_content(uid: str, edits: ContainerEdits, version: str) -> None:
    assert only(part("a", edits), uid=uid)["cdiVersion"] == version
    assert only(part("a", ContainerEdits(env={"B": "1"}), edits), uid=uid)["cdiVersion"] == version


def test_two_plugins_that_disagree_on_one_device_are_both_named() -> None:
    both = Part(
        Result("gpu", DRIVER, "p", "gpu-0"),
        [("gpus", ContainerEdits(env={"PIPE": "/a"})), ("mps", ContainerEdits(env={"PIPE": "/b"}))],
    )
    with pytest.raises(
        CdiError, match=r"plugins gpus and mps set the environment variable PIPE .*'/a' and '/b'"
    ):
        rendered(both)
    common = part("gpu-0", ContainerEdits(env={"GPU": "all"}), COMMON)
    with pytest.raises(CdiError, match="plugin gpus twice set the environment variable GPU"):
        rendered(common)


def test_devices_of_one_request_must_agree_those_of_several_may_differ() -> None:
    """A container gets every device of a request that it names, so the last value would win unseen."""
    one, two = ContainerEdits(env={"NIC": "eth0"}), ContainerEdits(env={"NIC": "eth1"})
    with pytest.raises(CdiError, match="request gpu: plugin gpus twice set the environment variable NIC"):
        rendered(part("a", one), part("b", two))
    with pytest.raises(CdiError, match="request gpu"):
        rendered(part("a", one, request="gpu/big"), part("b", two, request="gpu/big"))
    assert names(only(part("a", one, request="x"), part("b", two, request="y"))) == ["a", "b"]


def test_one_device_for_two_requests_is_one_cdi_device() -> None:
    spec = only(
        part("gpu-0", ContainerEdits(env={"A": "1"}), COMMON),
        part("gpu-0", ContainerEdits(env={"B": "2"}), COMMON, request="admin"),
    )
    assert spec["devices"] == [{"name": f"{UID}-gpu-0", "containerEdits": {"env": ["A=1", "B=2"]}}]


def test_one_name_in_two_pools_is_refused() -> None:
    with pytest.raises(CdiError, match="pools node-1 and fabric both have a device a"):
        rendered(part("a"), part("a", pool="fabric", request="other"))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (ContainerEdits(env={"": "1"}), "environment variable"),
        (ContainerEdits(env={"A=B": "1"}), "environment variable"),
        (ContainerEdits(env={"A": "1\0"}), "environment variable"),
        (ContainerEdits(device_nodes=(DeviceNode("dev/a"),)), "must be absolute"),
        (ContainerEdits(device_nodes=(DeviceNode("/dev/a", "dev/a"),)), "must be absolute"),
        (ContainerEdits(device_nodes=(DeviceNode("/dev/a", type="x"),)), "type 'x'"),
        (ContainerEdits(device_nodes=(DeviceNode("/dev/a", minor=-1),)), "negative"),
        (ContainerEdits(device_nodes=(DeviceNode("/dev/a", permissions="rx"),)), "permissions 'rx'"),
        (ContainerEdits(mounts=(Mount("/a", "b"),)), "must be absolute"),
        (ContainerEdits(mounts=(Mount("a", "/b"),)), "must be absolute"),
        (ContainerEdits(mounts=(Mount("", "/b", type="tmpfs"),)), "must be absolute"),
        (ContainerEdits(hooks=(Hook("onStart", "/h"),)), "hook 'onStart' is not one of createContainer"),
        (ContainerEdits(hooks=(Hook("poststop", "h"),)), "must be absolute"),
        (ContainerEdits(hooks=(Hook("poststop", "/h", env=("X",)),)), "NAME=VALUE"),
        (ContainerEdits(hooks=(Hook("poststop", "/h", timeout=0),)), "above 0"),
        (ContainerEdits(additional_gids=(-1,)), "group id"),
    ],
)
def test_what_a_runtime_would_refuse_is_refused_here(edits: ContainerEdits, message: str) -> None:
    with pytest.raises(CdiError, match=message) as error:
        rendered(part("gpu-0", edits))
    assert error.value.where == "device gpu-0"
    with pytest.raises(CdiError, match=message):
        rendered(part("gpu-0", common=edits))


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "a="])
def test_names_that_no_cdi_device_can_have(name: str) -> None:
    cdi = Cdi(Path("/unused"), DRIVER)
    with pytest.raises(CdiError, match="cannot be a CDI device"):
        cdi.render(name, [part("gpu-0-")])
    with pytest.raises(CdiError, match="cannot be a CDI vendor"):
        Cdi(Path("/unused"), name + "-")


def test_what_is_remembered_of_edits_never_stands_in_for_others() -> None:
    """Objects come and go, and a new one may have an old one's id."""
    cdi = Cdi(Path("/unused"), DRIVER)
    for number in range(1000):
        edits = ContainerEdits(env={"N": str(number)})
        (spec,) = cdi.render(UID, [part("a", edits, COMMON)]).values()
        assert json.loads(spec.text)["devices"][0]["containerEdits"] == {"env": [f"N={number}"]}


edit_sets = st.builds(
    ContainerEdits,
    env=st.dictionaries(st.sampled_from("ABC"), st.just("1"), max_size=2),
    mounts=st.lists(st.sampled_from([LIB, OTHER]), unique=True, max_size=2).map(tuple),
    hooks=st.lists(st.just(LDCACHE), max_size=1).map(tuple),
)


def injected(specs: dict[str, dict], device: str) -> set[str]:
    """What a container with this one device gets, as a runtime puts it together."""
    for spec in specs.values():
        for entry in spec["devices"]:
            if entry["name"] == f"{UID}-{device}":
                both = [spec.get("containerEdits", {}), entry["containerEdits"]]
                return {json.dumps(item) for edits in both for values in edits.values() for item in values}
    raise AssertionError(device)


@given(st.lists(st.tuples(edit_sets, edit_sets), min_size=1, max_size=4))
def test_however_files_are_split_each_device_gets_exactly_its_own(pairs: list) -> None:
    parts = [part(f"d{i}", own, common) for i, (own, common) in enumerate(pairs)]
    specs = rendered(*parts)
    assert rendered(*parts) == specs
    for index, (own, common) in enumerate(pairs):
        alone = rendered(part(f"d{index}", own, common))
        got, wanted = injected(specs, f"d{index}"), injected(alone, f"d{index}")
        assert {entry for entry in got if "DRACORE_DEVICE" not in entry} == {
            entry for entry in wanted if "DRACORE_DEVICE" not in entry
        }
