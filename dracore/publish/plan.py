"""Which writes turn the slices that stand into the slices that are wanted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dracore.publish import names

Object: TypeAlias = dict[str, Any]
Same: TypeAlias = Callable[[int, Object], bool]
"""True where the stored object holds what the desired slice of that index should."""


@dataclass(frozen=True)
class Plan:
    """Writes in their order: deletions, then updates, then creations, all at `generation`."""

    generation: int
    delete: tuple[Object, ...] = ()
    update: tuple[tuple[int, Object], ...] = ()
    create: tuple[int, ...] = ()

    @property
    def writes(self) -> int:
        """How many requests it takes."""
        return len(self.delete) + len(self.update) + len(self.create)


def make_plan(
    count: int, stored: Sequence[Object], same: Same, last_generation: int = 0, spent: int = 0
) -> Plan:
    """Compares the `stored` slices of one pool with `count` desired ones.

    Consumers take the slices of a pool's highest generation, and the pool only when all
    ``resourceSliceCount`` of them are there. So as long as every slice that stands at that generation stays
    as it is, gaps can be filled at the same generation, and so can one slice be replaced in a complete pool:
    nobody ever sees a mixture of old and new. Anything more is a new generation, in which every slice is
    written (KEP-4381).

    :param last_generation: the highest one that we know of, where the slices themselves may be gone.
    :param spent: up to this generation there may be slices of other content that `stored` does not show.
    """
    matched, obsolete = _match(count, stored)
    generation = max([last_generation, spent, *(_generation(obj) for obj in stored)])
    current = {index: obj for index, obj in matched.items() if _generation(obj) == generation}
    changed = [index for index, obj in current.items() if not same(index, obj)]
    gaps = count - len(current)
    counts_agree = all(_count(obj) == count for obj in stored if _generation(obj) == generation)
    may_stay = generation > spent and counts_agree and (not changed or (len(changed) == 1 and not gaps))
    if not may_stay:
        generation += 1
    update = tuple(
        (index, obj)
        for index, obj in sorted(matched.items())
        if index in changed or _generation(obj) != generation
    )
    create = tuple(index for index in range(count) if index not in matched)
    return Plan(generation, tuple(obsolete), update, create)


def _match(count: int, stored: Sequence[Object]) -> tuple[dict[int, Object], list[Object]]:
    """Slices by the index in their name; those of no or a taken index are obsolete."""
    matched: dict[int, Object] = {}
    obsolete = []
    for obj in sorted(stored, key=lambda obj: (-_generation(obj), obj["metadata"]["name"])):
        index = names.index_of(obj["metadata"]["name"], count)
        if index is None or index in matched:
            obsolete.append(obj)
        else:
            matched[index] = obj
    return matched, obsolete


def _generation(obj: Object) -> int:
    return int(obj["spec"]["pool"].get("generation") or 0)


def _count(obj: Object) -> int:
    return int(obj["spec"]["pool"].get("resourceSliceCount") or 0)
