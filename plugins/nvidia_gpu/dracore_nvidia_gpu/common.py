"""What every container with a GPU gets, once: control nodes, driver files, hooks, environment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dracore import ContainerEdits, Hook, Mount
from dracore_nvidia_gpu.cdihook import HookProgram, HookSearch
from dracore_nvidia_gpu.devnodes import DeviceNodes
from dracore_nvidia_gpu.driverfiles import DriverFiles, find_files, installed_version
from dracore_nvidia_gpu.driverroot import Look, Root, Stamp, stamp, unchanged

_SOCKET_OPTIONS = ("ro", "nosuid", "nodev", "rbind", "rprivate", "noexec")
TRUST_SECONDS = 0.5
"""For how long the files of a driver that was not reloaded are taken to be as they were."""
_ENV = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""``void`` keeps NVIDIA's legacy runtime hook, where a node has it, from adding every GPU."""


@dataclass(frozen=True, slots=True)
class Common:
    """The edits, and what is missing from them."""

    edits: ContainerEdits
    problems: tuple[str, ...] = ()
    version: str = ""
    hook: HookProgram | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    key: tuple[str, int]
    stamps: tuple[tuple[str, bool, Stamp], ...]
    common: Common


class CommonEdits:
    """Builds the common edits and keeps them while nothing that they depend on changes.

    What was kept is dropped at once when the driver was reloaded (another generation or version), and when
    one of the folders, links, nodes or sockets that the search looked at is not as it was. The latter is a
    few dozen ``stat`` calls; their result is trusted for :data:`TRUST_SECONDS`. Safe from any thread.
    """

    def __init__(
        self,
        root: Root,
        nodes: DeviceNodes,
        hooks: HookSearch,
        sys_root: str = "/sys",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._nodes = nodes
        self._hooks = hooks
        self._sys_root = sys_root.rstrip("/")
        self._clock = clock
        self._kept: _Kept | None = None
        self._checked = -TRUST_SECONDS
        self._lock = threading.Lock()

    def get(self, version: str, generation: int = 0) -> Common:
        """The edits for the loaded driver's version; `generation` counts the driver's reloads.

        Where the version is not known (empty), that of the libraries under the root is taken.
        """
        key = (version, generation)
        kept = self._kept
        if kept and kept.key == key and self._clock() - self._checked < TRUST_SECONDS:
            return kept.common
        with self._lock:
            now = self._clock()
            kept = self._kept
            if not kept or kept.key != key or not unchanged(kept.stamps):
                self._kept = kept = self._build(key)
            self._checked = now
        return kept.common

    def _build(self, key: tuple[str, int]) -> _Kept:
        look = Look(self._root)
        version = key[0] or installed_version(look) or "unknown"
        nodes_before = self._node_stamps()
        problems: list[str] = []
        files = find_files(look, version, self._firmware_folders())
        if not files.libraries:
            other = installed_version(look)
            problems.append(
                f"the driver {version} is loaded, but {self._root.host} has libraries of version {other}: "
                "reload the driver, or set driverRoot to where its libraries are"
                if other
                else f"no libraries of driver {version} under {self._root.host}: set driverRoot"
            )
        program, why = self._hooks.find()
        hooks: tuple[Hook, ...] = ()
        mounts = [*files.libraries, *files.others]
        if program:
            hooks = tuple(_hooks(program, files))
        else:
            mounts += files.linked
            if self._hooks.needed:
                problems.append(
                    f"{why}: containers get the driver's libraries under all their names, but no ld.so "
                    "cache, no CUDA forward compatibility and no by-path links; install the NVIDIA container "
                    "toolkit or set nvidiaCdiHookPath"
                )
        edits = ContainerEdits(
            env=_ENV | ({"NVIDIA_CTK_LIBCUDA_DIR": os.pathsep.join(files.folders)} if files.folders else {}),
            device_nodes=tuple(self._nodes.control()),
            mounts=tuple(
                Mount(file.host, file.container, _SOCKET_OPTIONS)
                if file.socket
                else Mount(file.host, file.container)
                for file in mounts
            ),
            hooks=hooks,
        )
        stamps = tuple((path, follow, found) for (path, follow), found in look.stamps.items())
        common = Common(edits, tuple(problems), version, program)
        return _Kept(key, (*stamps, *nodes_before), common)

    def _node_stamps(self) -> tuple[tuple[str, bool, Stamp], ...]:
        # Numbers of nodes that are not there come from /proc/devices, which has no useful time of its own;
        # they change when a module is loaded, which is when its folder appears below /sys/module.
        paths = [
            self._nodes.dev.path_here(path)
            for path in ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
        ]
        paths += [f"{self._sys_root}/module/{name}" for name in ("nvidia", "nvidia_uvm", "nvidia_modeset")]
        paths += self._hooks.candidates()
        paths += [self._nodes.proc + "/devices"] if self._nodes.proc != "/proc" else []
        return tuple((path, True, stamp(path)) for path in paths)

    def _firmware_folders(self) -> tuple[str, ...]:
        release = os.uname().release
        folders = [f"/lib/firmware/updates/{release}", "/lib/firmware/updates"]
        folders += [f"/lib/firmware/{release}", "/lib/firmware"]
        try:
            with open(f"{self._sys_root}/module/firmware_class/parameters/path", encoding="utf-8") as file:
                own = file.read().strip()
        except OSError:
            own = ""
        return (own, *folders) if own else tuple(folders)


def _hooks(program: HookProgram, files: DriverFiles) -> list[Hook]:
    folders = dict.fromkeys(os.path.dirname(file.container) for file in files.libraries)
    return [
        *program.create_symlinks(files.links),
        *program.enable_cuda_compat(files.version),
        *(program.update_ldcache(folders) if folders else ()),
        *program.disable_device_node_modification(),
    ]
