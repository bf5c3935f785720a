from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dracore_nvidia_gpu.sim import SimulationError, mig
from dracore_nvidia_gpu.sim.catalog import build, describe, load_table, node_names, product_keys
from dracore_nvidia_gpu.sim.hardware import NodeSpec, PciAddress, Product
from dracore_nvidia_gpu.sim.names import MIB, mig_gigabytes
from dracore_nvidia_gpu.sim.state import GpuState
from hypothesis import given
from hypothesis import strategies as st

NODES = {
    "single-t4": 1,
    "l40s-x8": 8,
    "dgx-a100-40": 8,
    "dgx-a100-80": 8,
    "dgx-h100": 8,
    "hgx-h200": 8,
    "hgx-b200": 8,
    "gb200-node": 4,
    "gb10": 1,
}


def every_product(tmp_path: Path) -> list[Product]:
    file = tmp_path / "all.yaml"
    gpus = [{"product": key, "pci": f"0000:{n + 1:02x}:00.0"} for n, key in enumerate(product_keys())]
    file.write_text(json.dumps({"driver": {"version": "580.95.05", "cuda": 13000}, "gpus": gpus}))
    return [gpu.product for gpu in build(describe(file)).gpus]


def test_the_known_nodes_are_those_that_configurations_name() -> None:
    assert {name: len(build(describe(name)).gpus) for name in node_names()} == NODES


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_the_same_after_json(name: str) -> None:
    description = describe(name)
    assert build(json.loads(json.dumps(description))) == build(description)


@pytest.mark.parametrize("name", NODES)
def test_identities_are_stable_well_formed_and_differ(name: str) -> None:
    gpus = build(describe(name)).gpus
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", gpu.uuid) for gpu in gpus)
    assert gpus == build(describe(name)).gpus
    salted = build(describe(name, "node-2")).gpus
    assert not {gpu.uuid for gpu in gpus} & {gpu.uuid for gpu in salted}


def test_every_profile_bears_the_name_that_its_memory_gives(tmp_path: Path) -> None:
    checked = 0
    for product in every_product(tmp_path):
        for profile in product.mig.profiles if product.mig else ():
            assert product.memory_bytes is not None
            figure = mig_gigabytes(product.memory_bytes, profile.memory_mib)
            suffix = re.sub(r"^\d+g(-double)?", "", profile.key)
            assert profile.name == f"{profile.slices}g.{figure}gb{suffix}", product.key
            checked += 1
    assert checked > 100


def test_the_formula_shows_figures_that_no_hardware_has() -> None:
    """The memory sizes in NVIDIA's own mocks give names that no listing of those GPUs has."""
    assert mig_gigabytes(184320 * MIB, 23552) == 45  # a B200's smallest profile is 1g.23gb
    assert mig_gigabytes(144384 * MIB, 18432) == 35  # an H200's is 1g.18gb


def test_mig_tables_can_be_partitioned_as_they_say(tmp_path: Path) -> None:
    for product in every_product(tmp_path):
        table = product.mig
        if table is None:
            continue
        assert (
            len({p.id for p in table.profiles})
            == len({p.enum for p in table.profiles})
            == len(table.profiles)
        )
        assert table.full.size == table.memory_slices
        assert table.full.slices == table.compute_slices
        assert table.full.engines.sm <= product.multiprocessors
        for profile in table.profiles:
            assert all(0 <= s <= table.memory_slices - profile.size for s in profile.starts)
            assert all(s % profile.size == 0 for s in profile.starts)
            assert table.memory_slices % profile.size == 0
            assert mig.remaining(table, GpuState(), profile) == profile.max, (product.key, profile.name)


def test_rows_say_where_they_come_from(tmp_path: Path) -> None:
    for product in every_product(tmp_path):
        assert product.source != "a file of the user's", product.key
        raw = load_table(f"products/{product.key}.yaml")
        assert set(product.unconfirmed) <= raw.keys(), product.key
        for profile in product.mig.profiles if product.mig else ():
            assert profile.source
    for name in NODES:
        assert load_table(f"nodes/{name}.yaml")["source"]


def test_what_is_not_confirmed_is_named() -> None:
    gb10 = list(build(describe("gb10")).unverified())
    assert "product gb10: unconfirmed" in gb10
    b200 = list(build(describe("hgx-b200")).unverified())
    assert "product b200-180gb: MIG profile 7g.180gb" in b200
    assert "product b200-180gb: MIG profile 1g.23gb" not in b200


def test_facts_that_readers_of_nodes_rely_on() -> None:
    a100 = build(describe("dgx-a100-80"))
    roots = [gpu.root for gpu in a100.gpus]
    assert roots[::2] == roots[1::2]
    assert len(set(roots)) == 4
    assert [gpu.numa for gpu in a100.gpus] == [3, 3, 1, 1, 7, 7, 5, 5]
    gb200 = build(describe("gb200-node"))
    assert len({gpu.pci.domain for gpu in gb200.gpus}) == 4
    assert gb200.machine == "aarch64"
    assert build(describe("gb10")).gpus[0].product.memory_mib is None


# --- files of the user's ------------------------------------------------------------------------------

OWN = """
description: mine
driver: {version: 575.57.08, cuda: 12090}
products:
  small:
    name: NVIDIA Example
    architecture: Ampere
    computeCapability: "8.6"
    pci: {device: 0x1234}
    memoryMiB: 1024
    multiprocessors: 2
gpus:
  - {product: small, pci: "0000:01:00.0"}
  - {product: l4, pci: "0001:01:00.0", minor: 5}
"""


def load(tmp_path: Path, text: str) -> NodeSpec:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return build(describe(file))


def test_a_file_of_the_users(tmp_path: Path) -> None:
    spec = load(tmp_path, OWN)
    assert spec.name == "own"
    assert [gpu.product.name for gpu in spec.gpus] == ["NVIDIA Example", "NVIDIA L4"]
    assert [gpu.minor for gpu in spec.gpus] == [0, 5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("product: l4", "product: l40x"), ["gpus[1].product", "'l40x'", "did you mean l40"]),
        (('"8.6"', '"8"'), ["products.small.computeCapability", "'8'"]),
        (("description: mine", "numa: {0: many}"), ["numa.0", "'many'"]),
        (("description: mine", "fabric: {state: completed, cluster: x, clique: 1}"), ["fabric.cluster"]),
        (
            ("memoryMiB: 1024", "memoryMiB: 1024\n    mig: {family: none, profiles: []}"),
            ["migFamilies", "none"],
        ),
        (("minor: 5", "minr: 5"), ["gpus[1].minr", "unknown key", "did you mean minor?"]),
        (("minor: 5", "minor: 0"), ["GPU 1 has the minor of GPU 0"]),
        (("memoryMiB: 1024", "memoryMiB: lots"), ["products.small.memoryMiB", "expected int, found str"]),
        (("architecture: Ampere", "architecture: Ampre"), ["did you mean Ampere?"]),
        (("0001:01:00.0", "1:1"), ["gpus[1].pci"]),
        (("driver:", "drover:"), ["driver is missing"]),
        (("gpus:", "gpus: 3\nother:"), ["gpus"]),
        (("description: mine", "description: [mine"), ["not YAML"]),
    ],
)
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, change: tuple[str, str], said: list[str]
) -> None:
    with pytest.raises(SimulationError) as error:
        load(tmp_path, OWN.replace(*change))
    assert all(part in str(error.value) for part in said), str(error.value)


def test_an_unknown_node_names_the_nearest() -> None:
    with pytest.raises(SimulationError, match=r"did you mean dgx-h100\?.*gb200-node"):
        describe("dgx-h10")


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F))
def test_pci_addresses_are_read_as_they_are_written(domain: int, bus: int, device: int) -> None:
    pci = PciAddress(domain, bus, device)
    assert PciAddress.parse(pci.nvml) == pci
    if domain <= 0xFFFF:
        assert PciAddress.parse(pci.sysfs) == PciAddress.parse(pci.legacy) == pci


@pytest.mark.parametrize("text", ["", "0000:01:00", "0000:01:00.1", "00:01:00.0", "0000:01:20.0", "x:y:z.0"])
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        PciAddress.parse(text)
