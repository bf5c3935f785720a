"""A DRA driver for the network interfaces of this machine, read from sysfs."""

from contextlib import suppress
from pathlib import Path

from dracore import ContainerEdits, Device, DracoreError, Prepared, device_name, hookimpl

INTERFACES = Path("/sys/class/net")


def _device(path):
    attributes = {"interface": path.name, "virtual": not (path / "device").exists()}
    for name, read in {"address": str, "mtu": int, "speed": int}.items():
        with suppress(OSError, ValueError):  # no speed without a cable: what is not known is left out
            value = read((path / name).read_text().strip())
            if value != -1:
                attributes[name] = value
    return Device(device_name(path.name), kind="nic", attributes=attributes)


@hookimpl
def dra_discover(ctx):
    return [_device(path) for path in sorted(INTERFACES.iterdir()) if path.is_dir()]


@hookimpl
def dra_prepare(device):
    interface = device.attributes["interface"]
    if not (INTERFACES / interface).is_dir():
        raise DracoreError(f"interface {interface} is gone", fix="plug it in again")
    variable = f"NIC_{device.name}".upper().replace("-", "_")
    return Prepared(ContainerEdits(env={variable: interface}), facts={"interface": interface})
