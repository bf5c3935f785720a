"""The command line. Nothing but click is imported until a command runs."""

from __future__ import annotations


def main() -> None:
    """The ``dracore`` program."""
    from dracore.cli.app import run

    run()
