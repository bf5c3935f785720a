"""Selectors: how fast they compile, decide about devices they know, and evaluate those they do not.

The baseline is cel-python interpreting the same expression over the same devices in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from dracore.model.device import Device
from dracore.model.semver import Semver
from dracore.selectors import stored
from dracore.selectors.device import activation
from dracore.selectors.engine import build
from dracore.selectors.selector import Selector

DRIVER = "gpu.nvidia.com"
SELECTOR = (
    "device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^.*h100.*$') && "
    "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) >= 0"
)
SIMPLE = "device.attributes['gpu.nvidia.com'].cores > 100 && device.attributes['gpu.nvidia.com'].ecc"


def devices(count: int = 1000, shapes: int = 40) -> list[Device]:
    """GPUs of so many shapes; every other one has no error correction."""
    return [
        Device(
            f"gpu-{index}",
            attributes={
                "productName": f"NVIDIA {'H100' if index % 2 else 'A100'} {index % shapes}",
                "cores": 100 + index % shapes,
                "ecc": index % 2 == 0,
                "driverVersion": Semver.parse("580.95.5"),
                "uuid": f"GPU-{index}",
            },
            capacity={"memory": f"{40 + index % shapes}Gi"},  # type: ignore[dict-item]
        )
        for index in range(count)
    ]


def rate(work: Callable[[], int], seconds: float = 1.0) -> float:
    """What `work` counts, a second."""
    work()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += work()
    return count / (time.perf_counter() - started)


def _measure(text: str) -> dict[str, Any]:
    sample = devices()
    program = build(text, stored())
    selector = Selector(program)
    seen = [activation(DRIVER, device) for device in sample]
    return {
        "decisions_memoised_per_s": rate(lambda: sum(1 for _ in selector.matches_all(DRIVER, sample))),
        "evaluations_per_s": rate(lambda: len([program.evaluate(each) for each in seen])),
        "with_activation_per_s": rate(lambda: len([selector.evaluate(DRIVER, each) for each in sample])),
        "cel_python_per_s": _cel_python(text, sample[:50]),
        "compile_ms": 1000 / rate(lambda: bool(build(text, stored()))),
    }


def measure() -> dict[str, Any]:
    """Rates a second and milliseconds."""
    result: dict[str, Any] = {"typical": _measure(SELECTOR), "simple": _measure(SIMPLE)}
    code = "import time; t = time.perf_counter(); import dracore.selectors; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result["import_s"] = float(done.stdout)
    return result


def _cel_python(text: str, sample: list[Device]) -> float | None:
    """cel-python as it is, with the two functions that it lacks."""
    try:
        import celpy
        from celpy import celtypes
    except ImportError:
        return None
    limit = sys.getrecursionlimit()
    environment = celpy.Environment()
    sys.setrecursionlimit(limit)
    functions: dict[str, Any] = {
        "lowerAscii": lambda own: celtypes.StringType(own.lower()),
        "quantity": lambda own: celtypes.IntType(int(own.rstrip("Gi"))),
        "compareTo": lambda own, other: celtypes.IntType(own - other),
    }
    program = environment.program(environment.compile(text), functions=functions)
    values = [
        {
            "device": celpy.json_to_cel(
                {
                    "attributes": {
                        DRIVER: {k: v for k, v in device.attributes.items() if k != "driverVersion"}
                    },
                    "capacity": {DRIVER: {"memory": int(str(device.capacity["memory"].value).rstrip("Gi"))}},
                }
            )
        }
        for device in sample
    ]
    return rate(lambda: len([program.evaluate(value) for value in values]))
