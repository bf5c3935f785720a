"""``dracore slices``: what would be published."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from dracore.inventory.offline import Look
    from dracore.model.context import Simulation


@click.command(
    "slices",
    short_help="Print what would be published, without a cluster.",
    epilog="Example:  dracore slices --config examples/nodes/dgx-h100.yaml -o table",
)
@click.option(
    "--config", "file", type=click.Path(path_type=Path), required=True, help="The node configuration."
)
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml", "table"]), default="table", show_default=True
)
def command(file: Path, output: Literal["json", "yaml", "table"]) -> None:
    """Discover the devices of this node once and print the ResourceSlices that would be published.

    No cluster is asked and no state is written. JSON and YAML are a `v1` List as the API server takes it.
    What discovery could not find out goes to standard error; exit status 1 where a plugin failed or gave
    no answer.
    """
    from dracore.config import load
    from dracore.inventory.offline import look
    from dracore.node import is_dense, offered
    from dracore.observe.logs import configure_logs

    loaded = load(file, compile_filter=offered)
    configuration = loaded.configuration
    # What plugins log here is of no use: problems are printed below.
    configure_logs("console", level=logging.CRITICAL)
    with _untouched(configuration.simulated()) as simulation:
        looks = look(
            loaded.plugins,
            configuration.node,
            simulation=simulation,
            offered=offered(configuration.filter),
        )
    items = [
        item
        for driver, seen in looks.items()
        for item in _slices(driver, configuration.node, seen, is_dense(loaded.plugins, driver))
    ]
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    elif output == "yaml":
        import yaml

        content = {"apiVersion": "v1", "kind": "List", "items": items}
        click.echo(yaml.safe_dump(content, sort_keys=False), nl=False)
    else:
        _table(looks)
    for driver, seen in looks.items():
        if seen.complete and not any(pool.devices for pool in seen.pools):
            click.echo(f"dracore: {driver}: no device is offered", err=True)
        for problem in seen.problems:
            click.echo(f"dracore: {driver}: {problem}", err=True)
        if not seen.complete and not seen.problems:
            click.echo(f"dracore: {driver}: discovery gave no answer in time", err=True)
    if not all(seen.complete for seen in looks.values()):
        sys.exit(1)


@contextmanager
def _untouched(simulation: Simulation | None) -> Iterator[Simulation | None]:
    """The simulation on a copy of its state: looking at a node changes nothing."""
    if simulation is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="dracore-slices-"))
    try:
        state = folder / "state"
        if simulation.state_dir.is_dir():
            shutil.copytree(simulation.state_dir, state, symlinks=True)
        yield replace(simulation, state_dir=state)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _slices(driver: str, node: str, seen: Look, dense: bool) -> Iterator[dict[str, Any]]:
    """The slices of a first publish to an API server that keeps every field."""
    from dracore.model.device import NodeSelection
    from dracore.publish import names
    from dracore.publish.desired import build
    from dracore.publish.validate import check_pool

    for pool in seen.pools:
        checked = check_pool(pool)
        for problem in checked.problems:
            click.echo(f"dracore: {problem}", err=True)
        if checked.pool is None:
            continue
        desired = build(checked.pool, {}, NodeSelection(node_name=node), dense=dense)
        count = len(desired.specs)
        for index, spec in enumerate(desired.specs):
            pool_fields = {**spec["pool"], "generation": 1, "resourceSliceCount": count}
            yield {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceSlice",
                "metadata": {"generateName": names.prefix(index, count, driver, node)},
                "spec": {**spec, "pool": pool_fields},
            }


def _table(looks: Mapping[str, Look]) -> None:
    from dracore.cli.tables import Column, print_table

    rows = []
    for driver, seen in looks.items():
        for pool in seen.pools:
            for device in pool.devices:
                attributes = {
                    name.rpartition("/")[2]: str(value) for name, value in device.attributes.items()
                }
                capacity = ", ".join(f"{name}={amount.value}" for name, amount in device.capacity.items())
                taints = ", ".join(f"{taint.key}:{taint.effect}" for taint in device.taints)
                shown = " ".join(f"{name}={value}" for name, value in sorted(attributes.items()))
                rows.append([driver, pool.name, device.name, capacity or "-", taints or "-", shown])
    titles = ("DRIVER", "POOL", "DEVICE", "CAPACITY", "TAINTS")
    print_table([*map(Column, titles), Column("ATTRIBUTES", wrap=True)], rows)
