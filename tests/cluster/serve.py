#!/usr/bin/env python3
"""Starts an API server (with etcd) on loopback and prints a kubeconfig's path; SIGTERM or Ctrl-C ends it.

    python tests/cluster/serve.py [--emulated-version 1.36] [--control-plane]

The first line on standard output is the path; it is printed when the server answers. No root is needed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from realcluster import needs
from realcluster.binaries import ALL, API_SERVER_ONLY, Binaries
from realcluster.controlplane import ApiServer, ControlPlane


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--emulated-version", metavar="MINOR", help="gates and APIs of an older release, such as 1.34"
    )
    parser.add_argument("--control-plane", action="store_true", help="scheduler and controller manager too")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    try:
        needs.require(node=False)
        binaries = Binaries()
        binaries.build(
            ALL if options.control_plane else API_SERVER_ONLY, lambda text: print(text, file=sys.stderr)
        )
    except needs.NotReady as error:
        print(error, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="dracore-api-"))
    kind = ControlPlane if options.control_plane else ApiServer
    server = kind(binaries, folder, folder / "logs", emulate=options.emulated_version)
    try:
        server.start()
        print(server.kubeconfig(), flush=True)
        done.wait()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
