"""Commands that plugins bring (``dra_commands``), as ``dracore PLUGIN COMMAND``."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from dracore.plugins import GROUP, Plugins


def plugin_group(name: str) -> click.Group | None:
    """The commands of the installed plugin `name`; None where there is no such plugin.

    :raises PluginError: the plugin is installed and cannot be loaded.
    """
    if name not in {point.name for point in entry_points(group=GROUP)}:
        return None
    # A plugin that requires others still has its commands where those are not enabled.
    plugins, problems = Plugins.find({name: {}})
    if name not in plugins.plugins():
        raise problems[0].value
    commands = plugins.call(name, "dra_commands") or ()
    group = click.Group(name, help=f"Commands of the plugin {name}.")
    for command in commands:
        group.add_command(command)
    if not commands:
        group.help = f"The plugin {name} has no commands of its own."
    return group
