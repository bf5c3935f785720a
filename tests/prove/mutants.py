"""Engines with one defect each: python -m mutants NAME MATRIX-ARGUMENTS. The matrix must find every one.

A mutant is a change of the engine's text. One that does not fit any more is an error: say it anew.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    module: str
    old: str
    """One or more lines of it; where a rule is kept twice, both, with ``||`` in between."""
    new: str
    rule: str
    """The rule that it breaks, first of all."""
    only: str
    mode: str = "kill"


E = "dracore.prepare.effects."
MUTANTS = {
    "the intent is not committed before apply": Mutant(
        E + "applying",
        'holder.joined(self._journal.write(f"effect.intent {key}", intend))',
        "self._journal.read(lambda tx: None)",
        "nothing-left",
        "one claim one device",
    ),
    "the outcome is not committed": Mutant(
        E + "applying",
        'self._journal.write(f"effect.outcome {key}", applied)',
        "pass",
        "again",
        "one claim one device",
        "drill",
    ),
    "a failed apply is not undone": Mutant(
        E + "applying",
        "self._reverting.undo(effect, holder.name, before, outcome, time_left, str(failure))",
        "self._reverting._forget(key, kind, holder.name)",
        "nothing-left",
        "prepare fails",
        "drill",
    ),
    "an effect is forgotten before it is reverted": Mutant(
        E + "reverting",
        "            self._revert(effect, held.key, held.before, held.outcome, time_left)\n",
        "            self._forget(held.key, held.kind, holder)\n"
        "            self._revert(effect, held.key, held.before, held.outcome, time_left)\n",
        "nothing-left",
        "one claim one device",
    ),
    "the error of a revert is dropped": Mutant(
        E + "reverting",
        "            self._remember(held.key, held.kind, holder, error)\n            if isinstance",
        "            return self._forget(held.key, held.kind, holder)\n            if isinstance",
        "nothing-left",
        "revert fails twice",
        "drill",
    ),
    "a revert is not said before it is done": Mutant(
        E + "reverting",
        'self._journal.write(f"effect.reverting {held.key}", mark)',
        "pass",
        "present",
        "one claim after",
        "peer",
    ),
    "a half-made effect is adopted": Mutant(
        E + "effects",
        'if held and (held.state != "applied" or not holders):',
        "if held and not holders:",
        "order",
        "unprepare of a half-prepared",
        "EIO",
    ),
    "other holders are not counted": Mutant(
        E + "effects",
        'if len(holders) > 1 and held.state == "applied":',
        "if False:",
        "order",
        "two claims share",
        "drill",
    ),
    "another holder is not noted": Mutant(
        E + "effects",
        "            if holder.name not in holders:\n",
        "            if False:\n",
        "again",
        "two claims share",
        "drill",
    ),
    "released in the order of holding": Mutant(
        "dracore.prepare.holdings",
        "WHERE holder = ? ORDER BY seq DESC",
        "WHERE holder = ? ORDER BY seq",
        "order",
        "ordered effects",
        "drill",
    ),
    "no CDI file before the answer": Mutant(
        "dracore.prepare.attempt", "self.kit.cdi.write(specs)", "pass", "cdi", "no effects", "drill"
    ),
    "the CDI file before the commit": Mutant(
        "dracore.prepare.attempt",
        "self.tenure.finish(",
        "self.kit.cdi.write(specs); self.tenure.finish(",
        "cdi",
        "no effects",
        "EIO",
    ),
    "the CDI file stays": Mutant(
        "dracore.prepare.release",
        "            kit.cdi.remove(files)\n",
        "            pass\n",
        "cdi",
        "no effects",
        "power",
    ),
    "what could not be released is forgotten": Mutant(
        "dracore.prepare.release",
        "        _remember(kit, uid, error)\n        raise\n",
        '        kit.journal.write("x", lambda tx: _forget(tx, uid, why))\n',
        "held",
        "revert fails twice",
        "drill",
    ),
    "another boot is no news": Mutant(
        "dracore.prepare.recovery",
        "    if kit.journal.read(lambda tx: _changed(kit, tx)).known:\n        return\n",
        "    return\n",
        "cdi",
        "reboots",
        "drill",
    ),
    "records of an earlier boot stay prepared": Mutant(
        "dracore.prepare.recovery",
        "recording.stop(tx, record.ref.uid, now.why)",
        "pass",
        "cdi",
        "reboots",
        "drill",
    ),
    "dead calls are not finished": Mutant(
        "dracore.prepare.recovery",
        'if now is not None and now.state in ("preparing", "releasing"):',
        "if False:",
        "finished",
        "one claim one device",
    ),
    "CDI files are not written again": Mutant(
        "dracore.prepare.recovery",
        "        if kit.cdi.intact(specs):\n            continue\n",
        "        continue\n",
        "cdi",
        "no effects",
        "kill",
    ),
    "files of others are swept": Mutant(
        "dracore.cdi.files",
        "        return [\n            name\n            for name, match in found\n",
        "        return names\n        return [\n            name\n            for name, match in found\n",
        "foreign",
        "another allocation",
        "kill",
    ),
    "the lock is not taken again after a wait": Mutant(
        "dracore.prepare.tenure",
        "if not self._lock.acquire(lock_time(self._call.time_left())):",
        "if False:",
        "promise",
        "ends well",
        "stop",
    ),
    "an overtaken attempt goes on": Mutant(
        "dracore.prepare.tenure",
        "if record.attempt != self._record.attempt:",
        "if False:",
        "promise",
        "ends well",
        "stop",
    ),
    "a caller that has gone is served": Mutant(
        "dracore.prepare.calls",
        "if not call.alive():\n                raise Superseded",
        "if False:\n                raise Superseded",
        "late",
        "caller has gone",
        "drill",
    ),
    "a caller that went while it waited is served": Mutant(
        "dracore.prepare.tenure",
        "or not self._call.alive():\n                raise"
        "||if not self._call.alive():\n                raise",
        "or False:\n                raise||if False:\n                raise",
        "late",
        "caller has gone",
        "drill",
    ),
    "another allocation is the same": Mutant(
        "dracore.prepare.calls",
        "elif record.digest != claim.digest():",
        "elif False:",
        "promise",
        "another allocation",
        "drill",
    ),
    "one device for two claims": Mutant(
        "dracore.prepare.occupied",
        "            if other:\n",
        "            if False:\n",
        "alone",
        "recreated",
        "drill",
    ),
    "released at the first look": Mutant(
        "dracore.prepare.unwanted",
        "if self._monotonic() - since >= self._timings.confirm:",
        "if True:",
        "doubt",
        "deleted by force",
        "drill",
    ),
    "released while the API server does not answer": Mutant(
        "dracore.prepare.unwanted",
        "                doubt = error\n                break\n"
        "||                doubt = error\n                return False\n",
        '                reason = "gone"\n||                return True\n',
        "doubt",
        "deleted by force",
        "drill",
    ),
    "released while containers run": Mutant(
        "dracore.prepare.unwanted",
        "        if uid in users:\n||bool(self._why_unwanted(record)) and uid not in (",
        "        if False:\n||bool(self._why_unwanted(record)) and uid != (",
        "used",
        "deleted by force",
        "drill",
    ),
    "another claim of the name is the claim": Mutant(
        "dracore.prepare.unwanted",
        "if claim.ref.uid != record.ref.uid:",
        "if False:",
        "doubt",
        "recreated",
        "drill",
    ),
    "an older instance reconciles too": Mutant(
        "dracore.prepare.reconciler",
        "        self._allowed = allowed\n",
        "        self._allowed = lambda: True\n",
        "doubt",
        "handover",
        "drill",
    ),
    "everything is repaired": Mutant(
        "dracore.prepare.drift",
        "return cls is not None and cls.repairable",
        "return cls is not None",
        "drift",
        "drift",
        "drill",
    ),
    "drift is not said": Mutant(
        "dracore.prepare.drift",
        "            if text != known.drift:\n",
        "            if False:\n",
        "drift",
        "drift",
        "drill",
    ),
    "a newer MINOR is refused": Mutant(
        "dracore.prepare.schema",
        "if major > MAJOR:",
        "if (major, minor) > (MAJOR, MINOR):",
        "survives",
        "MINOR",
        "drill",
    ),
    "the journal is not synced": Mutant(
        "dracore.prepare.openfile",
        '"PRAGMA synchronous = FULL"',
        '"PRAGMA synchronous = OFF"',
        "promise",
        "one claim one",
        "power",
    ),
    "CDI files are not synced": Mutant(
        "dracore.cdi.files",
        "                os.fsync(file)\n                self._seam",
        "                self._seam",
        "cdi",
        "one claim one",
        "power",
    ),
    "a failed prepare is not undone": Mutant(
        "dracore.prepare.attempt",
        "            self._roll_back(error)\n",
        "",
        "undone",
        "prepare fails",
        "drill",
    ),
    "every prepare is refused": Mutant(
        "dracore.prepare.calls",
        "        if not self._admission.acquire(blocking=False):\n",
        "        if self._admission.acquire(blocking=False):\n",
        "again",
        "no effects",
        "EIO",
    ),
    "a claim that was released is refused": Mutant(
        "dracore.prepare.calls",
        '            self._kit.seam("reply.unprepare.before", ref.uid)\n'
        "||        if not self._admission.acquire(blocking=False):\n",
        '            self._kit.seam("reply.unprepare.before", ref.uid)\n'
        "            vars(self).setdefault('_gone', set()).add(ref.uid)\n"
        "||        if ref.uid in vars(self).get('_gone', ()):\n            raise Busy('no')\n"
        "        if not self._admission.acquire(blocking=False):\n",
        "again",
        "no effects",
        "EIO",
    ),
    "what ends a thread is let out of effects": Mutant(
        E + "kinds",
        "        raise EffectFailed(said(error)) from error\n",
        "        raise\n",
        "survives",
        "one claim one device",
        "exit",
    ),
    "the folder of an effect stays": Mutant(
        E + "reverting",
        "            shutil.rmtree(folder)\n",
        "            pass\n",
        "strays",
        "ordered effects",
    ),
    "the folder of a claim stays": Mutant(
        "dracore.prepare.kit",
        "            shutil.rmtree(path)\n",
        "            pass\n",
        "strays",
        "ordered effects",
    ),
}
"""By what is wrong with it."""


class _Loader(importlib.machinery.SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        for old, new in zip(self.mutant.old.split("||"), self.mutant.new.split("||"), strict=True):
            if source.count(old) != 1:
                raise SystemExit(f"the mutant does not fit {fullname}: {old!r}")
            source = source.replace(old, new)
        return compile(source, path, "exec", dont_inherit=True)


class _Finder:
    def __init__(self, mutant):
        self._mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader = _Loader(name, spec.origin)
        loader.mutant = self._mutant
        return importlib.util.spec_from_loader(name, loader)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder(MUTANTS[sys.argv.pop(1)]))
    from dracore.testing.crash.__main__ import main

    sys.exit(main(sys.argv[1:]))
