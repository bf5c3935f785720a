"""Asks the oracle, and says where an answer of ours differs from its answer, and why it may.

python tests/oracle/cel_oracle.py record   asks it anew about the expressions whose answers are committed
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dracore.selectors import Environment

HERE = Path(__file__).resolve().parent
ANSWERS = HERE / "answers.jsonl.gz"
SOURCES = ("go.mod", "go.sum", "main.go", "frame/frame.go")

EXPLAINED = {
    "syntax rest": "ANTLR repairs the text and goes on; what the repaired text has wrong beside syntax "
    "(macros, numbers) is not told, only every fault of syntax",
    "upstream crash": "the API server's check of literals fails with an index out of range on an optional "
    "element of unknown type; ours refuses the same expressions with a position",
    "map order": "Go runs over maps in random order, so the cost of stopping early differs from run to run",
    "cost at a crash": "an internal error of the cost tracker leaves out the cost of what was under way",
    "cost at the limit": "ours looks at the limit once a loop, not at each step; the refusal is the same",
    "packed messages": "what is packed in a google.protobuf.Any is not unpacked, and is shown otherwise; "
    "the entry of a map field (Struct.FieldsEntry) is no message here",
    "names of classes": "a map under a name is of another class in Go, which shows where it is an index",
    "variable numbers": "a type that is not known yet is shown by a number, that of its order of appearance",
}
"""Differences that may remain: each is shown by an example in tests/selectors/test_differences.py."""


# --- the program ------------------------------------------------------------------------------------------


def target() -> Path:
    """Where the program lies once built: outside the checkout, by a digest of what it is made of."""
    parts = [(HERE / name).read_text() for name in SOURCES] + [platform.system(), platform.machine()]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "dracore" / "cluster" / f"oracle-{digest}"


def build(go: Path | str = "go") -> Path:
    """Builds the program unless it is there (half a minute, once)."""
    program = target()
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_name(f".{program.name}.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        command = [str(go), "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(partial), "."]
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"building the oracle failed:\n{done.stderr[-4000:]}")
        partial.rename(program)
    return program


def ask(program: Path, requests: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Its answers, in order."""
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([str(program)], input=text, capture_output=True, text=True, check=True)
    return map(json.loads, done.stdout.splitlines())


# --- ours -------------------------------------------------------------------------------------------------


def own(request: dict[str, Any]) -> dict[str, Any]:
    """Our answer to a request, in the oracle's form."""
    from dracore.selectors import CompileError, Fault, Features, compile, new, stored

    if request.get("new"):
        major, _, minor = (request.get("version") or "1.36").partition(".")
        features = Features(bool(request.get("consumable")), bool(request.get("lists")))
        environment = new((int(major), int(minor)), features)
    else:
        environment = stored()
    if request.get("derived"):
        return _own_derived(request, environment)
    try:
        selector = compile(request["expression"], environment)
    except CompileError as error:
        return {"error": error.detail}
    matches: list[dict[str, Any]] = []
    for device in request.get("devices", ()):
        try:
            match, cost = selector.evaluate(device["driver"], device)
            matches.append({"match": match, "cost": cost})
        except Fault as fault:
            matches.append({"error": fault.message, "cost": fault.cost})
    return {"type": selector.program.type.declared(), "static": selector.cost, "matches": matches}


def _own_derived(request: dict[str, Any], environment: Environment) -> dict[str, Any]:
    from dracore.selectors import CompileError, Fault, compile_derived

    try:
        derived = compile_derived(request["expression"], environment)
    except CompileError as error:
        return {"error": error.detail}
    matches: list[dict[str, Any]] = []
    for device in request.get("devices", ()):
        try:
            value, cost = derived.evaluate(device["driver"], device)
            matches.append({"value": value, "cost": cost})
        except Fault as fault:
            matches.append({"error": fault.message, "cost": fault.cost})
    kind = derived.program.type.declared()
    return {"type": kind, "static": derived.cost, "matches": matches}


# --- the difference ---------------------------------------------------------------------------------------

_OVER_MAPS = re.compile(r"\.(exists|all|exists_one|existsOne|map|filter|transform\w+)\(|getQuery|%s")


_PACKED = re.compile(r"protobuf\.(Any|Struct\.FieldsEntry)\s*\{")


def differences(request: dict[str, Any], answer: dict[str, Any], ours: dict[str, Any]) -> set[str]:
    """Names of :data:`EXPLAINED`, or what differs without a name, which no test accepts."""
    if answer.get("error", "").startswith("panic:"):
        return {"upstream crash"} if "crashes the API server" in ours.get("error", "") else {f"panic: {ours}"}
    if _PACKED.search(request["expression"]):
        return set() if answer == ours else {"packed messages"}
    if ("error" in answer) != ("error" in ours):
        return {f"compiles: {answer} / {ours}"}
    if "error" in answer:
        return _compile_texts(answer["error"], ours["error"])
    found: set[str] = set()
    if answer["type"] != ours["type"]:
        found.add(f"type: {answer['type']} / {ours['type']}")
    if answer.get("static", 0) != ours["static"]:
        found.add(f"static cost: {answer.get('static', 0)} / {ours['static']}")
    for expected, got in zip(answer.get("matches", ()), ours["matches"], strict=True):
        found |= _match(request["expression"], expected, got)
    return found


def _compile_texts(expected: str, got: str) -> set[str]:
    if expected == got:
        return set()
    if re.sub(r"_var\d+", "_var", expected) == re.sub(r"_var\d+", "_var", got):
        return {"variable numbers"}
    if _syntax(expected) and _syntax(expected) == _syntax(got):
        return {"syntax rest"}
    return {f"text: {expected} / {got}"}


def _syntax(text: str) -> list[str]:
    """The faults of syntax, without what else the repaired text has wrong."""
    lines = text.removeprefix("compilation failed: ").split("\n")
    return [line for line in lines if ": Syntax error: " in line]


def _match(expression: str, expected: dict[str, Any], got: dict[str, Any]) -> set[str]:
    if ("error" in expected) != ("error" in got) or expected.get("match", False) != got.get("match", False):
        return {f"match: {expected} / {got}"}
    # Go leaves an empty list out of its JSON.
    if expected.get("value") != ({} if got.get("value") == {"strings": []} else got.get("value")):
        return {f"value: {expected} / {got}"}
    found: set[str] = set()
    error, own_error = expected.get("error", ""), got.get("error", "")
    if error != own_error:
        if error.replace("mutableMap", "baseMap") == own_error:
            found.add("names of classes")
        elif "non-optional value {" in error and sorted(error) == sorted(own_error):
            found.add("map order")
        else:
            found.add(f"text: {error} / {own_error}")
    if expected.get("cost") != got.get("cost"):
        if error.startswith("internal error"):
            found.add("cost at a crash")
        elif "cost limit exceeded" in error:
            found.add("cost at the limit")
        elif _OVER_MAPS.search(expression):
            found.add("map order")
        else:
            found.add(f"cost: {expected.get('cost')} / {got.get('cost')}")
    return found


# --- the committed answers --------------------------------------------------------------------------------


def load(path: Path = ANSWERS) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Requests and the oracle's answers, as they were recorded."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        devices = json.loads(file.readline())
        pairs = [json.loads(line) for line in file]
    return [({**request, "devices": devices}, answer) for request, answer in pairs]


def requests(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Generated questions: most in the environment of stored expressions, some in those of new ones."""
    from expressions import Generator

    generator = Generator(seed)
    seen: set[str] = set()
    while len(seen) < count:
        text = generator.expression()
        if text in seen:
            continue
        seen.add(text)
        pick = generator.random
        if pick.random() < 0.8:
            yield {"expression": text, "consumable": True, "lists": True}
        else:
            version = pick.choice(["1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"])
            gates = {"consumable": pick.random() < 0.5, "lists": pick.random() < 0.5}
            yield {"expression": text, "new": True, "version": version, **gates}


def mutated(seed: int, count: int, written: list[str]) -> Iterator[dict[str, Any]]:
    """Questions of the second generator (tests/fuzz), in the environment of stored expressions."""
    sys.path.insert(0, str(HERE.parent / "fuzz"))
    from mutations import Mutator

    seen: set[str] = set()
    for text in Mutator(seed, written).expressions():
        if text not in seen and len(text) < 2000:
            seen.add(text)
            yield {"expression": text, "consumable": True, "lists": True}
        if len(seen) == count:
            return


def record() -> None:
    """Writes the committed answers anew."""
    from expressions import DEVICES

    program = build(shutil.which("go") or "go")
    written = [line for line in (HERE / "expressions.txt").read_text().splitlines() if line.strip()]
    asked = [{"expression": text, "consumable": True, "lists": True} for text in written]
    asked += list(requests(2026, 2200))
    asked += list(mutated(2027, 1500, [request["expression"] for request in asked]))
    answers = ask(program, ({**request, "devices": DEVICES} for request in asked))
    lines = [json.dumps(DEVICES)]
    lines += [
        json.dumps([request, answer], ensure_ascii=False)
        for request, answer in zip(asked, answers, strict=True)
    ]
    ANSWERS.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
    print(f"{len(asked)} answers, {ANSWERS.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    record()
