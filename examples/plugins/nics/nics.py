"""A DRA driver for the network interfaces of this machine, read from sysfs."""

from contextlib import suppress
from pathlib import Path

from dracore import (
    ContainerEdits,
    Device,
    DracoreError,
    NodeContext,
    Prepared,
    device_name,
    hookimpl,
)

INTERFACES = Path("/sys/class/net")


def _device(path: Path) -> Device:
    attributes: dict[str, str | int] = {"interface": path.name, "virtual": not (path / "device").exists()}
    for name in ("address", "mtu", "speed"):
        with suppress(OSError):  # no speed without a cable: what is not known is left out
            text = (path / name).read_text().strip()
            if text != "-1":
                attributes[name] = int(text) if text.isdecimal() else text
    return Device(device_name(path.name), kind="nic", attributes=attributes)


@hookimpl
def dra_discover(ctx: NodeContext) -> list[Device]:
    return [_device(path) for path in sorted(INTERFACES.iterdir()) if path.is_dir()]


@hookimpl
def dra_prepare(device: Device) -> Prepared:
    interface = str(device.attributes["interface"])
    if not (INTERFACES / interface).is_dir():
        raise DracoreError(f"interface {interface} is gone", fix="plug it in again")
    variable = f"NIC_{device.name}".upper().replace("-", "_")
    return Prepared(ContainerEdits(env={variable: interface}), facts={"interface": interface})
