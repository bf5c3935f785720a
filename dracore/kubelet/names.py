"""Where the sockets of a driver stand (rules of the kubelet and of the Go helper ``kubeletplugin``).

Without an instance id the names are ``<driver>-reg.sock`` and ``dra.sock``. With one (a rolling update runs
two instances side by side; the id is the pod's uid) each instance has names of its own, and names that would
make a path too long for a unix socket are replaced by hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dracore.errors import ConfigError, SocketError

PATH_LIMIT = 107
"""Longest path of a unix socket in bytes: ``sun_path`` has 108 with the final NUL (unix(7))."""

HIDDEN_LENGTH = 7
"""Characters of a hidden name (:func:`hidden_name`); no public name is shorter."""

_INSTANCE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_POD_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9_-]{11}")


@dataclass(frozen=True, slots=True)
class SocketPaths:
    """The two sockets of one driver and instance."""

    registration: Path
    dra: Path


def check_instance(instance: str) -> str:
    """`instance` as it may stand in a file name.

    :raises ConfigError: where it may not.
    """
    if instance and not _INSTANCE.fullmatch(instance):
        raise ConfigError(
            f"{instance!r} is no instance id: 1 to 63 letters, digits, '-', '_', '.', ends alphanumeric",
            where="--instance-id",
            fix="use the pod's uid",
        )
    return instance


def socket_paths(driver: str, registry: Path, data_dir: Path, instance: str = "") -> SocketPaths:
    """The paths for `driver`; both directories must be absolute.

    :param registry: the kubelet's ``plugins_registry``.
    :param data_dir: ``<kubelet>/plugins/<driver>``.
    :raises SocketError: where even the shortest name makes a path longer than 107 bytes.
    """
    return SocketPaths(
        _first_that_fits(registry, registration_names(driver, instance), "kubelet.registryDir"),
        _first_that_fits(data_dir, dra_names(driver, instance), "kubelet.pluginsDir"),
    )


def registration_names(driver: str, instance: str) -> tuple[str, ...]:
    """Names of the registration socket, first choice first."""
    if not instance:
        return (f"{driver}-reg.sock",)
    return (
        f"{driver}-{instance}-reg.sock",
        f"{driver}-{_hash(instance, 8)}-reg.sock",
        f"dra-{_pair_hash(driver, instance)}-reg.sock",
    )


def dra_names(driver: str, instance: str) -> tuple[str, ...]:
    """Names of the DRA socket, first choice first. The Go helper has the first only and fails beyond it.

    The last has 18 characters: below ``/var/lib/kubelet/plugins`` it fits the longest driver name.
    """
    if not instance:
        return ("dra.sock",)
    pair = _pair_hash(driver, instance)
    return (f"dra-{instance}.sock", f"dra-{pair}.sock", f"d-{pair[:11]}.sock")


def status_path(base: Path, instance: str) -> Path:
    """The status socket of an instance beside the configured one: ``status-<id>.sock``.

    :raises SocketError: where the path is too long for a unix socket.
    """
    if not instance:
        names: tuple[str, ...] = (base.name,)
    else:
        names = (f"{base.stem}-{instance}{base.suffix}", f"{base.stem}-{_hash(instance, 8)}{base.suffix}")
    return _first_that_fits(base.parent, names, "host.statusSocket")


def companions(driver: str, registry: Path, dra_socket: str) -> Iterator[Path]:
    """Registration sockets of the instance whose DRA socket is named `dra_socket`."""
    if dra_socket.startswith("d-"):
        yield from registry.glob(f"dra-{dra_socket[2:].removesuffix('.sock')}*-reg.sock")
        return
    token = dra_socket.removeprefix("dra").removeprefix("-").removesuffix(".sock")
    for name in registration_names(driver, token):
        yield registry / name
    if token:
        yield registry / f"dra-{token}-reg.sock"


def is_dra_name(name: str) -> bool:
    """True where `name`, in the folder of one driver, is a DRA socket of some instance."""
    return bool(re.fullmatch(r"dra\.sock|dra-.+\.sock|d-[A-Za-z0-9_-]{11}\.sock", name))


def is_registration_name(driver: str, name: str) -> bool:
    """True where `name` can only be a registration socket of `driver` (ids are pod uids or hashes)."""
    if name == f"{driver}-reg.sock":
        return True
    prefix, suffix = f"{driver}-", "-reg.sock"
    if not (name.startswith(prefix) and name.endswith(suffix)):
        return False
    return bool(_POD_UID.fullmatch(name[len(prefix) : -len(suffix)]))


def hidden_name(name: str) -> str:
    """The name that the server itself binds, beside the public one; the kubelet ignores a leading dot."""
    return f".{hashlib.sha256(name.encode()).hexdigest()[: HIDDEN_LENGTH - 1]}"


def _first_that_fits(folder: Path, names: tuple[str, ...], setting: str) -> Path:
    for name in names:
        path = folder / name
        if len(str(path).encode()) <= PATH_LIMIT:
            return path
    path = folder / names[-1]
    raise SocketError(
        f"the socket path {path} has {len(str(path).encode())} bytes, a unix socket takes {PATH_LIMIT}",
        where=setting,
        fix=f"use a folder whose path has at most {PATH_LIMIT - len(names[-1].encode()) - 1} bytes",
    )


def _hash(text: str, length: int) -> str:
    digest = hashlib.sha256(text.encode()).digest()[:length]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _pair_hash(driver: str, instance: str) -> str:
    return _hash(f"{driver}\0{instance}", 16)
