"""What the driver's libraries alone weigh: the same imports, an empty gRPC server, one list call.

python -m bench.baseline KUBECONFIG READY-FILE MODULE...
"""

from __future__ import annotations

import importlib
import signal
import sys
from concurrent import futures
from pathlib import Path

import grpc


def main() -> None:
    kubeconfig, ready, modules = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    for module in modules:
        importlib.import_module(module)
    from dracore.kube.client import KubeClient

    server = grpc.server(futures.ThreadPoolExecutor(64))
    server.add_insecure_port(f"unix:{ready}.sock")
    server.start()
    KubeClient.connect(kubeconfig).list("/apis/resource.k8s.io/v1/resourceslices")
    ready.write_text("ready")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
