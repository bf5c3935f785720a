"""Every device passes ``dra_shape`` of each plugin of its driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dracore.errors import DracoreError
from dracore.inventory.merge import Problem
from dracore.inventory.ports import Contexts, Hooks
from dracore.model.device import Device


class Shaper:
    """Asks the plugins in their order, each with what the one before returned.

    :param plugins: those of the driver; the ones without the hook are passed over.
    :param started: whether ``dra_start`` of a plugin has returned; before, it is not asked.
    """

    def __init__(
        self, plugins: Iterable[str], hooks: Hooks, contexts: Contexts, started: Callable[[str], bool]
    ) -> None:
        self._plugins = [plugin for plugin in plugins if hooks.implements(plugin, "dra_shape")]
        self._hooks = hooks
        self._contexts = contexts
        self._started = started

    def shape(self, device: Device, problems: list[Problem]) -> Device | None:
        """The device as it is to be offered, None where a plugin withholds it.

        A plugin that fails, or answers another device, leaves it as it is and adds to `problems`.
        """
        for plugin in filter(self._started, self._plugins):
            context = self._contexts.context(plugin)
            try:
                shaped = self._hooks.call(plugin, "dra_shape", ctx=context, device=device)
            except DracoreError as error:
                problems.append(Problem(plugin, f"device {device.name} is not shaped: {error}"))
                continue
            if shaped is None:
                return None
            if not isinstance(shaped, Device) or shaped.name != device.name or shaped.pool != device.pool:
                text = "dra_shape must return it, changed or not, or None"
                problems.append(Problem(plugin, f"device {device.name} is not shaped: {text}"))
                continue
            device = shaped
        return device
