"""A driver's process that prepares claim c1 and stops for ever at a point of the seam.

python engine_child.py FOLDER POINT [prepare|unprepare]
"""

import sys
import time
from pathlib import Path

from prepare_harness import Call, Thing, World


def main() -> None:
    folder, point = Path(sys.argv[1]), sys.argv[2]

    def seam(passed: str, detail: str = "") -> None:
        if f"{passed} {detail}".startswith(point):
            print("there", flush=True)
            time.sleep(1000)

    world = World(folder)
    world.holds(Thing("a"), Thing("b", needs="a"))
    engine = world.engine()
    engine.recover()
    world.seam = seam
    ref = world.claim("c1", "dev-0")
    if sys.argv[3] == "prepare":
        engine.prepare(ref, Call())
    else:
        engine.unprepare(ref, Call())
    print("done", flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    main()
