"""An instance as a process of its own: says `publisher` or `other` whenever it turns; obeys lines on stdin.

python instances_child.py FOLDER ID
"""

import sys
import threading
from pathlib import Path

from dracore.prepare import Instances, Journal


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    journal = Journal.open(folder)
    say = threading.Lock()

    def turned(publisher: bool) -> None:
        with say:
            print("publisher" if publisher else "other", flush=True)

    instances = Instances(journal, folder, name, on_change=turned, look=0.05, take_over=1.0)
    instances.start()
    with say:
        print("started", flush=True)
    for line in sys.stdin:
        if line.strip() == "register":
            instances.mark_registered()
        elif line.strip() == "ask":
            answer = instances.is_publisher()
            with say:
                print(f"asked {answer}", flush=True)
        elif line.strip() == "stop":
            break
    instances.stop()
    journal.close()


if __name__ == "__main__":
    main()
