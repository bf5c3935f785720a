"""``dracore manifests``: what a cluster needs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "manifests",
    short_help="Print what the plugins need in a cluster.",
    epilog="Example:  dracore manifests --config /etc/dracore/node.yaml | kubectl apply -f -",
)
@click.option(
    "--config", "file", type=click.Path(path_type=Path), required=True, help="The node configuration."
)
def command(file: Path) -> None:
    """Print the objects that the enabled plugins need in a cluster, as YAML for `kubectl apply -f -`.

    Now these are the DeviceClasses, which users name in their claims. Once a cluster is enough.
    """
    from dracore.config import load
    from dracore.manifests import objects, render

    found = objects(load(file).plugins)
    click.echo(render(found), nl=False)
    if not found:
        click.echo("dracore: the enabled plugins need nothing in a cluster", err=True)
