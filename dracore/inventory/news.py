"""What a person is told when the inventory changes: each thing once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dracore.inventory.merge import Problem, View
from dracore.inventory.ports import Reports
from dracore.inventory.runner import Answer
from dracore.model.claim import ClaimRef
from dracore.model.device import Device


class News:
    """Compares what was with what is. Belongs to whoever merges.

    :param reports: where events go; None: nowhere.
    :param log: a structlog logger.
    """

    def __init__(self, reports: Reports | None, log: Any) -> None:
        self._reports = reports or _Silent()
        self._log = log
        self._failed: dict[str, str] = {}

    def answered(self, plugin: str, answer: Answer) -> None:
        """A failure is told for each new text: pods that need the plugin's devices wait because of it."""
        said = self._failed.get(plugin, "")
        if answer.state == "failed" and answer.error != said:
            self._failed[plugin] = answer.error
            self._reports.event("PluginFailed", str(Problem(plugin, answer.error)))
        elif answer.state == "running" and said:
            del self._failed[plugin]
            self._reports.event("PluginRecovered", f"plugin {plugin} works again", warning=False)

    def changed(self, before: View, view: View, prepared: Collection[tuple[str, str, str]]) -> None:
        """Tells the problems that are new, and what became of devices that claims have.

        :param prepared: plugin, pool and name of devices that claims have prepared.
        """
        for problem in view.problems:
            if problem not in before.problems:
                self._reports.event("DiscoveryProblem", str(problem))
        for pool, name in sorted(view.lost - before.lost):
            self._reports.event("DeviceLost", f"device {pool}/{name} is gone while a claim has it prepared")
        for _, pool, name in sorted(prepared):
            if (pool, name) not in view.lost:
                for taint in sorted(_hard_taints(view, pool, name) - _hard_taints(before, pool, name)):
                    text = f"device {pool}/{name} has the taint {taint} while a claim has it prepared"
                    self._reports.event("DeviceTainted", text)
        for pool, name in sorted(before.lost - view.lost):
            self._log.info("a lost device is back, or its claim has ended", pool=pool, device=name)


def _hard_taints(view: View, pool: str, name: str) -> set[str]:
    """The taints that keep claims from a device, as one writes them."""
    device, _ = view.devices.get((pool, name), (Device(name), ""))
    return {f"{taint.key}:{taint.effect}" for taint in device.taints if taint.effect != "None"}


class _Silent:
    def event(
        self, reason: str, message: str, *, claim: ClaimRef | None = None, warning: bool = True
    ) -> None:
        pass
