"""A driver's process of some schema version; obeys lines of JSON: ["prepare", uid, device],
["unprepare", uid], ["know"], ["versions"], ["drain"], ["stop"].

python version_child.py FOLDER (this|minor|major)
"""

import json
import sys
from pathlib import Path

from prepare_harness import Call, Thing, World

from dracore.errors import DracoreError
from dracore.model.claim import ClaimRef
from dracore.prepare import recording, schema

STEP = (
    "ALTER TABLE claims ADD COLUMN novelty TEXT",
    "ALTER TABLE effects ADD COLUMN novelty TEXT",
    "CREATE TABLE novelties (uid TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID",
    "CREATE INDEX claims_novelty ON claims(novelty)",
)


def become(version: str) -> None:
    if version == "minor":
        schema.STEPS = (*schema.STEPS, STEP)
        schema.MINOR += 1
        finish = recording.finish

        def finish_with_novelty(tx, record, content, prepared):
            """What a newer version would do with its new column and table."""
            finish(tx, record, content, prepared)
            tx.execute("UPDATE claims SET novelty = 'new' WHERE uid = ?", (record.ref.uid,))
            tx.execute("INSERT OR REPLACE INTO novelties VALUES (?, 'new')", (record.ref.uid,))

        recording.finish = finish_with_novelty
    elif version == "major":
        schema.MAJOR += 1


def main() -> None:
    folder, version = Path(sys.argv[1]), sys.argv[2]
    become(version)
    world = World(folder)
    try:
        engine = world.engine()
    except DracoreError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    engine.recover()
    print(json.dumps({"ok": "started"}), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        answer = None
        try:
            if command == "prepare":
                uid, device = arguments
                world.holds(Thing("base"), Thing(f"top-{device}", needs="base"))
                answer = engine.prepare(world.claim(uid, device), Call())[0].cdi_ids
            elif command == "unprepare":
                engine.unprepare(ClaimRef(arguments[0], "default", "name"), Call())
            elif command == "know":
                answer = {c.ref.uid: sorted(e.key for e in c.effects) for c in engine.snapshot().claims}
            elif command == "versions":
                answer = engine.kit.journal.read(lambda tx: tx.row("PRAGMA user_version"))
            elif command == "drain":
                answer = [str(error) for error in engine.drain()]
            elif command == "stop":
                engine.close()
                return
        except DracoreError as error:
            print(json.dumps({"error": str(error)}), flush=True)
            continue
        print(json.dumps({"ok": answer}), flush=True)


if __name__ == "__main__":
    main()
