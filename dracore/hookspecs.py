"""The plugin contract: every hook that a plugin may implement.

A plugin is a module (or object) with functions marked ``@dracore.hookimpl``, found by the entry-point group
``dracore.plugins``. A driver needs two of them, :func:`dra_discover` and :func:`dra_prepare`; every other
hook has the default that users expect. A hook takes any of its parameters, by name, and may leave the
others out.

Hooks are called for one plugin at a time. An exception fails that discovery or that claim, with a message
that names plugin and hook; it never loses another plugin's answer. Raise an error of :mod:`dracore.errors`
to say what happened and what to do.

There is no unprepare hook: what a claim holds (``ctx.hold``) is reverted in reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from dracore.model.claim import Result
from dracore.model.context import (
    ClaimContext,
    ConfigKind,
    DeviceClass,
    Driver,
    NodeContext,
    Permission,
    PreparedDevice,
    SharingStrategy,
    Simulation,
)
from dracore.model.device import Device, Discovery, NotYet
from dracore.model.effect import Effect
from dracore.model.prepared import Check, Health, Prepared

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("dracore")
hookimpl = pluggy.HookimplMarker("dracore")


# --- load: what the plugin is. No hardware is touched, nothing is imported that costs. -----------------


@hookspec
def dra_driver() -> Driver | str | None:
    """The DRA driver this plugin belongs to, and the plugins it requires.

    Several plugins may name the same driver: they share its sockets, pool and counters. May be left out
    where the package says it: entry point of group ``dracore.drivers``, named like the plugin.

    :since: 0.1
    """


@hookspec
def dra_settings() -> type[Any] | None:
    """A pydantic model of the plugin's own section in the node configuration.

    Unknown keys are refused whatever the model says. Without this hook the section must be empty.

    :since: 0.1
    """


@hookspec
def dra_check_simulation(simulation: Simulation) -> None:
    """Refuses a simulation that this plugin cannot make by raising, before anything is started.

    :since: 0.1
    """


@hookspec
def dra_config_kinds() -> Sequence[ConfigKind] | None:
    """The opaque parameters that claims and classes of this driver may carry.

    One model gives decoding, validation, JSON schema and documentation.

    :since: 0.1
    """


@hookspec
def dra_sharing_strategies() -> Sequence[SharingStrategy] | None:
    """Named strategies of sharing; they appear in config kinds that declare `sharing`.

    :since: 0.1
    """


@hookspec
def dra_effects() -> Sequence[type[Effect]] | None:
    """The types of effects that this plugin may hold.

    They are loaded even when the plugin is disabled, so that its claims can be released.

    :since: 0.1
    """


@hookspec
def dra_device_classes() -> Sequence[DeviceClass] | None:
    """The DeviceClasses that users of this plugin expect; ``dracore manifests`` prints them.

    :since: 0.1
    """


@hookspec
def dra_permissions() -> Sequence[Permission] | None:
    """What the plugin needs of the API server beyond the core's own permissions.

    Reserved: accepted, and not yet part of ``dracore manifests``.

    :since: 0.1
    """


@hookspec
def dra_commands() -> Sequence[click.Command] | None:
    """Commands added under ``dracore <plugin>``.

    :since: 0.1
    """


@hookspec
def dra_controllers() -> Sequence[Any] | None:
    """Control-plane loops of this plugin. Reserved: accepted, and not run by this version.

    :since: 0.1
    """


# --- node: the life of a plugin on one node -----------------------------------------------------------


@hookspec
def dra_start(ctx: NodeContext) -> Any:
    """Opens the session with the hardware.

    What it returns is ``ctx.session(plugin)`` for this plugin and those that require it. May hold
    node-wide effects. Is tried again with backoff while it raises.

    :since: 0.1
    """


@hookspec
def dra_stop(ctx: NodeContext, session: Any) -> None:
    """Closes the session. Effects stay: prepared claims outlive the driver's process.

    :since: 0.1
    """


@hookspec
def dra_discover(ctx: NodeContext) -> Discovery | NotYet | Iterable[Device]:
    """The devices (and counter sets) of this node, best first. Required.

    Runs again whenever ``dra_watch`` says so and on an interval. Describes the node without our own
    effects (``ctx.held``). ``NotYet`` publishes nothing for this plugin; no devices publish an empty pool.
    The order is the order of allocation: the scheduler takes the first device that fits.

    :since: 0.1
    """


@hookspec
def dra_watch(ctx: NodeContext, changed: Callable[[], None]) -> Callable[[], None] | None:
    """Starts watching for changes; calls `changed` (from any thread) when discovery should run again.

    :returns: a function that stops watching.
    :since: 0.1
    """


@hookspec
def dra_shape(ctx: NodeContext, device: Device) -> Device | None:
    """Sees every device of the driver, of any plugin, and returns it, a changed one, or None (withhold).

    Plugins are asked in their order, each with what the one before returned. Not implemented: unchanged.

    :since: 0.1
    """


@hookspec
def dra_health(ctx: NodeContext) -> Iterable[Health] | None:
    """The health of this plugin's devices; asked with every discovery.

    A taint that it asks for survives a restart of the driver until the plugin reports the device healthy, or
    healthy again in this one respect (the same `taint_key`).

    :since: 0.1
    """


@hookspec
def dra_preflight(ctx: NodeContext) -> Iterable[Check] | None:
    """Checks with a verdict that a person can act on; shown by ``dracore status``.

    :since: 0.1
    """


# --- claim: while the kubelet waits -------------------------------------------------------------------


@hookspec
def dra_validate(ctx: ClaimContext, configs: Mapping[str, Any]) -> None:
    """Refuses a claim, before anything changes, by raising an error.

    :param configs: resolved opaque parameters by request (as in the results).
    :since: 0.1
    """


@hookspec
def dra_prepare_claim(ctx: ClaimContext, devices: Sequence[Device]) -> Prepared | None:
    """Claim-wide effects, before the devices (a fabric partition). `devices` are this plugin's.

    :since: 0.1
    """


@hookspec
def dra_prepare(ctx: ClaimContext, device: Device, result: Result, config: Any) -> Prepared:
    """Makes one device ready and says what its containers get. Required.

    Called for the plugin that contributed the device, in the order of the claim's results. May be called
    again for the same claim: after a wait, a crash or a reboot. Changes go through ``ctx.hold`` alone.

    :param config: resolved opaque parameters for this result, as the config kind's model; None without.
    :since: 0.1
    """


@hookspec
def dra_share(ctx: ClaimContext, strategy: str, params: Any, devices: Sequence[PreparedDevice]) -> Prepared:
    """Applies a sharing strategy to the prepared devices of one config group.

    Called for the plugin that owns the strategy, after ``dra_prepare`` of all devices of the group; its
    edits are added to each of them.

    :since: 0.1
    """
