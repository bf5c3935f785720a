#!/usr/bin/env python3
"""Builds what the cluster tests run, and says what the machine lacks.

python tests/cluster/build.py                builds all that is missing (minutes the first time)
python tests/cluster/build.py --api-server   only what an API server needs (no root, no containers)
python tests/cluster/build.py --packages     prints the Debian packages that are missing, builds nothing
"""

from __future__ import annotations

import argparse
import sys

from realcluster import needs
from realcluster.binaries import ALL, API_SERVER_ONLY, Binaries


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api-server", action="store_true", help="only kube-apiserver and etcd")
    parser.add_argument("--packages", action="store_true", help="print the missing Debian packages")
    options = parser.parse_args()
    if options.packages:
        print(" ".join(needs.missing_packages()))
        return 0
    try:
        needs.require(node=not options.api_server)
        Binaries().build(API_SERVER_ONLY if options.api_server else ALL, lambda text: print(text, flush=True))
    except needs.NotReady as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
