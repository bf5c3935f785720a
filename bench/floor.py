"""The floor: the I/O that any correct driver must do for a claim, and no engine.

A bare gRPC server for DRAPlugin v1, with the durable steps of a driver in the driver's order and no others.
Prepare: GET the claim over TLS, commit the answer to SQLite (WAL, FULL), write the CDI file, fsync it, rename
it, fsync its folder. Unprepare: unlink the file, fsync its folder, commit the end. That is one sync of the
journal and two of files to prepare and one of each to unprepare, what a driver needs for a claim without
effects: with fewer, an answer or a file is lost in a power cut. Commits of calls side by side wait for one
another. What a driver needs beyond this is its overhead.

(Until the floor synced the folder it made two commits each way instead: as many syncs, other ones.)

    python -m bench.floor SOCKET FOLDER KUBECONFIG MOUNTS
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import urllib3
import yaml

from dracore.kubelet.wire import dra_v1_pb2 as pb
from dracore.kubelet.wire import methods

DRIVER = "gpu.nvidia.com"


class Floor:
    def __init__(self, folder: Path, kubeconfig: Path, mounts: int) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        tls: dict[str, Any] = {"cert_reqs": "CERT_NONE"}
        if ca := cluster.get("certificate-authority"):
            tls = {"ca_certs": ca}
        if "client-certificate" in user:
            tls |= {"cert_file": user["client-certificate"], "key_file": user["client-key"]}
        urllib3.disable_warnings()
        self.http = urllib3.PoolManager(num_pools=2, maxsize=64, **tls)
        self.headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.folder = folder
        self.place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        options = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
        paths = [f"/usr/lib/x86_64-linux-gnu/libdriver-part-{i}.so.580.95.05" for i in range(mounts)]
        self.mounts = [{"hostPath": p, "containerPath": p, "options": options} for p in paths]
        self.lock = threading.Lock()
        self.db = sqlite3.connect(folder / "floor.db", check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE claims (uid TEXT PRIMARY KEY, answer TEXT)")

    def commit(self, statement: str, *values: str) -> None:
        with self.lock:
            self.db.execute(statement, values)

    def prepare(self, request: Any, _context: Any) -> Any:
        answer = pb.NodePrepareResourcesResponse()
        for ref in request.claims:
            url = (
                f"{self.server}/apis/resource.k8s.io/v1/namespaces/{ref.namespace}/resourceclaims/{ref.name}"
            )
            claim = json.loads(self.http.request("GET", url, headers=self.headers).data)
            assert claim["metadata"]["uid"] == ref.uid
            devices, nodes = [], []
            for result in claim["status"]["allocation"]["devices"]["results"]:
                name = f"{ref.uid}-{result['device']}"
                edits = {"env": [f"DEVICE={result['device']}"], "deviceNodes": [{"path": "/dev/null"}]}
                nodes.append({"name": name, "containerEdits": edits})
                devices.append(
                    (result["request"], result["pool"], result["device"], f"k8s.{DRIVER}/claim={name}")
                )
            common = {"mounts": self.mounts} if self.mounts else {}
            content = {"cdiVersion": "0.5.0", "kind": f"k8s.{DRIVER}/claim", "containerEdits": common}
            spec = json.dumps({**content, "devices": nodes})
            self.commit("INSERT INTO claims VALUES (?, ?)", ref.uid, json.dumps(devices))
            path = self.folder / f"{ref.uid}.json"
            beside = self.folder / f".{ref.uid}.json"
            with open(beside, "w") as file:
                file.write(spec)
                file.flush()
                os.fsync(file.fileno())
            os.rename(beside, path)
            os.fsync(self.place)
            for request_name, pool, device, cdi in devices:
                answer.claims[ref.uid].devices.add(
                    request_names=[request_name], pool_name=pool, device_name=device, cdi_device_ids=[cdi]
                )
        return answer

    def unprepare(self, request: Any, _context: Any) -> Any:
        answer = pb.NodeUnprepareResourcesResponse()
        for ref in request.claims:
            (self.folder / f"{ref.uid}.json").unlink(missing_ok=True)
            os.fsync(self.place)
            self.commit("DELETE FROM claims WHERE uid = ?", ref.uid)
            answer.claims[ref.uid].error = ""
        return answer


def main() -> None:
    socket, folder, kubeconfig = map(Path, sys.argv[1:4])
    floor = Floor(folder, kubeconfig, int(sys.argv[4]))
    server = grpc.server(futures.ThreadPoolExecutor(64))
    handlers = {
        "NodePrepareResources": grpc.unary_unary_rpc_method_handler(
            floor.prepare,
            pb.NodePrepareResourcesRequest.FromString,
            pb.NodePrepareResourcesResponse.SerializeToString,
        ),
        "NodeUnprepareResources": grpc.unary_unary_rpc_method_handler(
            floor.unprepare,
            pb.NodeUnprepareResourcesRequest.FromString,
            pb.NodeUnprepareResourcesResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(methods.DRA_V1_SERVICE, handlers),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
