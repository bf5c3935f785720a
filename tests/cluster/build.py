#!/usr/bin/env python3
"""Builds what the cluster tests run, and says what the machine lacks.

python tests/cluster/build.py                builds all that is missing (minutes the first time)
python tests/cluster/build.py --api-server   only what an API server needs (no root, no containers)
python tests/cluster/build.py --packages     prints the Debian packages that are missing, builds nothing
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from realcluster import needs
from realcluster.binaries import ALL, API_SERVER_ONLY, Binaries, find_go

ORACLES = Path(__file__).resolve().parent.parent / "oracle"


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
        Binaries().build(API_SERVER_ONLY if options.api_server else ALL, _say)
        if not options.api_server:
            _build_oracles()
    except (needs.NotReady, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build_oracles() -> None:
    """The programs that answer what Kubernetes' own library would: selectors and the allocator."""
    sys.path[:0] = [str(ORACLES), str(ORACLES / "allocator")]
    import cel_oracle
    import oracle

    go = find_go(_say)
    _say("the oracles of the tests (a minute the first time)")
    cel_oracle.build(go)
    oracle.build(str(go))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
