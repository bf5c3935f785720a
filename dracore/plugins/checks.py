"""Everything about one plugin that can be checked before hardware is touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pluggy

from dracore import hookspecs
from dracore.errors import PluginError
from dracore.model.context import Driver
from dracore.model.names import DRIVER_NAME_LIMIT, is_dns_subdomain
from dracore.plugins.contributions import collect
from dracore.plugins.plugin import Distribution, Plugin, nearest

DRIVER_GROUP = "dracore.drivers"
"""Entry points that say the driver of a plugin: its name to the driver's."""
REQUIRED = ("dra_discover", "dra_prepare")


def checked(name: str, value: object, origin: Distribution, driver: str) -> Plugin:
    """The plugin, with everything checked that can be checked before hardware is touched."""
    where = f"plugin {name} of {origin}"
    manager = pluggy.PluginManager("dracore")
    manager.add_hookspecs(hookspecs)
    specs = {hook for hook in vars(hookspecs) if hook.startswith("dra_")}
    found = _hook_functions(manager, value)
    for hook, function in found.items():
        _check_hook(manager, specs, hook, function, where)
    missing = [hook for hook in REQUIRED if hook not in found]
    if missing:
        raise PluginError(
            f"{' and '.join(missing)} missing: every plugin must discover devices and prepare them",
            where=where,
            fix="define " + " and ".join(f"{hook}({_arguments(manager, hook)})" for hook in missing),
        )
    try:
        manager.register(value, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split()), where=where) from error
    plugin = Plugin(name, origin, {hook: getattr(manager.hook, hook) for hook in sorted(found)})
    said = plugin.call("dra_driver", {})
    if isinstance(said, Driver):
        plugin.driver, plugin.requires, plugin.lost_taint = said.name, said.requires, said.lost_taint
    else:
        plugin.driver = said or driver
    if not plugin.driver:
        raise PluginError(
            "does not say which DRA driver it belongs to",
            where=where,
            fix=f"define dra_driver(), or an entry point {name} = <driver> of group {DRIVER_GROUP}",
        )
    if not is_dns_subdomain(plugin.driver, DRIVER_NAME_LIMIT):
        raise PluginError(
            f"{plugin.driver!r} is not a driver name",
            where=where,
            fix=f"use a lower-case DNS subdomain of at most {DRIVER_NAME_LIMIT} characters: nic.example.com",
        )
    collect(plugin, where)
    return plugin


def _hook_functions(manager: pluggy.PluginManager, value: object) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for attribute in dir(value):
        options = manager.parse_hookimpl_opts(value, attribute)
        if options is not None:
            found[options.get("specname") or attribute] = getattr(value, attribute)
        elif attribute in vars(hookspecs) and attribute.startswith("dra_"):
            function = getattr(value, attribute)
            if inspect.isroutine(function) and not hasattr(function, "dracore_spec"):
                found[attribute] = function
    return found


def _check_hook(
    manager: pluggy.PluginManager, specs: set[str], hook: str, function: Callable[..., Any], where: str
) -> None:
    if hook not in specs:
        raise PluginError(
            f"{hook} is not a hook of dracore",
            where=where,
            fix=nearest(hook, specs) or "see docs/hooks.md, or update dracore",
        )
    if not hasattr(inspect.unwrap(function), "dracore_impl"):
        raise PluginError(
            f"{hook} is not marked as a hook", where=where, fix="put @dracore.hookimpl above it"
        )
    allowed = _arguments(manager, hook)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise PluginError(
                f"{hook}: the argument {parameter.name!r} is keyword-only",
                where=where,
                fix="hooks are called by position: take the * out",
            )
        if parameter.name not in allowed and parameter.default is parameter.empty:
            raise PluginError(
                f"{hook} has no argument {parameter.name!r} (it has: {allowed or 'none'})",
                where=where,
                fix=nearest(parameter.name, allowed.split(", ")) or None,
            )


def _arguments(manager: pluggy.PluginManager, hook: str) -> str:
    spec = getattr(manager.hook, hook).spec
    return ", ".join(spec.argnames)
