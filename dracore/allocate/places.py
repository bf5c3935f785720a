"""Where a value stands in a text of YAML or JSON: found by running over its events, without a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LINES_LIMIT = 16 * 2**20
"""Bytes of a text; in larger ones nobody looks for a line."""


def line_of(text: str, document: int, path: tuple[str | int, ...]) -> int | None:
    """The line of the value at `path`, or of the nearest thing around it; None where it cannot be told.

    :param document: from 1.
    """
    import yaml

    if len(text) > LINES_LIMIT:
        return None
    try:
        events = _events(text)
        number = 0
        for event in events:
            number += isinstance(event, yaml.DocumentStartEvent)
            if number == document:
                return _descend(events, next(events), path)
    except (yaml.YAMLError, RecursionError, ValueError):
        pass
    return None


def place_of_repeated(text: str, name: str) -> tuple[int, int] | None:
    """Document and line where an object has a name for the second time; None where it cannot be told."""
    import yaml

    if len(text) > LINES_LIMIT:
        return None
    document = 0
    # Of each open list None, of each open object whether a name comes next, and whether `name` has come.
    open_nodes: list[list[bool] | None] = []
    try:
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                document += 1
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
                continue
            within = open_nodes[-1] if open_nodes else None
            if within is not None:
                if within[0] and isinstance(event, yaml.ScalarEvent) and event.value == name:
                    if within[1]:
                        mark: Any = event.start_mark
                        return document, int(mark.line) + 1
                    within[1] = True
                within[0] = not within[0]
            if isinstance(event, yaml.MappingStartEvent):
                open_nodes.append([True, False])
            elif isinstance(event, yaml.SequenceStartEvent):
                open_nodes.append(None)
    except (yaml.YAMLError, RecursionError, ValueError):
        pass
    return None


def _events(text: str) -> Iterator[Any]:
    import yaml

    # JSON is YAML nearly always; tabs between tokens are not.
    events: Iterator[Any] = yaml.parse(
        text.replace("\t", " "), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return events


def _descend(events: Iterator[Any], event: Any, path: tuple[str | int, ...]) -> int:
    """From the start of a node down to the line of what is at `path`."""
    import yaml

    for number, step in enumerate(path, 1):
        if isinstance(step, int):
            if not isinstance(event, yaml.SequenceStartEvent):
                break
            item = _item(events, step)
            if item is None:
                break
            event = item
            continue
        if not isinstance(event, yaml.MappingStartEvent):
            break
        found = _entry(events, step)
        if found is None:
            break
        key, value = found
        # The line of the name, unless there is more to go down to.
        if number == len(path):
            return int(key.start_mark.line) + 1
        event = value
    return int(event.start_mark.line) + 1


def _item(events: Iterator[Any], index: int) -> Any:
    """The start of an item of the list that has begun; None where it has not so many."""
    import yaml

    for _ in range(index):
        event = next(events)
        if isinstance(event, yaml.SequenceEndEvent):
            return None
        _skip(events, event)
    event = next(events)
    return None if isinstance(event, yaml.SequenceEndEvent) else event


def _entry(events: Iterator[Any], name: str) -> tuple[Any, Any] | None:
    """Name and start of the value of an entry of the object that has begun."""
    import yaml

    while True:
        key = next(events)
        if isinstance(key, yaml.MappingEndEvent):
            return None
        _skip(events, key)
        value = next(events)
        if isinstance(key, yaml.ScalarEvent) and key.value == name:
            return key, value
        _skip(events, value)


def _skip(events: Iterator[Any], event: Any) -> None:
    """Past the end of the node that starts with `event`."""
    import yaml

    depth = 0
    while True:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if not depth:
            return
        event = next(events)
