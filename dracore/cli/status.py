"""``dracore status``: what the running process knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from dracore.admin.client import ask_youngest

DEFAULT_SOCKET = Path("/run/dracore/status.sock")


@click.command(
    "status",
    short_help="Ask the running node plugin how it is.",
    epilog="Example:  dracore status -o json | jq '.claims[] | select(.state != \"prepared\")'",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    show_default=True,
    help="The configuration's host.statusSocket. Of several instances the youngest answers.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--reconcile",
    is_flag=True,
    help="First have it look for claims that are gone and changes that somebody undid.",
)
def command(socket: Path, output: Literal["text", "json"], reconcile: bool) -> None:
    """Ask the running node plugin what it offers, has prepared and holds, and what is not as it should be."""
    if reconcile:
        for driver, done in ask_youngest(socket, "reconcile").items():
            if not done:
                click.echo(
                    f"{driver}: the look is not done yet (or not by this instance, or without API server); "
                    "what follows may be from before",
                    err=True,
                )
    content = ask_youngest(socket)
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        _show(content)


def _show(content: dict[str, Any]) -> None:
    from dracore.cli.tables import Column, print_table

    instance = content["instance"]
    simulated = f", SIMULATED as {content['simulated']}" if content["simulated"] else ""
    click.echo(f"Node {content['node']}{simulated}. Process {instance['pid']}, since {instance['started']}.")
    plain = Column
    if content["plugins"]:
        click.echo("\nPlugins")
        print_table(
            [plain("NAME"), plain("VERSION"), plain("DRIVER"), plain("STATE")],
            [[p["name"], p["version"] or "-", p["driver"], p["state"]] for p in content["plugins"]],
        )
    click.echo("\nDrivers")
    print_table(
        [plain("NAME"), plain("KUBELET"), plain("DEVICES", "right"), plain("PUBLISHED")],
        [
            [
                driver["name"],
                "registered" if driver["registered"] else "not registered",
                str(len(driver["devices"])),
                _published(driver["published"]),
            ]
            for driver in content["drivers"]
        ],
    )
    if content["claims"]:
        click.echo("\nClaims")
        print_table(
            [plain("CLAIM"), plain("UID"), plain("STATE"), plain("DEVICES"), plain("EFFECTS", "right")],
            [
                [
                    f"{claim['namespace']}/{claim['name']}",
                    claim["uid"],
                    claim["state"],
                    ", ".join(device["device"] for device in claim["devices"]) or "-",
                    str(len(claim["effects"])),
                ]
                for claim in content["claims"]
            ],
        )
    if content["effects"]:
        click.echo("\nEffects on the node")
        print_table(
            [plain("DRIVER"), plain("KIND"), plain("KEY"), plain("STATE"), plain("HELD BY")],
            [
                [
                    effect["driver"],
                    effect["kind"],
                    effect["key"],
                    effect["state"],
                    ", ".join(effect["holders"]),
                ]
                for effect in content["effects"]
            ],
        )
    wrong = [f"{driver['name']}: {text}" for driver in content["drivers"] for text in driver["degradations"]]
    wrong += content["problems"]
    wrong += [
        f"{check['plugin']}: {check['name']}: {check['message']}"
        + (f"; {check['fix']}" if check["fix"] else "")
        for check in content["checks"]
        if not check["ok"]
    ]
    click.echo("\nNot as it should be" if wrong else "\nNothing is wrong.")
    for text in wrong:
        click.echo(f"  {text}")


def _published(published: dict[str, Any] | None) -> str:
    if published is None:
        return "not yet"
    return f"{published['slices']} slices, generation {published['generation']}, {published['time']}"
