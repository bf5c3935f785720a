"""Which alternative a parser of ANTLR 4 chooses, and where it finds that there is none (its ALL(*)).

It follows all alternatives at once, first without the rules that called the present one, then, if two go the
same way, with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dracore.selectors.syntax.graph import EOF, State

Stack = tuple[State, ...]
"""Where to go on once rules end, the innermost last. Empty: not known (or, with callers, nowhere)."""


class Config(NamedTuple):
    """One way in which the tokens so far can be read."""

    state: State
    alternative: int
    stack: Stack
    left: bool
    """Whether the rule that decides has been left."""


class NoAlternative(Exception):
    """No alternative takes the token at `at`."""

    def __init__(self, start: int, at: int) -> None:
        super().__init__()
        self.start = start
        self.at = at


class Exhausted(Exception):
    """More ways to read a text than are followed here."""


class Predictor:
    """Predicts over the tokens of one text."""

    def __init__(self, tokens: Sequence[int], budget: int = 2_000_000) -> None:
        self._tokens = tokens
        self._budget = budget
        """Configurations that may be made in all: wrong texts may be long and nested."""

    def choose(self, decision: State, at: int, callers: Stack, level: int) -> int:
        """The number of the edge of `decision` to take, from 1.

        :raises NoAlternative: none fits.
        """
        configs = self._begin(decision, (), level, full=False)
        if decision.decision:
            configs = _without_duplicates(configs)
        look = at
        while True:
            token = self._tokens[look]
            reached = self._reach(configs, token, full=False)
            if not reached:
                return self._finished(configs, at, look)
            unique = _unique(reached)
            if unique:
                return unique
            if _in_conflict(reached):
                return self._with_callers(decision, at, callers, level)
            configs = reached
            look += token != EOF

    def _with_callers(self, decision: State, at: int, callers: Stack, level: int) -> int:
        configs = self._begin(decision, callers, level, full=True)
        look = at
        while True:
            token = self._tokens[look]
            reached = self._reach(configs, token, full=True)
            if not reached:
                return self._finished(configs, at, look)
            found = _unique(reached) or _only_viable(reached)
            if found:
                return found
            configs = reached
            look += token != EOF

    def _finished(self, configs: set[Config], start: int, at: int) -> int:
        """Where nothing goes on, an alternative that got through the rule will do."""
        through = [each.alternative for each in configs if each.left or (_stopped(each) and not each.stack)]
        if not through:
            raise NoAlternative(start, at)
        return min(through)

    def _begin(self, decision: State, stack: Stack, level: int, full: bool) -> set[Config]:
        configs: set[Config] = set()
        for alternative, edge in enumerate(decision.epsilon, 1):
            config = Config(edge.target, alternative, stack, False)
            self._close(config, configs, full, level=level, home=len(stack))
        return configs

    def _reach(self, configs: set[Config], token: int, full: bool) -> set[Config]:
        stopped = {each for each in configs if _stopped(each)} if full or token == EOF else set()
        moved = {
            Config(each.state.tokens, each.alternative, each.stack, each.left)
            for each in configs
            if token in each.state.wanted and each.state.tokens is not None
        }
        if not stopped and token != EOF and (len(moved) == 1 or _unique(moved)):
            return moved
        reached: set[Config] = set()
        for each in moved:
            self._close(each, reached, full, at_end=token == EOF)
        if token == EOF:
            reached = {each for each in reached if _stopped(each)}
        if stopped and (not full or not any(map(_stopped, reached))):
            reached |= stopped
        return reached

    def _close(
        self,
        config: Config,
        into: set[Config],
        full: bool,
        *,
        level: int | None = None,
        home: int = 0,
        at_end: bool = False,
    ) -> None:
        """All that can be reached from a configuration without a token."""
        pending = [config]
        seen: set[Config] = set()
        while pending:
            each = pending.pop()
            if each in seen:
                continue
            seen.add(each)
            self._budget -= 1
            if self._budget < 0:
                raise Exhausted
            state, alternative, stack, left = each
            if state.kind == "rule stop":
                if stack:
                    pending.append(Config(stack[-1], alternative, stack[:-1], left))
                elif full:
                    into.add(each)
                else:
                    if not state.epsilon:
                        into.add(each)
                    pending += (Config(edge.target, alternative, (), True) for edge in state.epsilon)
                continue
            if state.wanted:
                into.add(each)
                if at_end and EOF in state.wanted and state.tokens is not None:
                    pending.append(Config(state.tokens, alternative, stack, left))
            at_home = not left and len(stack) == home
            for edge in state.epsilon:
                if edge.level is not None and level is not None and at_home and edge.level < level:
                    continue
                if edge.follow is not None:
                    pending.append(Config(edge.target, alternative, (*stack, edge.follow), left))
                else:
                    pending.append(Config(edge.target, alternative, stack, left))


def _stopped(config: Config) -> bool:
    return config.state.kind == "rule stop"


def _unique(configs: set[Config]) -> int:
    """The alternative that all are of, or 0."""
    alternatives = {each.alternative for each in configs}
    return alternatives.pop() if len(alternatives) == 1 else 0


def _without_duplicates(configs: set[Config]) -> set[Config]:
    """At a loop over operators, leaving only to come back to the same operator is no alternative."""
    entered = {(each.state, each.stack) for each in configs if each.alternative == 1}
    return {each for each in configs if each.alternative == 1 or (each.state, each.stack) not in entered}


def _subsets(configs: set[Config]) -> dict[tuple[State, frozenset[Stack]], set[int]]:
    """The alternatives that stand in the same state with the same stacks."""
    stacks: dict[tuple[State, int], set[Stack]] = {}
    for each in configs:
        stacks.setdefault((each.state, each.alternative), set()).add(each.stack)
    subsets: dict[tuple[State, frozenset[Stack]], set[int]] = {}
    for (state, alternative), found in stacks.items():
        subsets.setdefault((state, frozenset(found)), set()).add(alternative)
    return subsets


def _in_conflict(configs: set[Config]) -> bool:
    if all(map(_stopped, configs)):
        return True
    if all(len(alternatives) == 1 for alternatives in _subsets(configs).values()):
        return False
    states: dict[State, set[int]] = {}
    for each in configs:
        states.setdefault(each.state, set()).add(each.alternative)
    return all(len(alternatives) > 1 for alternatives in states.values())


def _only_viable(configs: set[Config]) -> int:
    """The one alternative that is the least wherever several stand at the same place, or 0."""
    least = {min(alternatives) for alternatives in _subsets(configs).values()}
    return least.pop() if len(least) == 1 else 0
