"""How soon a restarted engine answers its first prepare with many claims prepared; what 10,000 claims cost.

python -m bench.recovery [--claims 5000] [--soak 10000]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from pathlib import Path

from dracore.model.device import Device
from dracore.testing.crash import Ask, NodeDouble
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.points import Points
from dracore.testing.crash.running import quiet
from dracore.testing.crash.scenarios import plan
from dracore.testing.crash.stand import Code, Stand, Subject


class Wide(Stand):
    """A node with as many devices as wanted, whose file of claims is the test's own and not measured."""

    def start(self) -> Wide:
        setattr(self.cluster, "_save", lambda: None)  # noqa: B010 - a method of that one object
        super().start()
        return self

    def find(self, pool: str, device: str) -> tuple[Device, str]:
        return Device(device, kind="thing", identity=f"uuid-{device}", description="thing"), "things"


def subject() -> Subject:
    from dracore.testing.crash import things

    return Subject("things", Code.of(things), Code.of(NodeDouble))


def call(stand: Stand) -> KubeletCall:
    return KubeletCall(30.0, stand.points, stand.clock)


def memory() -> int:
    """Resident bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def recovery(folder: Path, claims: int) -> dict[str, float]:
    """Seconds from opening the journal until the first new prepare is answered."""
    stand = Wide(subject(), folder, Points()).start()
    for number in range(claims + 1):
        stand.cluster.put(f"c{number}", Ask((f"dev-{number}",), plan()))
    for number in range(claims):
        stand.engine.prepare(stand.cluster.ref(f"c{number}"), call(stand))
    state = stand.cluster._state
    stand.engine.close()
    began, cpu = time.perf_counter(), time.process_time()
    stand = Wide(subject(), folder, Points())
    stand.cluster._state = state
    stand.start()
    recovered = time.perf_counter()
    stand.engine.prepare(stand.cluster.ref(f"c{claims}"), call(stand))
    answered, cpu = time.perf_counter(), time.process_time() - cpu
    held = len(stand.engine.records())
    stand.engine.close()
    assert held == claims + 1
    return {"claims": claims, "recovered_s": recovered - began, "answered_s": answered - began, "cpu_s": cpu}


def soak(folder: Path, claims: int) -> dict[str, float]:
    """Claims come and go in one process; what grows after the first quarter."""
    stand = Wide(subject(), folder, Points()).start()
    warm = claims // 4
    base, files, wal = 0, 0, 0
    for number in range(claims):
        uid = f"c{number}"
        effects = ("thing a",) if number % 10 == 0 else ()
        stand.cluster.put(uid, Ask((f"dev-{number % 64}",), plan(*effects)))
        ref = stand.cluster.ref(uid)
        stand.engine.prepare(ref, call(stand))
        stand.engine.unprepare(ref, call(stand))
        stand.cluster.delete(uid)
        stand.points.seen.clear()
        if number == warm:
            base, files = memory(), len(os.listdir("/proc/self/fd"))
        wal = max(wal, sum(f.stat().st_size for f in stand.plugin_folder.glob("journal.db*")))
    grown = memory() - base
    more = len(os.listdir("/proc/self/fd")) - files
    entries = len(stand.engine.kit.journal.read(lambda tx: tx.rows("SELECT id FROM timeline")))
    stand.engine.close()
    return {
        "claims": claims,
        "memory_growth_mib": grown / 2**20,
        "more_descriptors": more,
        "largest_journal_mib": wal / 2**20,
        "timeline_entries": entries,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=5000)
    parser.add_argument("--soak", type=int, default=10000)
    parser.add_argument("--folder", type=Path, help="where the journal lies; default: a temporary folder")
    chosen = parser.parse_args(arguments)
    quiet()
    answer: dict[str, object] = {}
    if chosen.claims:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
            answer["recovery"] = recovery(Path(name), chosen.claims)
    if chosen.soak:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
            answer["soak"] = soak(Path(name), chosen.soak)
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
