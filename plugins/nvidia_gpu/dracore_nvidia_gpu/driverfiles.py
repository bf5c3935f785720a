"""The files of a driver installation that containers get: libraries, programs, firmware, sockets.

The list is that of NVIDIA's own CDI generator (nvidia-container-toolkit, ``pkg/nvcdi``, mode nvml).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from dracore_nvidia_gpu.driverroot import BINARY_FOLDERS, Found, Look

BINARIES = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
)
SOCKETS = ("/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket", "/tmp/nvidia-mps")  # noqa: S108 the driver's own path

_OWN_VERSION = (
    "libnvidia-nvvm70.so.*",
    "libnvidia-egl-gbm.so.*.*",
    "libnvidia-egl-wayland.so.*.*",
    "libnvidia-egl-wayland2.so.*.*",
    "libnvidia-egl-xcb.so.*.*",
    "libnvidia-egl-xlib.so.*.*",
)
_CONFIG_FOLDERS = ("/etc", "/usr/local/share", "/usr/share")
_CONFIGS = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/09_nvidia_wayland2.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/20_nvidia_xcb.json",
    "egl/egl_external_platform.d/20_nvidia_xlib.json",
    "nvidia/nvoptix.bin",
    "OpenCL/vendors/nvidia.icd",
    "X11/xorg.conf.d/10-nvidia.conf",
    "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
)
_VULKAN = (
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_icd.x86_64.json",
    "vulkan/icd.d/nvidia_icd.aarch64.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
)
_XORG_FOLDERS = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True)
class DriverFile:
    """One file for containers."""

    container: str
    host: str
    socket: bool = False


@dataclass(slots=True)
class DriverFiles:
    """What one look at a driver root found. Paths are the container's, so: from the driver root."""

    version: str
    folders: list[str] = field(default_factory=list)
    """Those that hold libcuda or libnvidia-ml of the version."""
    libraries: list[DriverFile] = field(default_factory=list)
    others: list[DriverFile] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    """Symlinks to the libraries: (what the link says, its path)."""
    linked: list[DriverFile] = field(default_factory=list)
    """The same links as files, for runtimes that cannot make links: each is the library itself."""


def installed_version(look: Look) -> str | None:
    """The version of the libraries under the root (not of the loaded kernel module)."""
    for name in ("libcuda.so.*.*", "libnvidia-ml.so.*.*"):
        for found in look.all(look.library_folders(), name):
            version = _VERSION.search(found.real)
            if version:
                return version[1]
    return None


def find_files(look: Look, version: str, firmware_folders: tuple[str, ...]) -> DriverFiles:
    """Everything of one driver version under a root.

    :param firmware_folders: where the kernel looks for firmware, first to last.
    """
    files = DriverFiles(version)
    search = look.library_folders()
    for name in ("libcuda.so.", "libnvidia-ml.so."):
        for found in look.all(search, name + version):
            folder = os.path.dirname(found.real)
            if folder not in files.folders:
                files.folders.append(folder)
    libraries = list(_libraries(look, files.folders, version))
    files.libraries = [DriverFile(found.real, found.host) for found in libraries]
    files.links, files.linked = _links(look, libraries, version)
    files.others = sorted(_others(look, version, firmware_folders), key=lambda file: file.container)
    return files


def _libraries(look: Look, folders: list[str], version: str) -> Iterator[Found]:
    seen: set[str] = set()
    xorg = [
        f"{base}/{updates}/{kind}"
        for base in (*(f"{folder}/xorg" for folder in folders), *_XORG_FOLDERS)
        for updates in ("modules", "modules/updates")
        for kind in ("drivers", "extensions")
    ]
    for where, pattern in (
        ([*folders, *(f"{folder}/vdpau" for folder in folders)], f"*.so.{version}"),
        *((folders, pattern) for pattern in _OWN_VERSION),
        ([*(f"{folder}/nvidia/xorg" for folder in folders), *xorg], "nvidia_drv.so"),
        ([*(f"{folder}/nvidia/xorg" for folder in folders), *xorg], f"libglxserver_nvidia.so.{version}"),
    ):
        for found in look.all(where, pattern):
            if found.real not in seen:
                seen.add(found.real)
                yield found


def _links(
    look: Look, libraries: list[Found], version: str
) -> tuple[list[tuple[str, str]], list[DriverFile]]:
    by_real = {found.real: found for found in libraries}
    links: dict[str, str] = {}
    linked: dict[str, DriverFile] = {}
    for folder in dict.fromkeys(os.path.dirname(real) for real in by_real):
        for name in (look.folder(folder) or ("", ()))[1]:
            path = f"{folder}/{name}"
            target = look.link(path) if ".so" in name else None
            library = by_real.get(look.resolve(path) or "") if target else None
            if target and library:
                # The container has the library under its real path, whatever way the host's links go.
                links[path] = os.path.relpath(library.real, folder) if "/" in target else target
                linked[path] = DriverFile(path, library.host)
    for found in libraries:
        folder, name = os.path.split(found.real)
        stem = name.removesuffix("." + version)
        for target, path in _WELL_KNOWN.get(stem, ()):
            link = f"{folder}/{path}"
            links.setdefault(link, target.format(version=version))
            linked.setdefault(link, DriverFile(link, found.host))
    return [(target, path) for path, target in sorted(links.items())], [
        linked[path] for path in sorted(linked)
    ]


_WELL_KNOWN = {
    "libcuda.so": [("libcuda.so.1", "libcuda.so")],  # programs open it by this name
    "libGLX_nvidia.so": [("libGLX_nvidia.so.{version}", "libGLX_indirect.so.0")],  # GLVND, indirect GLX
    "libnvidia-opticalflow.so": [("libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so")],
    "libnvidia-allocator.so": [("../libnvidia-allocator.so.1", "gbm/nvidia-drm_gbm.so")],
    "libnvidia-vulkan-producer.so": [
        ("libnvidia-vulkan-producer.so.{version}", "libnvidia-vulkan-producer.so")
    ],
    "libglxserver_nvidia.so": [("libglxserver_nvidia.so.{version}", "libglxserver_nvidia.so")],
}


def _others(look: Look, version: str, firmware_folders: tuple[str, ...]) -> Iterator[DriverFile]:
    for name in BINARIES:
        found = look.first(BINARY_FOLDERS, name)
        if found:
            yield DriverFile(found.inside, found.host)
    for folder in firmware_folders:
        firmware = list(look.all([f"{folder}/nvidia/{version}"], "gsp*.bin"))
        yield from (DriverFile(found.inside, found.host) for found in firmware)
        if firmware:
            break
    for path in _CONFIGS:
        found = _first_file(look, [f"{folder}/{path}" for folder in _CONFIG_FOLDERS])
        if found:
            yield DriverFile(found.inside, found.host)
    for path in _VULKAN:  # some installations keep them in the root itself; containers look in /etc
        found = _first_file(look, [f"{folder}/{path}" for folder in (*_CONFIG_FOLDERS, "")])
        if found:
            yield DriverFile(f"/etc/{path}", found.host)
    for path in SOCKETS:
        look.watch(path)  # not its folder: /run and /tmp change all the time
        found = look.file(path, kinds=(stat.S_IFSOCK, stat.S_IFDIR))
        if found:
            yield DriverFile(found.inside, found.host, socket=True)


def _first_file(look: Look, paths: list[str]) -> Found | None:
    for path in paths:
        look.folder(os.path.dirname(path))
        found = look.file(path)
        if found:
            return found
    return None
