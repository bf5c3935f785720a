"""``dracore config``: check a node configuration before a node does."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("config", short_help="Check a node configuration, or print its schema.")
def command() -> None:
    """Check a node configuration, or print its JSON schema."""


@command.command(
    "check",
    short_help="Say everything that is wrong with a file.",
    epilog="Example:  dracore config check examples/nodes/dgx-h100.yaml",
)
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Read FILE as `dracore run` would, and say everything that is wrong with it at once.

    Unknown keys, wrong types and values, plugins that are missing or cannot be loaded, a `filter` that does
    not compile. No hardware is touched, nothing is written. Exit status 1 where something is wrong.
    """
    from dracore import selectors
    from dracore.config import load

    loaded = load(file, compile_filter=selectors.compile)
    configuration = loaded.configuration
    drivers = ", ".join(
        f"{driver} ({', '.join(loaded.plugins.plugins(driver))})" for driver in loaded.plugins.drivers()
    )
    simulated = f", simulated as {configuration.simulation.node}" if configuration.simulation else ""
    click.echo(f"{file}: ok; node {configuration.node}{simulated} offers {drivers}")


@command.command(
    "schema",
    short_help="Print the JSON schema of the file.",
    epilog="Example:  dracore config schema > dracore.schema.json",
)
def schema() -> None:
    """Print the JSON schema of a node configuration, with the sections of every installed plugin.

    Editors use it: put `# yaml-language-server: $schema=dracore.schema.json` into the first line of the file.
    """
    from dracore.config import schema as make

    click.echo(json.dumps(make(), indent=2))
