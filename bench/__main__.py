"""``make bench``: JSON on standard output, progress on standard error.

Every latency and throughput is a ratio to the floor (``bench.floor``: the durable steps of the driver and no
engine) measured in the same run, in turns, against the same real API server over TLS; absolutes are
orientation. Nothing here asserts. On a machine that others use, look at several runs: the median of their
ratios holds, a single one does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import yaml

from bench import claims, load, selectors
from bench.allocation import allocation
from bench.processes import Process
from dracore.kube.client import KubeClient
from dracore.kubelet.wire import methods
from dracore.kubelet.wire import registration_pb2 as registration

HERE = Path(__file__).parent
GPU, MANY = "gpu.nvidia.com", "bench.dracore.dev"
GPU_MOUNTS = 71
"""What a container of a simulated H100 gets; the floor writes as many."""
LIBRARIES = ("grpc", "kubernetes", "pydantic", "pluggy", "structlog", "click", "yaml", "sqlite3", "pynvml")
"""What the driver imports when it runs with nvidia_gpu; the baseline process imports the same."""


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """A real kube-apiserver with etcd; the path of its kubeconfig."""
    serve = HERE.parent / "tests" / "cluster" / "serve.py"
    child = subprocess.Popen([sys.executable, str(serve)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        path = child.stdout.readline().strip()
        if not path:
            raise SystemExit("bench: the API server did not start (see above)")
        yield Path(path)
    finally:
        child.terminate()
        child.wait(30)


class Driver:
    """`dracore run` with one plugin, its folders below `folder`."""

    def __init__(self, folder: Path, kubeconfig: Path, name: str, plugins: dict[str, Any], node: str) -> None:
        folder.mkdir()
        self.folder, self.name, self.node = folder, name, node
        self.prefix = "gpu-" if name == GPU else "dev-"
        self.registry = folder / "kubelet" / "plugins_registry"
        self.registry.mkdir(parents=True)
        self.config = folder / "node.yaml"
        content: dict[str, Any] = {
            "apiVersion": "dracore.dev/v1alpha1",
            "kind": "NodeConfiguration",
            "node": node,
            "plugins": plugins,
            "kube": {"kubeconfig": str(kubeconfig)},
            "kubelet": {"rootDir": str(folder / "kubelet")},
            "host": {"statusSocket": str(folder / "status.sock")},
            "cdi": {"dir": str(folder / "cdi")},
            "observe": {"logs": "json", "port": None},
        }
        if "nvidia_gpu" in plugins:
            content["simulation"] = {"node": "dgx-h100", "stateDir": str(folder / "sim")}
        self.config.write_text(yaml.safe_dump(content))
        (folder / "cdi").mkdir()

    @property
    def socket(self) -> Path:
        return self.folder / "kubelet" / "plugins" / self.name / "dra.sock"

    @property
    def registration(self) -> Path:
        return self.registry / f"{self.name}-reg.sock"

    def start(self) -> Process:
        metadata = self.folder / "plugins-path"
        info = metadata / "dracore_bench_devices-0.1.dist-info"
        if not info.exists():
            info.mkdir(parents=True)
            (info / "METADATA").write_text(
                "Metadata-Version: 2.1\nName: dracore-bench-devices\nVersion: 0.1\n"
            )
            (info / "entry_points.txt").write_text(
                "[dracore.plugins]\nbench_devices = dracore_bench_devices\n"
            )
        path = f"{metadata}{os.pathsep}{HERE / 'plugin'}"
        command: list[str | Path] = ["-m", "dracore.cli", "run", "--config", self.config]
        return Process(command, self.folder / "driver.log", {"PYTHONPATH": path})

    def answers(self) -> bool:
        """True when the registration socket answers GetInfo."""
        if not self.registration.exists():
            return False
        with grpc.insecure_channel(f"unix:{self.registration}") as channel:
            info = channel.unary_unary(
                methods.GET_INFO,
                request_serializer=registration.InfoRequest.SerializeToString,
                response_deserializer=registration.PluginInfo.FromString,
            )
            try:
                return bool(info(registration.InfoRequest(), timeout=1).name)
            except grpc.RpcError:
                return False

    def register(self) -> None:
        """What the kubelet says after GetInfo; only a registered instance publishes."""
        with grpc.insecure_channel(f"unix:{self.registration}") as channel:
            notify = channel.unary_unary(
                methods.NOTIFY_REGISTRATION_STATUS,
                request_serializer=registration.RegistrationStatus.SerializeToString,
                response_deserializer=registration.RegistrationStatusResponse.FromString,
            )
            notify(registration.RegistrationStatus(plugin_registered=True), timeout=5)


def published(api: KubeClient, driver: str, count: int) -> bool:
    slices = [s for s in api.list("/apis/resource.k8s.io/v1/resourceslices") if s["spec"]["driver"] == driver]
    return sum(len(s["spec"].get("devices") or ()) for s in slices) >= count


def versus_floor(
    driver: Driver, kubeconfig: Path, api: KubeClient, mounts: int, blocks: int
) -> dict[str, Any]:
    """Latency and throughput of prepare for eight devices, beside the floor writing as many mounts."""
    floor_folder = driver.folder / "floor"
    floor_folder.mkdir()
    floor_socket = floor_folder / "dra.sock"
    floor_command: list[str | Path] = [
        "-m",
        "bench.floor",
        floor_socket,
        floor_folder,
        kubeconfig,
        str(mounts),
    ]
    name = driver.name
    with driver.start() as process, Process(floor_command, floor_folder / "floor.log") as floor:
        ready = process.until(driver.answers, "the registration socket")
        floor.until(floor_socket.exists, "the floor")
        driver.register()
        process.until(lambda: published(api, name, 8), "the slices")
        time.sleep(2)
        resident = process.resident_mib
        devices = [f"{driver.prefix}{i}" for i in range(8)]
        mine = [claims.create(api, f"{driver.node}-{d}", name, driver.node, d) for d in devices]
        load.one_at_a_time(driver.socket, mine, 5)
        load.one_at_a_time(floor_socket, mine, 5)
        say(f"{name}: one at a time")
        ours, base = load.alternating(
            lambda: load.one_at_a_time(driver.socket, mine, 5),
            lambda: load.one_at_a_time(floor_socket, mine, 5),
            blocks,
        )
        say(f"{name}: eight at a time")
        ours8, base8 = load.alternating(
            lambda: load.side_by_side(driver.socket, mine, 20),
            lambda: load.side_by_side(floor_socket, mine, 20),
            max(2, blocks // 3),
        )
    return {
        "start_to_get_info_s": round(ready, 3),
        "resident_after_start_mib": round(resident, 1),
        "one_at_a_time": {
            "calls": len(ours.prepare),
            "prepare_p50_ms": round(ours.ms(0.5), 2),
            "prepare_p99_ms": round(ours.ms(0.99), 2),
            "unprepare_p50_ms": round(ours.ms(0.5, "unprepare"), 2),
            "floor_prepare_p50_ms": round(base.ms(0.5), 2),
            "floor_prepare_p99_ms": round(base.ms(0.99), 2),
            "p50_over_floor": round(ours.ms(0.5) / base.ms(0.5), 2),
            "p99_over_floor": round(ours.ms(0.99) / base.ms(0.99), 2),
        },
        "eight_at_a_time": {
            "claims_per_s": round(ours8.rate, 1),
            "floor_claims_per_s": round(base8.rate, 1),
            "rate_over_floor": round(ours8.rate / base8.rate, 2),
            "prepare_p50_ms": round(ours8.ms(0.5), 2),
            "prepare_p99_ms": round(ours8.ms(0.99), 2),
        },
    }


def baseline(folder: Path, kubeconfig: Path) -> float:
    """Resident MiB of a process with the same imports, an empty server and one list call."""
    ready = folder / "baseline-ready"
    with Process(["-m", "bench.baseline", kubeconfig, ready, *LIBRARIES], folder / "baseline.log") as process:
        process.until(ready.exists, "the baseline")
        time.sleep(1)
        return process.resident_mib


def growth(folder: Path, kubeconfig: Path, api: KubeClient, prepared: int, rounds: int) -> dict[str, Any]:
    """Prepare with ten claims prepared against many; memory and files over many rounds; recovery."""
    driver = Driver(
        folder / "many", kubeconfig, MANY, {"bench_devices": {"count": prepared + 20}}, "bench-many"
    )
    with driver.start() as process:
        process.until(driver.answers, "the registration socket")
        driver.register()
        process.until(lambda: published(api, MANY, prepared + 20), "the slices", 120)
        say(f"creating {prepared + 10} claims")
        mine = [claims.create(api, f"many-{i}", MANY, "bench-many", f"dev-{i}") for i in range(prepared + 10)]
        probes, rest = mine[:10], mine[10:]
        caller = load.Caller(driver.socket)
        for claim in rest[:10]:
            caller.prepare(claim)
        # Until the page caches of the journal are full.
        warm = 3000 if rounds >= 10_000 else 50
        say(f"{rounds} rounds, after {warm} to fill what is bounded")
        load.one_at_a_time(driver.socket, probes, warm // len(probes))
        memory, files = process.resident_mib, process.open_files
        load.one_at_a_time(driver.socket, probes, rounds // len(probes))
        grown, more_files = process.resident_mib - memory, process.open_files - files
        few = load.one_at_a_time(driver.socket, probes, 30)
        say(f"preparing {prepared} claims")
        for claim in rest[10:]:
            caller.prepare(claim)
        full = load.one_at_a_time(driver.socket, probes, 30)
        caller.close()
    say("restart with all of them prepared")
    with driver.start() as process:
        recovered = process.until(driver.answers, "the registration socket")
    return {
        "prepared": prepared,
        "prepare_p50_ms_with_10": round(few.ms(0.5), 2),
        "prepare_p50_ms_with_all": round(full.ms(0.5), 2),
        "ratio": round(full.ms(0.5) / few.ms(0.5), 2),
        "rounds": rounds,
        "memory_growth_mib": round(grown, 2),
        "open_files_growth": more_files,
        "restart_to_get_info_s": round(recovered, 2),
    }


def packing(devices: int) -> dict[str, Any]:
    """Milliseconds to pack many devices into slices, from nothing and again with one device changed."""
    from bench.packing import pack_times

    first, again = pack_times(devices)
    return {"devices": devices, "pack_ms": round(first, 1), "pack_again_ms": round(again, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure")
    options = parser.parse_args()
    blocks, prepared, rounds = (4, 300, 500) if options.quick else (30, 5000, 10000)
    with tempfile.TemporaryDirectory(prefix="dracore-bench-") as name:
        folder = Path(name)
        with api_server(folder) as kubeconfig:
            api = KubeClient.connect(kubeconfig)
            for node in ("gpu", "plain", "many"):
                meta = {"name": f"bench-{node}"}
                api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": meta})
            weight = baseline(folder, kubeconfig)
            gpu = Driver(folder / "gpu", kubeconfig, GPU, {"nvidia_gpu": {}}, "bench-gpu")
            plain = Driver(folder / "plain", kubeconfig, MANY, {"bench_devices": {"count": 8}}, "bench-plain")
            figures: dict[str, Any] = {
                "simulated_gpus": versus_floor(gpu, kubeconfig, api, GPU_MOUNTS, blocks),
                "plain_devices": versus_floor(plain, kubeconfig, api, 0, blocks),
            }
            resident = figures["simulated_gpus"]["resident_after_start_mib"]
            figures["resident"] = {
                "baseline_mib": round(weight, 1),
                "simulated_gpus_over_baseline": round(resident / weight, 2),
            }
            figures["many_claims"] = growth(folder, kubeconfig, api, prepared, rounds)
    figures["packing"] = packing(10_000)
    figures["allocation"] = allocation(*((500, 100) if options.quick else (5_000, 1_000)))
    figures["selectors"] = selectors.measure()
    figures["machine"] = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
