from typing import Any

from dracore import Claim
from dracore.model.claim import OpaqueConfig


def claim(**devices: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": "u", "namespace": "ns", "name": "c"},
        "status": {
            "allocation": {"devices": devices},
            "reservedFor": [{"resource": "pods", "name": "p", "uid": "pu"}],
        },
    }


def result(device: str, driver: str = "d", **more: Any) -> dict[str, Any]:
    return {"request": "r", "driver": driver, "pool": "p", "device": device, **more}


def test_only_the_results_and_configs_of_one_driver_are_read() -> None:
    obj = claim(
        results=[result("a"), result("b", driver="other"), result("c", request="r/sub", shareID="s")],
        config=[
            {"source": "FromClass", "opaque": {"driver": "other", "parameters": {}}},
            {
                "source": "FromClaim",
                "requests": ["r"],
                "opaque": {"driver": "d", "parameters": {"kind": "K"}},
            },
        ],
    )
    read = Claim.from_json(obj, "d")
    assert [r.device for r in read.results] == ["a", "c"]
    assert read.results[1].base_request == "r"
    assert read.results[1].cdi_name == "c-s"
    assert [c.parameters for c in read.configs] == [{"kind": "K"}]
    assert read.reserved_for == ("pu",)


def test_a_claim_without_allocation() -> None:
    read = Claim.from_json({"metadata": {"uid": "u", "name": "c"}, "status": {}})
    assert not read.allocated
    assert read.results == ()


def test_the_digest_tells_allocations_apart_and_nothing_else() -> None:
    one = Claim.from_json(claim(results=[result("a")]))
    again = claim(results=[result("a")])
    again["metadata"]["resourceVersion"] = "7"
    assert Claim.from_json(again).digest() == one.digest()
    assert Claim.from_json(claim(results=[result("b")])).digest() != one.digest()
    assert Claim.from_json(claim(results=[result("a", adminAccess=True)])).digest() != one.digest()
    assert (
        Claim.from_json(claim(results=[result("a", consumedCapacity={"m": "1Gi"})])).digest() != one.digest()
    )


def test_a_config_for_the_parent_covers_its_sub_requests() -> None:
    config = OpaqueConfig("FromClaim", "d", {}, ("parent",))
    assert config.applies_to("parent")
    assert config.applies_to("parent/sub")
    assert not config.applies_to("parents")
    assert OpaqueConfig("FromClaim", "d", {}, ("parent/a",)).applies_to("parent/a")
    assert not OpaqueConfig("FromClaim", "d", {}, ("parent/a",)).applies_to("parent/b")
    assert OpaqueConfig("FromClass", "d", {}).applies_to("anything")
