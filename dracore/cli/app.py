"""The group of commands, how they are loaded, and how their errors are shown."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from dracore.errors import DracoreError

COMMANDS = {
    "run": ("dracore.cli.run", "Run the node plugin."),
    "slices": ("dracore.cli.slices", "Print what would be published, without a cluster."),
    "status": ("dracore.cli.status", "Ask the running node plugin how it is."),
    "explain-prepare": ("dracore.cli.explain_prepare", "Show what happened to a claim on this node."),
    "plugins": ("dracore.cli.plugins", "List the plugins that are installed."),
    "cel": ("dracore.cli.cel", "Check a CEL selector, or ask it about devices."),
    "config": ("dracore.cli.config", "Check a node configuration, or print its schema."),
    "manifests": ("dracore.cli.manifests", "Print what the plugins need in a cluster."),
    "simulate": ("dracore.cli.simulate", "Allocate claims as the scheduler would, without a cluster."),
    "explain": ("dracore.cli.explain", "Say why claims get no devices, device by device."),
    "lint": ("dracore.cli.lint", "Find faults in claims, templates and classes."),
    "demo": ("dracore.cli.demo", "Show it all on this machine, without a cluster or a GPU."),
}
"""Name to module (its attribute ``command``) and the one line that ``--help`` shows without importing it."""

DEBUG = "DRACORE_DEBUG"


class LazyGroup(click.Group):
    """Imports a command when it is used; other names are looked for among the plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command = getattr(import_module(COMMANDS[cmd_name][0]), "command")  # noqa: B009 - checked by a test
            assert isinstance(command, click.Command)
            return command
        from dracore.cli.contributed import plugin_group

        return plugin_group(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("Commands of plugins"):
            formatter.write_text("dracore PLUGIN --help; `dracore plugins` names the plugins.")


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: `dracore demo`, then `dracore slices --config examples/nodes/dgx-h100.yaml`.",
)
@click.version_option(package_name="dracore", message="dracore %(version)s")
def app() -> None:
    """Kubernetes DRA drivers: a core that is correct once, and plugins that describe devices."""


def run() -> NoReturn:
    """Runs the command line; every error is one message on stderr. 1: it failed, 2: wrong usage."""
    try:
        status = app.main(prog_name="dracore", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("dracore: interrupted", err=True)
        sys.exit(130)
    except DracoreError as error:
        show_error(error)
        sys.exit(1)
    except BrokenPipeError:
        # `dracore slices | head`: the reader has enough. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        click.echo(
            f"dracore: internal error: {type(error).__name__}: {error}; set {DEBUG}=1 to see where", err=True
        )
        sys.exit(1)


def show_error(error: DracoreError) -> None:
    """One error, or each of its several problems on a line of its own."""
    problems: Any = getattr(error, "problems", ())
    if not problems:
        click.echo(f"dracore: {error}", err=True)
        return
    count = len(problems)
    place = f"{error.where}: " if error.where else ""
    click.echo(f"dracore: {place}{count} {'fault' if count == 1 else 'faults'}:", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)
