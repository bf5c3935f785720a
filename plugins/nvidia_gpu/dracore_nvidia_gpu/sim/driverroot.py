"""The driver's installation: libraries and programs that are not the real ones and say so."""

from __future__ import annotations

import os
from typing import Any

from dracore_nvidia_gpu.sim.hardware import NodeSpec
from dracore_nvidia_gpu.sim.render import File, Link, Socket, Tree
from dracore_nvidia_gpu.sim.state import NodeState

_LIBRARY = "This is {name}, simulated by dracore. It is no library: nothing can load it.\n"
_PROGRAM = """#!/bin/sh
# {name}, simulated by dracore.
echo "{name} $*: simulated by dracore (driver {version}, node {node}); there is no hardware"
"""


def driver_root(spec: NodeSpec, state: NodeState, version: str, table: dict[str, Any]) -> Tree:
    """The tree below the driver root.

    :param table: ``data/driver-root.yaml``.
    """
    tree: Tree = {}
    libdir = table["libdirs"][spec.machine]
    files = {f"{lib['name']}.so.{version}": lib["links"] for lib in table["libraries"]}
    files |= {lib["file"]: lib["links"] for lib in table["others"]}
    for file, links in files.items():
        tree[f"{libdir}/{file}"] = File(_LIBRARY.format(name=file))
        for link, target in zip(links, [file, *links], strict=False):
            tree[f"{libdir}/{link}"] = Link(os.path.basename(target))
    for path in table["binaries"]:
        name = os.path.basename(path)
        text = _PROGRAM.format(name=name, version=version, node=spec.name)
        tree[path] = File(text, 0o755)
    for path in table["files"]:
        path = path.format(version=version)
        tree[path] = File(f"{os.path.basename(path)}, simulated by dracore\n")
    if state.driver.loaded:
        for path in table["sockets"] + (table["fabricSockets"] if spec.nvswitches else []):
            tree[path] = Socket()
        for gpu in spec.gpus:
            if not state.gpus[gpu.uuid].removed:
                name = f"dev/dri/by-path/pci-{gpu.pci.sysfs}"
                tree[f"{name}-card"] = Link(f"../card{spec.card_minor(gpu)}")
                tree[f"{name}-render"] = Link(f"../renderD{spec.render_minor(gpu)}")
    return tree
