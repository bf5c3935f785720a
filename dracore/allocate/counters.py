"""Counters that the devices of a pool share (KEP-4815), with who may share them (KEP-5963)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from dracore.allocate.held import Held
from dracore.allocate.pools import Pool
from dracore.allocate.published import PoolId, PublishedDevice


@dataclass(frozen=True, slots=True)
class Company:
    """Who is on one counter set so far: nobody, only devices without groups, or such with common groups."""

    empty: bool = True
    groups: frozenset[str] | None = None

    def admits(self, groups: frozenset[str]) -> bool:
        """Whether a device of these groups may join."""
        if self.empty:
            return True
        if self.groups is None:
            return not groups
        return bool(self.groups & groups)

    def with_(self, groups: frozenset[str]) -> Company:
        """With one more."""
        if self.empty:
            return Company(False, groups or None)
        if self.groups is None or not groups:
            return self
        return Company(False, self.groups & groups)


Before: TypeAlias = dict[str, Company]


@dataclass(slots=True)
class _Account:
    """What is left of a pool's counters; less than nothing where others overdrew them."""

    left: dict[str, dict[str, int]]
    companies: dict[str, Company] = field(default_factory=dict)

    @property
    def overdrawn(self) -> bool:
        return any(amount < 0 for counters in self.left.values() for amount in counters.values())


class CounterLedger:
    """The accounts of all pools in one search. Pools are told apart by driver and name."""

    def __init__(self, held: Held, *, groups: bool) -> None:
        self._held = held
        self._groups = groups
        self._accounts: dict[PoolId, _Account] = {}

    def take(self, pool: Pool, device: PublishedDevice) -> Before | None:
        """Draws for a device. Gives what :meth:`give_back` needs, or None, and nothing has changed, where a
        counter would be overdrawn or the groups do not go together.

        As in the scheduler no device of the pool that draws on counters can be had while any is overdrawn.
        """
        account = self._account(pool)
        before: dict[str, Company] = {}
        if self._groups:
            for draw in device.draws:
                company = account.companies.get(draw.counter_set, Company())
                if not company.admits(draw.groups):
                    account.companies.update(before)
                    return None
                before.setdefault(draw.counter_set, company)
                account.companies[draw.counter_set] = company.with_(draw.groups)
        self._draw(account, device, 1)
        if account.overdrawn:
            self.give_back(pool, device, before)
            return None
        return before

    def give_back(self, pool: Pool, device: PublishedDevice, before: Before) -> None:
        """Undoes a :meth:`take`, the last one first."""
        account = self._account(pool)
        self._draw(account, device, -1)
        account.companies.update(before)

    def left(self, pool: Pool) -> dict[tuple[str, str], int]:
        """What is left of each counter, by set and name; less than nothing where it is overdrawn."""
        return {
            (counter_set, name): amount
            for counter_set, counters in self._account(pool).left.items()
            for name, amount in counters.items()
        }

    def short_of(self, pool: Pool, device: PublishedDevice) -> list[tuple[str, str, int, int]]:
        """The counters that keep a device away: set, counter, what is left and what it takes."""
        account = self._account(pool)
        wants: dict[tuple[str, str], int] = {}
        for draw in device.draws:
            for name, amount in draw.counters.items():
                wants[draw.counter_set, name] = wants.get((draw.counter_set, name), 0) + amount
        return [
            (counter_set, name, left, wants.get((counter_set, name), 0))
            for counter_set, counters in account.left.items()
            for name, left in counters.items()
            if left < wants.get((counter_set, name), 0)
        ]

    def _account(self, pool: Pool) -> _Account:
        account = self._accounts.get(pool.id)
        if account is None:
            account = _Account({name: dict(counters) for name, counters in pool.counters.items()})
            self._accounts[pool.id] = account
            for device in self._in_use(pool):
                self._draw(account, device, 1)
                for draw in device.draws:
                    company = account.companies.get(draw.counter_set, Company())
                    account.companies[draw.counter_set] = company.with_(draw.groups)
        return account

    def _in_use(self, pool: Pool) -> Iterable[PublishedDevice]:
        devices = (*(offer.device for offer in pool.offers), *pool.elsewhere)
        return (device for device in devices if device.draws and self._held.uses(device.id))

    @staticmethod
    def _draw(account: _Account, device: PublishedDevice, times: int) -> None:
        for draw in device.draws:
            counters = account.left[draw.counter_set]
            for name, amount in draw.counters.items():
                counters[name] -= times * amount
