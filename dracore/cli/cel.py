"""``dracore cel``: check a selector, and ask it about devices, without a cluster."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dracore.cli.inputs import gates_of
from dracore.errors import ConfigError, SelectorError

if TYPE_CHECKING:
    from dracore.selectors import CompileError, Environment, Selector

Row = dict[str, Any]
Subject = tuple[str, str, str, Any]
"""Driver, pool, name and the device itself."""
_OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_OLDEST, _NEWEST = (1, 31), (1, 37)
_GATES = {"DRAConsumableCapacity": "consumable_capacity", "DRAListTypeAttributes": "list_attributes"}
"""Those that change what an expression may use."""
_VERSION = click.option(
    "--server-version", help="Take it as a new expression on a server of that version, e.g. 1.36."
)
_FEATURE_GATES = click.option(
    "--gates", multiple=True, help="Feature gates that are otherwise on that server: Name=true,Other=false."
)


@click.group("cel", short_help="Check a CEL selector, or ask it about devices.")
def command() -> None:
    """Check a CEL selector, or evaluate it on devices; both as the API server and the scheduler would."""


@command.command(
    "check",
    short_help="Say whether an expression compiles, its type and its cost.",
    epilog="Example:  dracore cel check \"device.driver == 'gpu.nvidia.com'\" --server-version 1.36",
)
@click.argument("expression")
@_VERSION
@_FEATURE_GATES
@_OUTPUT
def check(
    expression: str, server_version: str | None, gates: tuple[str, ...], output: Literal["text", "json"]
) -> None:
    """Compile EXPRESSION and say its type, its worst-case cost and the libraries it uses.

    Without --server-version and --gates as an expression that is stored already: everything is allowed that
    Kubernetes 1.37 knows. With one of them as a new one on such a server (1.31 to 1.37, 1.37 unless said):
    what the version before does not know, or a gate forbids that is off, is refused, and so is a cost over
    the limit. Exit status 1 when it does not compile.
    """
    from dracore.selectors import CompileError, compile

    environment = _environment(server_version, gates)
    try:
        selector = compile(expression, environment)
    except CompileError as error:
        _refused(error, output)
        sys.exit(1)
    too_complex = selector.cost > _limit()
    refused = too_complex and environment is not None
    libraries = [
        {"name": name, "since": ".".join(map(str, since))}
        for name, since in selector.program.libraries().items()
    ]
    if output == "json":
        answer = {
            "ok": not refused,
            "type": selector.program.type.declared(),
            "cost": selector.cost,
            "libraries": libraries,
            "error": "too complex, exceeds cost limit" if refused else None,
            "position": None,
        }
        click.echo(json.dumps(answer, indent=2))
    else:
        click.echo(f"type:      {selector.program.type.declared()}")
        click.echo(f"cost:      at most {selector.cost:,} of {_limit():,}")
        names = ", ".join(f"{each['name']} (Kubernetes {each['since']})" for each in libraries)
        click.echo(f"libraries: {names or 'the standard one'}")
        if too_complex:
            click.echo("dracore: too complex: the API server refuses to create it", err=True)
    if refused:
        sys.exit(1)


@command.command(
    "eval",
    short_help="Say for which devices an expression is true.",
    epilog="Example:  dracore cel eval \"device.driver == 'gpu'\" --config examples/nodes/dgx-h100.yaml",
)
@click.argument("expression", required=False)
@click.option(
    "--config", "config", type=click.Path(path_type=Path), help="Devices of this node's configuration."
)
@click.option("--slices", "slices", help="ResourceSlices, JSON or YAML, `-` for standard input.")
@click.option(
    "--expressions", type=click.Path(path_type=Path), help="Many expressions, one a line, in one process."
)
@_VERSION
@_FEATURE_GATES
@_OUTPUT
def evaluate(
    expression: str | None,
    config: Path | None,
    slices: str | None,
    expressions: Path | None,
    server_version: str | None,
    gates: tuple[str, ...],
    output: Literal["text", "json"],
) -> None:
    """Evaluate EXPRESSION on each device of a node configuration or of ResourceSlices.

    Prints true, false or the error for each. With --expressions those of a file are evaluated one after the
    other, and one that does not compile is a row of its own. Exit status 1 when EXPRESSION does not compile.
    """
    if (expression is None) == (expressions is None):
        raise click.UsageError("give an EXPRESSION or --expressions FILE, one of the two")
    if (config is None) == (slices is None):
        raise click.UsageError("give --config FILE or --slices FILE, one of the two")
    environment = _environment(server_version, gates)
    texts = [expression] if expression is not None else _lines(expressions)
    subjects = list(_of_config(config) if config is not None else _of_slices(slices or "-"))
    rows: list[Row] = []
    failed = False
    for text in texts:
        own, compiled = _rows(text, subjects, environment)
        failed = failed or not compiled
        rows += [{**row, "expression": text} for row in own] if expressions is not None else own
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        _table(rows)
    if failed and expressions is None:
        sys.exit(1)


# --- check ------------------------------------------------------------------------------------------------


def _limit() -> int:
    from dracore.selectors.costs import LIMIT

    return LIMIT


def _environment(version: str | None, gates: tuple[str, ...]) -> Environment | None:
    if version is None and not gates:
        return None
    from dracore.allocate.features import GATES, OTHERS
    from dracore.selectors import Features, of_server

    found = _NEWEST if version is None else _version(version)
    chosen = gates_of(gates)
    unknown = set(chosen) - set(GATES) - OTHERS
    if unknown:
        raise click.BadParameter(f"{min(unknown)} is no gate that is known here", param_hint="--gates")
    wanted = {_GATES[gate]: on for gate, on in chosen.items() if gate in _GATES}
    return of_server(found, replace(Features.defaults(found), **wanted))


def _version(version: str) -> tuple[int, int]:
    major, _, minor = version.removeprefix("v").partition(".")
    minor = minor.partition(".")[0]
    if not (major.isdigit() and minor.isdigit() and len(major) < 3 and len(minor) < 4):
        raise click.BadParameter(f"{version!r} is not a version such as 1.36", param_hint="--server-version")
    found = (int(major), int(minor))
    if not _OLDEST <= found <= _NEWEST:
        known = " to ".join(".".join(map(str, each)) for each in (_OLDEST, _NEWEST))
        raise click.BadParameter(f"{version} is not known; {known} are", param_hint="--server-version")
    return found


def _refused(error: CompileError, output: str) -> None:
    position = {"line": error.position.line, "column": error.position.column} if error.position else None
    if output == "json":
        answer: Row = {
            "ok": False,
            "type": None,
            "cost": None,
            "libraries": [],
            "error": error.detail,
            "position": position,
        }
        click.echo(json.dumps(answer, indent=2))
    else:
        click.echo(f"dracore: {error.detail}", err=True)


# --- eval -------------------------------------------------------------------------------------------------


def _rows(text: str, subjects: list[Subject], environment: Environment | None) -> tuple[list[Row], bool]:
    from dracore.selectors import CompileError, compile

    try:
        selector = compile(text, environment)
    except CompileError as error:
        return [{"driver": None, "pool": None, "device": None, "result": None, "error": error.detail}], False
    return [_row(selector, *subject) for subject in subjects], True


def _row(selector: Selector, driver: str, pool: str, name: str, device: Any) -> Row:
    result, error = None, None
    try:
        result = selector.matches(driver, device)
    except SelectorError as fault:
        reason = fault.what.removeprefix(f"fails on device {name}: ")
        error = f"{reason}\n{fault.fix}" if fault.fix else reason  # the first line is Kubernetes' own
    return {"driver": driver, "pool": pool, "device": name, "result": result, "error": error}


def _table(rows: list[Row]) -> None:
    from dracore.cli.tables import Column, print_table

    many = any("expression" in row for row in rows)
    titles = [Column("DRIVER"), Column("POOL"), Column("DEVICE"), Column("RESULT", wrap=True)]
    lines = []
    for row in rows:
        shown = {True: "true", False: "false", None: f"error: {_in_a_line(row['error'])}"}[row["result"]]
        place = [str(row[key] or "-") for key in ("driver", "pool", "device")]
        lines.append([*place, shown, *([row["expression"]] if many else [])])
    print_table([*titles, *([Column("EXPRESSION", wrap=True)] if many else [])], lines)


def _in_a_line(error: str | None) -> str:
    return (error or "").replace("\n", "; ", 1)


def _lines(path: Path | None) -> list[str]:
    assert path is not None
    return [line for line in _read(str(path)).replace("\r\n", "\n").split("\n") if line.strip()]


def _read(path: str) -> str:
    where = "standard input" if path == "-" else path
    try:
        if path != "-":
            return Path(path).read_text(encoding="utf-8")
        if sys.stdin is None:
            raise ConfigError("is closed", where=where, fix="give a file, or something to read")
        return sys.stdin.buffer.read().decode()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=where) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", where=where) from error


def _of_config(path: Path) -> Iterator[Subject]:
    from dracore.cli.slices import _untouched
    from dracore.config import load
    from dracore.inventory.offline import look
    from dracore.observe.logs import configure_logs

    loaded = load(path)
    configuration = loaded.configuration
    configure_logs("console", level=logging.CRITICAL)
    with _untouched(configuration.simulated()) as simulation:
        looks = look(loaded.plugins, configuration.node, simulation=simulation)
    for driver, seen in looks.items():
        for problem in seen.problems:
            click.echo(f"dracore: {driver}: {problem}", err=True)
        for pool in seen.pools:
            for device in pool.devices:
                yield driver, pool.name, device.name, device


def _of_slices(path: str) -> Iterator[Subject]:
    """The devices of ResourceSlices: of each pool those of its newest generation."""
    found = list(_slices(path))
    newest: dict[tuple[str, str], int] = {}
    for spec in found:
        key = (spec["driver"], spec["pool"])
        newest[key] = max(newest.get(key, 0), spec["generation"])
    for spec in found:
        if spec["generation"] == newest[spec["driver"], spec["pool"]]:
            for device in spec["devices"]:
                yield spec["driver"], spec["pool"], device["name"], device


def _slices(path: str) -> Iterator[dict[str, Any]]:
    import yaml

    text = _read(path)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = list(yaml.load_all(text, Loader=loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}: line {mark.line + 1}" if mark is not None else path
        reason = getattr(error, "problem", None) or "nested too deeply or not readable"
        raise ConfigError(f"is neither JSON nor YAML: {reason}", where=where) from error
    for number, document in enumerate(documents, 1):
        if document is None:
            continue
        where = f"{path}: document {number}"
        items = document.get("items") if isinstance(document, dict) and "items" in document else [document]
        if not isinstance(items, list):
            raise ConfigError("is not a list", where=f"{where}: items")
        for index, item in enumerate(items):
            place = where if items == [document] else f"{where}: items[{index}]"
            if not isinstance(item, dict):
                raise ConfigError("is not an object", where=place)
            if item.get("kind") == "ResourceSlice":
                yield _slice(item, place)


def _slice(item: dict[str, Any], where: str) -> dict[str, Any]:
    spec = item.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("driver"), str):
        raise ConfigError("is not a text", where=f"{where}: spec.driver")
    pool = spec.get("pool")
    if not isinstance(pool, dict) or not isinstance(pool.get("name"), str):
        raise ConfigError("is not a text", where=f"{where}: spec.pool.name")
    devices: list[dict[str, Any]] = []
    if not isinstance(spec.get("devices") or [], list):
        raise ConfigError("is not a list", where=f"{where}: spec.devices")
    for index, device in enumerate(spec.get("devices") or ()):
        place = f"{where}: spec.devices[{index}]"
        if not isinstance(device, dict) or not isinstance(device.get("name"), str):
            raise ConfigError("has no name", where=place)
        inner = device.get("basic", device)  # v1beta1 puts everything but the name one level down
        for field in ("attributes", "capacity"):
            if not isinstance(inner, dict) or not isinstance(inner.get(field) or {}, dict):
                raise ConfigError("is not an object", where=f"{place}.{field}")
        devices.append({**inner, "name": device["name"]})
    generation = pool.get("generation")
    return {
        "driver": spec["driver"],
        "pool": pool["name"],
        "generation": generation if isinstance(generation, int) else 0,
        "devices": devices,
    }
