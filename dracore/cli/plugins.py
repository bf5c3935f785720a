"""``dracore plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Literal

import click


@click.command(
    "plugins",
    short_help="List the plugins that are installed.",
    epilog="Example:  dracore plugins -o json",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(output: Literal["table", "json"]) -> None:
    """List the plugins that are installed, with the driver that each belongs to.

    A plugin that cannot be used is listed with the reason. What a node configuration enables is shown by
    `dracore config check`, what runs by `dracore status`.
    """
    from dracore.plugins import Plugins

    infos = Plugins.load({}).describe()
    if output == "json":
        content = [
            {
                "name": info.name,
                "version": info.distribution.version,
                "distribution": info.distribution.name,
                "driver": info.driver,
                "requires": list(info.requires),
                "hooks": list(info.hooks),
                "state": info.state,
                "problem": info.problem,
            }
            for info in infos
        ]
        click.echo(json.dumps(content, indent=2))
        return
    if not infos:
        click.echo("No plugin is installed. The bundled ones are distributions named dracore-…")
        return
    from dracore.cli.tables import Column, print_table

    print_table(
        [Column("PLUGIN"), Column("DRIVER"), Column("FROM"), Column("STATE")],
        [
            [info.name, info.driver or "-", str(info.distribution), info.problem or info.state]
            for info in infos
        ],
    )
