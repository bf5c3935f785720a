"""``dracore run``: the node plugin."""

from __future__ import annotations

import logging
from pathlib import Path

import click


@click.command(
    "run",
    short_help="Run the node plugin.",
    epilog="Example:  NODE_NAME=$(hostname) dracore run --config /etc/dracore/node.yaml",
)
@click.option(
    "--config", "file", type=click.Path(path_type=Path), required=True, help="The node configuration."
)
@click.option(
    "--instance-id",
    envvar="POD_UID",
    default="",
    metavar="ID",
    help="Tells instances of a rolling update apart; it goes into the names of the sockets. "
    "In a pod: its uid. Default: $POD_UID, else none.",
)
@click.option("--debug", is_flag=True, help="Log what is of use to developers too.")
def command(file: Path, instance_id: str, debug: bool) -> None:
    """Serve this node's devices to the kubelet and keep its ResourceSlices up to date.

    The drivers of the enabled plugins register with the kubelet at once; the API server may come later.
    SIGTERM and SIGINT answer what is being prepared, then end. SIGHUP, or a changed file, reloads the
    configuration as far as that is possible in a running process. Prepared claims outlive the process.
    """
    from dracore.node import run

    run(file, instance_id, level=logging.DEBUG if debug else logging.INFO)
