"""Every command and option is described, and every command line of the pages can be typed."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from dracore.cli.app import COMMANDS, app


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        else:
            yield name, command


def described(docs: Any) -> dict[str, str]:
    """Commands that have a section of their own, to the page of it."""
    return {
        name: page.text
        for page in docs.all()
        for heading in page.sections()
        for name in re.findall(r"^`dracore ([a-z-]+(?: [a-z]+)?)", heading)
    }


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_has_a_section_and_its_options_are_named_beside_it(name: str, docs: Any) -> None:
    command = dict(commands())[name]
    page = described(docs).get(name)
    assert page is not None, f"no page has a section `dracore {name} …`"
    for parameter in command.params:
        options = "|".join(map(re.escape, parameter.opts))
        if isinstance(parameter, click.Option):
            assert re.search(rf"[`\[( ]({options})[`\]) =|]", page), (name, options)
        elif parameter.required:
            assert parameter.make_metavar(click.Context(command)) in page, name
    (section,) = re.findall(rf"^#+ (`dracore {name}\b.*)$", page, flags=re.MULTILINE)
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and "-o" in parameter.opts and "…`" not in section:
            (choices,) = re.findall(r"-o ([a-z|]+)", section)
            assert set(choices.split("|")) == set(parameter.type.choices), name


def test_no_command_is_described_that_is_not_there(docs: Any) -> None:
    assert set(described(docs)) <= {name for name, _ in commands()}


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_help_has_an_example_that_can_be_typed(name: str, command: click.Command) -> None:
    epilog = command.epilog or ""
    assert re.search(r"^Examples?:", epilog.replace("\b", "").strip()), name
    assert f"dracore {name}" in epilog
    for line in typed(epilog):
        understood(line)


def typed(text: str) -> list[list[str]]:
    """The words after each `dracore` in lines for a shell, without what the shell does with the rest."""
    found = []
    for line in re.findall(r"(?:^|\s)dracore ([a-z][^\n]*)", text):
        words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
        found.append(list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>"), words)))
    return found


def understood(words: list[str]) -> None:
    """Fails where click would refuse the words; nothing is run and no file need exist."""
    line = " ".join(words)
    context = click.Context(app)
    command: click.Command | None = app
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
        assert command is not None, line
    parser = command.make_parser(click.Context(command))
    parser.parse_args(args=words)


def test_the_command_lines_of_the_pages_can_be_typed(docs: Any) -> None:
    lines = [line for page in docs.all() for block in page.blocks("console") for line in typed(block)]
    assert len(lines) >= 10
    for line in lines:
        understood(line)
