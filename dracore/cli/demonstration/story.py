"""How the demo is told: for a person, or one JSON object a step."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

import click


class Story(Protocol):
    """Is told each step when it is over; `title` and `lines` are for people, `step` is data."""

    def heading(self, text: str) -> None: ...

    def step(self, step: dict[str, Any], lines: list[str]) -> None: ...

    def table(self, columns: list[str], rows: list[list[str]]) -> None: ...


class JsonStory:
    """One object a line."""

    def heading(self, text: str) -> None:
        pass

    def step(self, step: dict[str, Any], lines: list[str]) -> None:
        click.echo(json.dumps(step, separators=(", ", ": ")))

    def table(self, columns: list[str], rows: list[list[str]]) -> None:
        pass


class TextStory:
    """Headings, a few lines each, and pauses in which they can be read.

    :param pause: seconds before each heading but the first.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._first = True

    def heading(self, text: str) -> None:
        if not self._first:
            time.sleep(self._pause)
            click.echo()
        self._first = False
        click.secho(text, bold=True)

    def step(self, step: dict[str, Any], lines: list[str]) -> None:
        if not step["ok"]:
            mark = click.style("✗", fg="red")
        elif "skipped" in step:
            mark = click.style("-", fg="yellow")
        else:
            mark = click.style("✓", fg="green")
        for position, line in enumerate(lines):
            click.echo(f"  {mark if position == 0 else ' '} {line}")

    def table(self, columns: list[str], rows: list[list[str]]) -> None:
        from dracore.cli.tables import Column, print_table

        print_table(
            [Column(f"  {title}" if not place else title) for place, title in enumerate(columns)],
            [[f"  {row[0]}", *row[1:]] for row in rows],
        )
