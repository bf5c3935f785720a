"""Tables for people, through rich; plain text where the output is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    """`wrap`: a long text may go on in the next line; else it is never cut or broken."""

    title: str
    align: Literal["left", "right"] = "left"
    wrap: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Prints rows below titles; wide enough for all of it where nobody looks at a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console = Console(width=10_000, highlight=False)
    table = Table(box=None, title=title or None, title_justify="left", pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify=column.align,
            no_wrap=not column.wrap,
            overflow="fold" if column.wrap else "ignore",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
