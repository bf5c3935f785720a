"""A taint of a node or device as somebody wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dracore.allocate import fields


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint; an effect of the future is kept and does not count (KEP-5055)."""

    key: str
    effect: str
    value: str = ""
    time_added: str = ""


def taint(content: Mapping[str, Any]) -> Taint:
    """Reads it.

    :raises Fault: with the path of the field.
    """
    return Taint(
        fields.text(content, "key", required=True),
        fields.text(content, "effect", required=True),
        fields.text(content, "value"),
        fields.text(content, "timeAdded"),
    )
