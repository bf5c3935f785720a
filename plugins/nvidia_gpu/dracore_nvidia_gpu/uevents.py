"""The kernel's own announcements of devices that come and go (netlink, ``NETLINK_KOBJECT_UEVENT``)."""

from __future__ import annotations

import re
import socket

_KERNEL_GROUP = 1
_NVIDIA = "10DE:"
_NODES = re.compile(r"nvidia(\d+|ctl|-uvm|-uvm-tools|-modeset)")


class Uevents:
    """An open socket; ``fileno`` makes it good for select.

    :raises OSError: the process may not listen (no network namespace of its own, a seccomp profile).
    """

    def __init__(self) -> None:
        family = getattr(socket, "AF_NETLINK", None)
        protocol = getattr(socket, "NETLINK_KOBJECT_UEVENT", 15)
        if family is None:
            raise OSError("this system has no netlink")
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((0, _KERNEL_GROUP))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> bool:
        """Reads what is there; True when any of it is about an NVIDIA GPU (or something was missed)."""
        found = False
        while True:
            try:
                message = self._socket.recv(65536)
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS: the kernel dropped messages because nobody read them in time
                return True
            found = concerns_gpus(message) or found

    def close(self) -> None:
        self._socket.close()


def concerns_gpus(message: bytes) -> bool:
    """Whether a kernel uevent is about an NVIDIA PCI device, or about the driver that serves them."""
    fields: dict[str, str] = {}
    for part in message.split(b"\0")[1:]:
        key, _, value = part.decode("utf-8", "replace").partition("=")
        fields[key] = value
    if fields.get("ACTION") == "change":
        return False  # every power state change of a GPU is one
    subsystem = fields.get("SUBSYSTEM")
    if subsystem == "pci":
        return fields.get("PCI_ID", "").startswith(_NVIDIA) or fields.get("DRIVER") == "nvidia"
    if subsystem == "module":
        return fields.get("DEVPATH", "") in ("/module/nvidia", "/module/nvidia_uvm")
    if subsystem == "drivers":
        return fields.get("DEVPATH", "") == "/bus/pci/drivers/nvidia"
    return bool(_NODES.fullmatch(fields.get("DEVNAME", "")))
