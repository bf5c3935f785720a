"""``dracore explain``: why a claim gets no devices."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from dracore.errors import ConfigError, DracoreError

if TYPE_CHECKING:
    from dracore.allocate.funnels import Explanation, Funnel
    from dracore.allocate.outcomes import Outcome
    from dracore.allocate.world import World

WRONG_INPUT = 2
WHAT = ("pod", "pods", "claim", "resourceclaim", "resourceclaims")
RARE = ("usable with these gates", "reach the node", "enough capacity")
SHOWN = 20
"""Reasons of one request that a person is shown; those of one text are one."""


@click.command(
    "explain",
    short_help="Say why claims get no devices, device by device.",
    epilog="Example:  dracore explain --config examples/nodes/dgx-h100.yaml -f claim.yaml",
)
@click.argument("what", required=False)
@click.option("-f", "--file", "files", multiple=True, help="Objects; - for standard input.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Of WHAT.")
@click.option("--config", "configs", multiple=True, help="Node configurations whose devices there are.")
@click.option("--slices", help="ResourceSlices and whatever else a cluster has.")
@click.option("--kubeconfig", help="A cluster; default with WHAT: as kubectl finds it.")
@click.option("--node", default="", help="The one node to look at; default: all.")
@click.option("--server-version", help="Whose gates and CEL count; default: the cluster's, else 1.37.")
@click.option("--gates", multiple=True, help="Feature gates that are otherwise: Name=true,Other=false.")
@click.option("-o", "--output", type=click.Choice(["json", "text"]), default="text", show_default=True)
def command(
    what: str | None,
    files: tuple[str, ...],
    namespace: str,
    configs: tuple[str, ...],
    slices: str | None,
    kubeconfig: str | None,
    node: str,
    server_version: str | None,
    gates: tuple[str, ...],
    output: Literal["json", "text"],
) -> None:
    """Explain the claims of files, or WHAT of a cluster: pod/NAME or claim/NAME.

    For each request: how many devices pass class selectors, request selectors, taints, and so on; what
    stands in the way of each device, with the values that were read; the nearest miss, and what would free a
    device. Claims are allocated in order, so what an earlier one gets is in use for a later one. Exit status
    0 whatever is allocated, 2 where the input is wrong.
    """
    from dracore.allocate.matching import cel_of
    from dracore.allocate.simulation import Simulation
    from dracore.cli.inputs import base, features, read, release_of

    try:
        if not what and not files:
            raise ConfigError("nothing to explain", fix="give -f FILE, or pod/NAME or claim/NAME")
        if what and (what.partition("/")[0] not in WHAT or not what.partition("/")[2]):
            raise ConfigError(f"{what} cannot be explained", fix="give pod/NAME or claim/NAME")
        if what and kubeconfig is None and slices is None and not configs and not files:
            kubeconfig = ""
        world = base(configs, slices, kubeconfig, (what, namespace) if what else None).copy()
        for file in files:
            world.read(read(file))
        release = release_of(world, server_version)
        wanted = features(release, gates)
        if what:
            _only(world, what, namespace)
        outcomes = Simulation(world, wanted, node=node, compiler=cel_of(release), thorough=True).run()
    except DracoreError as error:
        if output == "json":
            click.echo(json.dumps({"error": str(error)}, ensure_ascii=False))
        else:
            click.echo(f"dracore: {error}", err=True)
        sys.exit(WRONG_INPUT)
    if output == "json":
        claims = [_json(outcome) for outcome in outcomes]
        click.echo(json.dumps({"claims": claims}, indent=2, ensure_ascii=False))
        return
    told: list[Explanation] = []
    for outcome in outcomes:
        _tell(outcome, told)
    if not outcomes:
        click.echo("Nothing here waits for devices.")


def _only(world: World, what: str, namespace: str) -> None:
    """Leaves nothing to allocate but one pod or claim.

    :raises ConfigError: it is not there.
    """
    from dracore.allocate.pods import Pod

    kind, _, name = what.partition("/")
    is_pod = kind.startswith("pod")
    for item in world.queue:
        if isinstance(item, Pod):
            found = is_pod and (item.namespace, item.name) == (namespace, name)
        else:
            ref = item.wanted.ref
            found = not is_pod and (ref.namespace, ref.name) == (namespace, name)
        if found:
            world.queue = [item]
            return
    raise ConfigError(f"there is no {what} in namespace {namespace}", fix="see -n NAMESPACE")


def _json(outcome: Outcome) -> dict[str, Any]:
    from dracore.allocate.told import as_json

    content: dict[str, Any] = outcome.json()
    if outcome.explanation is not None:
        content["explanation"] = as_json(outcome.explanation, reasons=1000)
    return content


def _tell(outcome: Outcome, told: list[Explanation]) -> None:
    name = f"{outcome.claim.ref.namespace}/{outcome.claim.ref.name}"
    if outcome.allocation is not None:
        devices = ", ".join(str(picked.device) for picked in outcome.allocation.results)
        click.echo(f"{name}: would be allocated on {outcome.node}: {devices}\n")
        return
    click.echo(f"{name}: cannot be allocated: {outcome.reason}")
    explanation = outcome.explanation
    if explanation is None or any(explanation is other for other in told):
        click.echo("")
        return
    told.append(explanation)
    for problem in explanation.problems:
        if problem not in outcome.reason:
            click.echo(f"  {problem}")
    if "CEL runtime error" in outcome.reason:
        click.echo(
            "  The first error of a selector ends the scheduler's attempt, whatever other devices have."
        )
    for together in explanation.together:
        if together.told not in outcome.reason:
            click.echo(f"  {together.told}")
        shown = [line for line in together.details if line not in outcome.reason]
        for line in shown[:SHOWN]:
            click.echo(f"    {line}")
        if together.remedy:
            click.echo(f"  nearest miss: {together.remedy}")
        if together.frees:
            click.echo(f"  would free devices: {'; '.join(together.frees[:5])}")
    if explanation.ends:
        click.echo(f"  would be enough: the end of {', or of '.join(map(' and '.join, explanation.ends))}")
    for funnel in explanation.funnels:
        if not funnel.error:
            _tell_funnel(funnel, explanation, several=len({one.claim for one in explanation.funnels}) > 1)
    click.echo("")


def _tell_funnel(funnel: Funnel, explanation: Explanation, *, several: bool) -> None:
    from dracore.allocate.told import near

    of = f" of claim {funnel.claim}" if several else ""
    click.echo(f"\n  request {funnel.request}{of}, which wants {funnel.wants}:")
    before = None
    for stage, left in funnel.left.items():
        if not left and not before and before is not None:
            break  # nothing comes so far
        # What only few devices ever meet is shown where it stops one.
        if left != before or stage.value not in RARE:
            click.echo(f"  {left:7}  {stage.value}")
        before = left
    if funnel.nearest is not None:
        click.echo(f"  nearest miss: {near(funnel, funnel.nearest)}")
    if funnel.frees:
        held = any(reason.holders for reason in funnel.reasons)
        vain = held and explanation.ends is not None and not explanation.ends
        but = ", though not enough" if vain else ""
        click.echo(f"  would free a device{but}: {'; '.join(funnel.frees[:5])}")
    same: dict[tuple[str, str], list[str]] = {}
    for reason in funnel.reasons:
        same.setdefault((reason.stage.value, reason.text), []).append(funnel.name(reason.device))
    for (_, text), devices in list(same.items())[:SHOWN]:
        shown = ", ".join(devices[:4]) + (f" and {len(devices) - 4} more" if len(devices) > 4 else "")
        click.echo(f"    {shown}: {text}")
    if len(same) > SHOWN:
        click.echo(f"    and {len(same) - SHOWN} more reasons; -o json shows them")
