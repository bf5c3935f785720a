"""``dracore demo``: everything once, on this machine."""

from __future__ import annotations

import sys

import click


@click.command(
    "demo",
    short_help="Show it all on this machine, without a cluster or a GPU.",
    epilog="Example:  dracore demo --node dgx-a100-80 --json --fast | tail -1",
)
@click.option(
    "--node", default="dgx-h100", show_default=True, help="The simulated machine, as in examples/nodes."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step, the last one a summary.")
@click.option("--fast", is_flag=True, help="Without pauses for the reader.")
def command(node: str, as_json: bool, fast: bool) -> None:
    """Devices, three claims, a killed driver and nothing lost.

    Starts an embedded API server, the node plugin on a simulated machine, and a fake kubelet, each a process
    of its own on loopback; allocates and prepares three claims, kills the node plugin in the middle, and
    releases everything. Nothing stays behind. Exit status 1 where a step is not as it should be.
    """
    from dracore.cli.demonstration.interrupts import Interrupts
    from dracore.cli.demonstration.steps import Demonstration
    from dracore.cli.demonstration.story import JsonStory, TextStory

    story = JsonStory() if as_json else TextStory(pause=0.0 if fast else 1.2)
    interrupts = Interrupts()
    interrupts.install()
    sys.exit(0 if Demonstration(node, story, interrupts).run() else 1)
