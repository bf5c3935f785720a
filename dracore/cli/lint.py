"""``dracore lint``: faults of claims, templates and classes before a cluster finds them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, Literal

import click

from dracore.errors import DracoreError


@click.command(
    "lint",
    short_help="Find faults in claims, templates and classes.",
    epilog="Example:  dracore lint -f claims.yaml --config examples/nodes/dgx-h100.yaml",
)
@click.option("-f", "--file", "files", multiple=True, required=True, help="Objects; - for standard input.")
@click.option("--config", "configs", multiple=True, help="Node configurations whose devices there are.")
@click.option("--slices", help="ResourceSlices and whatever else a cluster has.")
@click.option("--kubeconfig", help="A cluster whose slices and classes there are.")
@click.option("--server-version", help="Check as new objects on a server of that version, e.g. 1.36.")
@click.option("--gates", multiple=True, help="Feature gates that are otherwise: Name=true,Other=false.")
@click.option("-o", "--output", type=click.Choice(["json", "text"]), default="text", show_default=True)
def command(
    files: tuple[str, ...],
    configs: tuple[str, ...],
    slices: str | None,
    kubeconfig: str | None,
    server_version: str | None,
    gates: tuple[str, ...],
    output: Literal["json", "text"],
) -> None:
    """Check claims, templates and classes: selectors that do not compile or can fail on a device that lacks
    a key, classes and requests that match nothing, unknown drivers, domains and attributes, limits of the
    API, deprecated versions.

    What matches nothing and what is unknown is told only where slices are given. With --server-version or
    --gates selectors are checked as new ones on such a server, and fields of what is off there are told of.
    Exit status 1 where there are errors, 0 with warnings alone.
    """
    from dracore.allocate.lint import Finding, lint
    from dracore.cli.inputs import base, read

    try:
        ground = base(configs, slices, kubeconfig)
        findings = lint([read(file) for file in files], ground, **_server(server_version, gates))
    except DracoreError as error:
        findings = [Finding("error", error.where or "input", "", error.what)]
    if output == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(str(finding))
        errors = sum(finding.severity == "error" for finding in findings)
        click.echo(f"{errors} errors, {len(findings) - errors} warnings")
    sys.exit(1 if any(finding.severity == "error" for finding in findings) else 0)


def _server(version: str | None, gates: tuple[str, ...]) -> dict[str, Any]:
    """What an API server would check with; without a version, as what is stored already."""
    from dracore import selectors
    from dracore.allocate.features import RELEASES, minor
    from dracore.cli.inputs import features

    environment = selectors.stored()
    wanted: dict[str, Any] = {}
    if version is not None or gates:
        release = minor(version or RELEASES[-1])
        known = features(release, gates)
        shape = selectors.Features(known.consumable_capacity, known.list_attributes)
        environment = selectors.of_server((1, int(release.partition(".")[2])), shape)
        wanted = {"features": known, "release": release}
    return {
        **wanted,
        "compiler": lambda text: selectors.compile(text, environment),
        "cost": lambda text: selectors.compile(text, environment).cost,
    }
