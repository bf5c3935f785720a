"""What the machine must bring for a real cluster; everything else is built."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

# program -> Debian package that brings it. Only what Debian has and Go modules do not.
PROGRAMS = {
    "crun": "crun",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "umount": "mount",
}


class NotReady(Exception):
    """The machine cannot run the cluster tests; the text says why and what cures it."""


def missing_packages() -> list[str]:
    """Debian packages to install, sorted."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def missing() -> list[str]:
    """What stands in the way of a node on this machine, one sentence each; empty when nothing does."""
    reasons = []
    if sys.platform != "linux":
        reasons.append(f"a kubelet needs Linux, this is {sys.platform}")
    if os.geteuid() != 0:
        reasons.append("not root: nodes need their own network and mount namespaces (run it with sudo)")
    if packages := missing_packages():
        reasons.append("Debian packages are missing: apt-get install " + " ".join(packages))
    elif reason := dynamic_busybox(Path(shutil.which("busybox") or "")):
        reasons.append(reason)
    return reasons


def dynamic_busybox(busybox: Path) -> str | None:
    """The image holds nothing but busybox, so one that needs a dynamic loader would not start in it."""
    try:
        head = busybox.read_bytes()[:4096]
    except OSError as error:
        return f"{busybox} cannot be read: {error}"
    if b"/ld-linux" in head or b"/lib/ld-" in head:
        return f"{busybox} is linked dynamically: apt-get install busybox-static"
    return None


def require(node: bool = True) -> None:
    """Raises NotReady naming everything that is missing. An API server alone needs openssl only."""
    if node:
        reasons = missing()
    else:
        reasons = [] if shutil.which("openssl") else ["Debian packages are missing: apt-get install openssl"]
    if reasons:
        raise NotReady(
            "the cluster tests cannot run here:\n" + "\n".join(f"  - {reason}" for reason in reasons)
        )
