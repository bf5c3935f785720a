"""From what each plugin found to what the driver offers: one pass, the same result for the same input."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dracore.errors import DracoreError
from dracore.inventory.ports import Filter, StoredTaint
from dracore.model.device import CounterSet, Device, Discovery, Pool, Taint
from dracore.model.names import is_dns_label, is_pool_name


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is not as it should be, for status, log and events. Nothing stops because of it."""

    plugin: str
    text: str

    def __str__(self) -> str:
        named = self.text.startswith(f"plugin {self.plugin}")
        return self.text if named else f"plugin {self.plugin}: {self.text}"


@dataclass(frozen=True, slots=True)
class View:
    """The devices of a driver at one moment. Readers keep the view that they took.

    :param pools: what is offered; the node's own pool first, though it be empty.
    :param devices: by pool and name, with the plugin: also what the filter holds back (it may be prepared).
    :param lost: pool and name of devices that are gone while claims have them prepared.
    """

    pools: tuple[Pool, ...] = ()
    devices: Mapping[tuple[str, str], tuple[Device, str]] = field(default_factory=dict)
    identities: Mapping[str, tuple[Device, str]] = field(default_factory=dict)
    lost: frozenset[tuple[str, str]] = frozenset()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    """How one driver's view is made.

    :param pool: the node's own pool.
    :param shape: the chain of ``dra_shape``: device, and what of it remains; problems go to the list.
    """

    driver: str
    pool: str
    shape: Callable[[Device, list[Problem]], Device | None]

    def view(
        self,
        found: Mapping[str, Discovery],
        *,
        prepared: Collection[tuple[str, str, str]] = (),
        before: View | None = None,
        lost_taint: Callable[[str, str, str], Taint],
        stored: Sequence[StoredTaint] = (),
        drifted: Collection[tuple[str, str]] = (),
        offered: Filter | None = None,
    ) -> View:
        """The view of what the plugins found.

        :param found: by plugin, in their order; one that never answered is left out.
        :param before: where the last known form of a lost device is taken from.
        :param lost_taint: the taint of a lost device (plugin, pool and name), and since when it is lost.
        :param drifted: pool and name of devices of claims whose effects somebody undid.
        """
        problems: list[Problem] = []
        devices: dict[tuple[str, str], tuple[Device, str]] = {}
        present: set[tuple[str, str]] = set()
        for plugin, discovery in found.items():
            problems += [Problem(plugin, text) for text in discovery.problems]
            for device in discovery.devices:
                key = (device.pool or self.pool, device.name)
                fault = self._fault(key, device, devices)
                if fault:
                    problems.append(Problem(plugin, fault))
                    continue
                present.add(key)
                shaped = self.shape(device, problems)
                if shaped is not None:
                    devices[key] = (shaped, plugin)
        lost = self._lost(found, devices, present, prepared, before, lost_taint)
        if stored:
            places = {(plugin, device.name): key for key, (device, plugin) in devices.items()}
            for entry in stored:
                place = places.get((entry.plugin, entry.device))
                if place is not None:
                    device, plugin = devices[place]
                    devices[place] = (device.with_taint(entry.taint), plugin)
        for key in drifted:
            if key in devices:
                device, plugin = devices[key]
                devices[key] = (device.with_taint(Taint(f"{self.driver}/drift", "NoSchedule")), plugin)
        held_back = self._filter(devices, lost, offered, problems)
        return View(
            self._pools(found, devices, held_back, problems),
            devices,
            {device.identity: (device, plugin) for device, plugin in devices.values()},
            frozenset(lost),
            tuple(dict.fromkeys(problems)),
        )

    def _fault(
        self, key: tuple[str, str], device: Device, devices: Mapping[tuple[str, str], tuple[Device, str]]
    ) -> str:
        """Why a device cannot be named so. What else the API limits is checked where slices are made."""
        pool, name = key
        if not is_dns_label(name):
            return (
                f"device {name!r} is withheld: a name is a lower-case DNS label of at most 63 characters; "
                "use dracore.device_name()"
            )
        if pool != self.pool and not is_pool_name(pool):
            return f"device {name} is withheld: {pool!r} is no pool name"
        if key in devices:
            _, owner = devices[key]
            return f"device {name} is withheld: plugin {owner} has a device of that name in pool {pool}"
        return ""

    def _lost(
        self,
        found: Mapping[str, Discovery],
        devices: dict[tuple[str, str], tuple[Device, str]],
        present: Collection[tuple[str, str]],
        prepared: Collection[tuple[str, str, str]],
        before: View | None,
        taint: Callable[[str, str, str], Taint],
    ) -> set[tuple[str, str]]:
        """Puts back what vanished while prepared: as it was last seen, and where this process never saw it,
        by its name alone."""
        lost: set[tuple[str, str]] = set()
        for plugin, pool, name in sorted(prepared):
            key = (pool, name)
            if key in present:
                continue
            known = before.devices.get(key) if before else None
            if plugin in found:
                device = known[0] if known else Device(name, "lost", pool="" if pool == self.pool else pool)
                devices[key] = (device.with_taint(taint(plugin, pool, name)), plugin)
                lost.add(key)
            elif known is not None:
                devices[key] = known  # its plugin cannot say now whether it is there
        return lost

    def _filter(
        self,
        devices: Mapping[tuple[str, str], tuple[Device, str]],
        lost: Collection[tuple[str, str]],
        offered: Filter | None,
        problems: list[Problem],
    ) -> set[tuple[str, str]]:
        held_back: set[tuple[str, str]] = set()
        if offered is None:
            return held_back
        for key, (device, plugin) in devices.items():
            if key in lost:
                continue  # it may have no attributes left that the filter could read
            try:
                if offered(self.driver, device):
                    continue
            except DracoreError as error:
                problems.append(Problem(plugin, f"device {device.name} is withheld: filter: {error}"))
            held_back.add(key)
        return held_back

    def _pools(
        self,
        found: Mapping[str, Discovery],
        devices: Mapping[tuple[str, str], tuple[Device, str]],
        held_back: Collection[tuple[str, str]],
        problems: list[Problem],
    ) -> tuple[Pool, ...]:
        members: dict[str, list[Device]] = {self.pool: []}
        for key, (device, _) in devices.items():
            if key not in held_back:
                members.setdefault(key[0], []).append(device)
        counters: dict[str, tuple[CounterSet, str]] = {}
        for plugin, discovery in found.items():
            for counter_set in discovery.counter_sets:
                first, owner = counters.setdefault(counter_set.name, (counter_set, plugin))
                if first != counter_set:
                    text = (
                        f"counter set {counter_set.name} is left out: plugin {owner} has another of that name"
                    )
                    problems.append(Problem(plugin, text))
        own = tuple(counter_set for counter_set, _ in counters.values())
        return tuple(
            Pool(self.driver, name, tuple(entries), own if name == self.pool else ())
            for name, entries in members.items()
        )
