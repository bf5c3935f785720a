"""From a node's name, or a file of the user's, to a :class:`NodeSpec`.

Two steps, so that a process that meets an existing simulation reads one JSON file and no table:
:func:`describe` gathers the node's file, its products and their MIG geometry into one plain mapping;
:func:`build` makes the values of it.
"""

from __future__ import annotations

import difflib
import uuid
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from dracore_nvidia_gpu.sim.errors import SimulationError
from dracore_nvidia_gpu.sim.hardware import (
    ADDRESSING,
    ARCHITECTURES,
    BRANDS,
    FABRIC_STATES,
    Engines,
    Fabric,
    GiProfile,
    GpuSpec,
    Majors,
    MigTable,
    NodeSpec,
    PciAddress,
    Platform,
    Product,
    cpus,
)
from dracore_nvidia_gpu.sim.names import board_serial, gpu_uuid
from dracore_nvidia_gpu.sim.rows import Row

CONFIDENCE = {"console": 0, "secondary": 1, "derived": 2, "unconfirmed": 3}
MACHINES = {"x86_64": 0, "aarch64": 1}


def node_names() -> list[str]:
    """The nodes that come with the plugin."""
    return sorted(p.name.removesuffix(".yaml") for p in (_data() / "nodes").iterdir())


def product_keys() -> list[str]:
    """The products that come with the plugin."""
    return sorted(p.name.removesuffix(".yaml") for p in (_data() / "products").iterdir())


def describe(node: str | Path, salt: str = "") -> dict[str, Any]:
    """Everything about a node in one mapping that JSON can hold.

    :param node: a name of :func:`node_names`, or the path of a file of the same shape.
    :param salt: goes into uuids and serials, so that two machines of one kind differ.
    :raises SimulationError: no such node or file, or the file is not YAML.
    """
    names = node_names()
    if str(node) in names:
        layout, where = load_table(f"nodes/{node}.yaml"), str(node)
    else:
        path = Path(node)
        if not path.is_file():
            near = difflib.get_close_matches(str(node), names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise SimulationError(
                f"no simulated node and no file is called {node}",
                fix=f"{hint}known nodes: {', '.join(names)}; or give the path of a node file",
            )
        layout, where = _parse(path.read_text(encoding="utf-8"), str(path)), str(path)
        layout.setdefault("name", path.stem)
    layout.setdefault("name", str(node))
    gpus = layout.get("gpus")
    if not isinstance(gpus, list):
        raise SimulationError("gpus is missing or is no list", where=where)
    products = dict(layout.get("products") or {})
    for index, gpu in enumerate(gpus):
        key = gpu.get("product") if isinstance(gpu, dict) else None
        if key is not None and key not in products:
            products[key] = _bundled_product(str(key), f"{where}.gpus[{index}].product")
    families = load_table("mig-families.yaml")
    used = {_family(p) for p in products.values()}
    return {
        **layout,
        "salt": salt,
        "products": products,
        "migFamilies": {k: v for k, v in families.items() if k in used} | (layout.get("migFamilies") or {}),
    }


def build(description: dict[str, Any]) -> NodeSpec:
    """:raises SimulationError: naming the key that is wrong."""
    row = Row(description, str(description.get("name", "node")))
    name = row.text("name")
    salt = row.text("salt", "")
    identity = f"{name}/{salt}" if salt else name
    families = row.row("migFamilies")
    products_row = row.row("products")
    products = {key: _product(key, products_row.row(key), families) for key in products_row}
    driver = row.row("driver")
    numa = row.optional_row("numa")
    drm = row.optional_row("drm")
    majors = row.optional_row("majors")
    spec = NodeSpec(
        name=name,
        description=row.text("description", ""),
        driver_version=driver.text("version"),
        cuda_version=driver.integer("cuda"),
        missing=frozenset(driver.items("missing", str, ())),
        machine=row.choice("machine", MACHINES, "x86_64"),
        gpus=tuple(_gpu(identity, index, gpu, products) for index, gpu in enumerate(row.rows("gpus"))),
        numa=_numa(numa) if numa else {},
        nvswitches=tuple(row.items("nvswitches", str, ())),
        fabric=_fabric(row.optional_row("fabric")),
        platform=_platform(row.optional_row("platform")),
        majors=_majors(majors) if majors else Majors(),
        drm_first_card=drm.integer("firstCard") if drm else 0,
        source=row.text("source", "a file of the user's"),
        confidence=row.choice("confidence", CONFIDENCE, "unconfirmed"),
        unconfirmed=tuple(row.items("unconfirmed", str, ())),
    )
    row.done()
    _distinct(spec)
    return spec


def _family(product: Any) -> Any:
    mig = product.get("mig") if isinstance(product, dict) else None
    return mig.get("family") if isinstance(mig, dict) else None


def _gpu(node: str, position: int, row: Row, products: dict[str, Product]) -> GpuSpec:
    board = row.integer("board", position)
    pci = row.parsed("pci", PciAddress.parse, "the PCI address of a GPU (0000:01:00.0)")
    gpu = GpuSpec(
        position=position,
        minor=row.integer("minor", position),
        uuid=row.text("uuid", gpu_uuid(node, position)),
        serial=row.text("serial", board_serial(node, board)),
        board=board,
        product=products[row.choice("product", products)],
        pci=pci,
        root=row.text("root", f"pci{pci.domain:04x}:00"),
        bridges=tuple(row.items("bridges", str, ())),
        numa=row.integer("numa", -1),
        module=row.integer("module", position),
        memory_numa=row.optional_integer("memoryNuma"),
    )
    row.done()
    return gpu


def _product(key: str, row: Row, families: Row) -> Product:
    pci = row.row("pci")
    nvlink = row.optional_row("nvlink")
    mig = row.optional_row("mig")
    product = Product(
        key=key,
        name=row.text("name"),
        architecture=row.choice("architecture", ARCHITECTURES),
        compute_capability=row.parsed("computeCapability", _two_numbers, 'major and minor ("9.0")'),
        brand=row.choice("brand", BRANDS, "nvidia"),
        pci_device=pci.integer("device"),
        pci_subsystem=pci.integer("subsystem", 0),
        memory_mib=row.optional_integer("memoryMiB"),
        multiprocessors=row.integer("multiprocessors"),
        nvlinks=nvlink.integer("links") if nvlink else 0,
        nvlink_version=nvlink.integer("version") if nvlink else 0,
        power_limit_watts=row.integer("powerLimitWatts", 0),
        addressing_mode=row.choice("addressingMode", ADDRESSING, "none"),
        coherent=row.flag("coherent"),
        mig=_mig(mig, families) if mig else None,
        source=row.text("source", "a file of the user's"),
        confidence=row.choice("confidence", CONFIDENCE, "unconfirmed"),
        unconfirmed=tuple(row.items("unconfirmed", str, ())),
    )
    row.done()
    return product


def _mig(row: Row, families: Row) -> MigTable:
    family = families.row(row.text("family"))
    geometry = family.row("profiles")
    source, confidence = row.text("source", "a file of the user's"), row.choice("confidence", CONFIDENCE)
    profiles = tuple(_profile(entry, geometry, source, confidence) for entry in row.rows("profiles"))
    row.done()
    return MigTable(family.integer("memorySlices"), family.integer("computeSlices"), profiles)


def _profile(row: Row, geometry: Row, source: str, confidence: str) -> GiProfile:
    key = row.text("key")
    shape = geometry.row(key)
    profile = GiProfile(
        key=key,
        name=row.text("name"),
        enum=shape.integer("enum"),
        id=shape.integer("id"),
        slices=shape.integer("slices"),
        size=shape.integer("size"),
        starts=tuple(shape.items("starts", int)),
        max=shape.integer("max"),
        memory_mib=row.integer("memoryMiB"),
        engines=Engines(*(row.integer(name) for name in ("sm", "ce", "dec", "enc", "jpeg", "ofa"))),
        graphics=shape.flag("graphics"),
        source=row.text("source", source),
        confidence=row.choice("confidence", CONFIDENCE, confidence),
        unconfirmed=tuple(shape.items("unconfirmed", str, ())),
    )
    row.done()
    return profile


def _fabric(row: Row | None) -> Fabric | None:
    if row is None:
        return None
    return Fabric(
        row.choice("state", FABRIC_STATES), row.parsed("cluster", _uuid, "a uuid"), row.integer("clique")
    )


def _numa(row: Row) -> dict[int, str]:
    for key in row:
        if not str(key).isdigit():  # a number in YAML, its text in JSON
            raise SimulationError(f"expected the number of a NUMA node, found {key!r}", where=row.where)
        row.parsed(key, cpus, "a list of CPUs (0-15,32-47)")
    return {int(key): row.text(key) for key in row}


def _two_numbers(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _uuid(text: str) -> str:
    return str(uuid.UUID(text))


def _platform(row: Row | None) -> Platform | None:
    if row is None:
        return None
    return Platform(
        chassis_serial=row.text("chassisSerial"),
        slot=row.integer("slot"),
        tray=row.integer("tray"),
        host=row.integer("host"),
        peer=row.integer("peer"),
    )


def _majors(row: Row) -> Majors:
    base = Majors()
    majors = Majors(
        nvidia=row.integer("nvidia", base.nvidia),
        uvm=row.integer("uvm", base.uvm),
        caps=row.integer("caps", base.caps),
        imex=row.integer("imex", base.imex),
        drm=row.integer("drm", base.drm),
    )
    row.done()
    return majors


def _distinct(spec: NodeSpec) -> None:
    for what in ("uuid", "minor", "pci"):
        values = [getattr(gpu, what) for gpu in spec.gpus]
        for index, value in enumerate(values):
            if value in values[:index]:
                raise SimulationError(
                    f"GPU {index} has the {what} of GPU {values.index(value)}",
                    where=f"{spec.name}.gpus[{index}]",
                )


def _bundled_product(key: str, where: str) -> dict[str, Any]:
    keys = product_keys()
    if key not in keys:
        near = difflib.get_close_matches(key, keys, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SimulationError(
            f"unknown product {key!r}",
            where=where,
            fix=f"{hint}describe it under products:, or take one of {', '.join(keys)}",
        )
    return load_table(f"products/{key}.yaml")


def load_table(name: str) -> dict[str, Any]:
    """A data file that comes with the plugin."""
    return _parse((_data() / name).read_text(encoding="utf-8"), name)


def _parse(text: str, where: str) -> dict[str, Any]:
    import yaml  # 20 ms, and not needed where the node is already described

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        value = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, the C one where there is one
    except yaml.YAMLError as error:
        raise SimulationError(f"not YAML: {' '.join(str(error).split())}", where=where) from error
    if not isinstance(value, dict):
        raise SimulationError("expected a mapping", where=where)
    return value


def _data() -> Traversable:
    return files("dracore_nvidia_gpu") / "data"
