"""``dracore explain-prepare``: the timeline of one claim on this node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from dracore.admin.client import ask_youngest
from dracore.cli.status import DEFAULT_SOCKET


@click.command(
    "explain-prepare",
    short_help="Show what happened to a claim on this node.",
    epilog="Example:  dracore explain-prepare 0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e11",
)
@click.argument("uid", metavar="CLAIM-UID")
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    show_default=True,
    help="The configuration's host.statusSocket. Of several instances the youngest answers.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(uid: str, socket: Path, output: Literal["text", "json"]) -> None:
    """Ask the running node plugin what happened to the claim CLAIM-UID: each change of the node that was made
    for it, what it waited for, what failed and what was taken back, with times."""
    if not uid.strip() or len(uid.split()) > 1:
        raise click.BadParameter("a uid is one word", param_hint="CLAIM-UID")
    content = ask_youngest(socket, f"timeline {uid}")
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        _show(content)


def _show(content: dict[str, Any]) -> None:
    from dracore.cli.tables import Column, print_table

    for claim in content["claims"]:
        awaited = f", waits for {claim['awaited']}" if claim["awaited"] else ""
        error = f": {claim['error']}" if claim["error"] else ""
        since = f"{claim['state']} since {claim['since']}"
        click.echo(f"Claim {claim['namespace']}/{claim['name']} is {since}{awaited}{error}.\n")
    if not content["claims"]:
        click.echo(f"Claim {content['uid']} is not on this node now.\n")
    print_table(
        [Column("TIME"), Column("DRIVER"), Column("WHAT"), Column("EFFECT"), Column("")],
        [
            [
                entry["at"],
                entry["driver"],
                entry["what"],
                f"{entry['kind']} {entry['key']}".strip() or "-",
                entry["text"],
            ]
            for entry in content["entries"]
        ],
    )
    times = [entry["at"] for entry in content["entries"]]
    if times != sorted(times):
        click.echo("\nThe node's clock was set back in between; the order is that of what happened.")
