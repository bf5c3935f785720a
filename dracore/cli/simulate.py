"""``dracore simulate``: a scheduler in a box."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from dracore.errors import DracoreError

if TYPE_CHECKING:
    from dracore.allocate.features import Features
    from dracore.allocate.outcomes import Outcome
    from dracore.allocate.world import World

WRONG_INPUT = 2


@click.command(
    "simulate",
    short_help="Allocate claims as the scheduler would, without a cluster.",
    epilog="Example:  dracore simulate --config examples/nodes/dgx-h100.yaml -f pods.yaml",
)
@click.option("-f", "--file", "files", multiple=True, required=True, help="Objects; - for standard input.")
@click.option("--config", "configs", multiple=True, help="Node configurations whose devices there are.")
@click.option("--slices", help="ResourceSlices and whatever else a cluster has.")
@click.option("--kubeconfig", help="A cluster whose slices, classes, nodes and claims there are.")
@click.option("--node", default="", help="The one node to look at; default: the first by name that fits.")
@click.option("--server-version", help="Whose gates and CEL count; default: the cluster's, else 1.37.")
@click.option("--gates", multiple=True, help="Feature gates that are otherwise: Name=true,Other=false.")
@click.option("--each", is_flag=True, help="Every file is a case of its own: one JSON object a line.")
@click.option("-o", "--output", type=click.Choice(["json", "table"]), default="table", show_default=True)
def command(
    files: tuple[str, ...],
    configs: tuple[str, ...],
    slices: str | None,
    kubeconfig: str | None,
    node: str,
    server_version: str | None,
    gates: tuple[str, ...],
    each: bool,
    output: Literal["json", "table"],
) -> None:
    """Allocate the claims of pods, and claims alone, in the order in which they are given.

    Files may hold Nodes, DeviceClasses, ResourceSlices, DeviceTaintRules, Pods, ResourceClaims and
    templates, as YAML or JSON; they win over what --slices, --config and --kubeconfig give. Claims that are
    allocated already are in use. A pod goes where its nodeName, node selector, required node affinity and
    tolerations let it; CPU, memory, volumes and other pods are not looked at. Exit status 0 whatever is
    allocated, 2 where the input is wrong.
    """
    from dracore.cli.inputs import base, features, read, release_of

    try:
        ground = base(configs, slices, kubeconfig)
        release = release_of(ground, server_version)
        wanted = features(release, gates)
    except DracoreError as error:
        _fail(error, output if not each else "json")
        sys.exit(WRONG_INPUT)
    cases = [[file] for file in files] if each else [list(files)]
    failed = False
    for case in cases:
        try:
            world = ground.copy()
            for file in case:
                world.read(read(file))
            outcomes, left = _run(world, wanted, node, release)
        except DracoreError as error:
            failed = True
            _fail(error, output if not each else "json")
            continue
        if output == "json" or each:
            content = {"claims": [outcome.json() for outcome in outcomes], "left": left}
            click.echo(json.dumps(content, indent=None if each else 2, ensure_ascii=False))
        else:
            _table(outcomes, left)
    if failed:
        sys.exit(WRONG_INPUT)


def _run(world: World, wanted: Features, node: str, release: str) -> tuple[list[Outcome], list[Any]]:
    from dracore.allocate.matching import cel_of
    from dracore.allocate.simulation import Simulation

    simulation = Simulation(world, wanted, node=node, compiler=cel_of(release))
    return simulation.run(), simulation.left()


def _fail(error: DracoreError, output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"error": str(error)}, ensure_ascii=False))
    else:
        click.echo(f"dracore: {error}", err=True)


def _table(outcomes: list[Outcome], left: list[Any]) -> None:
    from dracore.cli.tables import Column, print_table

    rows = []
    for outcome in outcomes:
        claim = f"{outcome.claim.ref.namespace}/{outcome.claim.ref.name}"
        if outcome.allocation is None:
            rows.append([claim, "-", "-", outcome.reason])
            continue
        for picked in outcome.allocation.results:
            share = ", ".join(f"{name}={amount}" for name, amount in picked.consumed.items())
            device = str(picked.device) + (f" ({share})" if share else "")
            rows.append([claim, outcome.node, picked.request, device])
            claim = ""
    print_table([*map(Column, ("CLAIM", "NODE", "REQUEST")), Column("DEVICE OR REASON", wrap=True)], rows)
    click.echo(
        f"\n{len(left)} {'device is' if len(left) == 1 else 'devices are'} left: "
        + (", ".join(item["device"] for item in left[:20]) or "none")
    )
