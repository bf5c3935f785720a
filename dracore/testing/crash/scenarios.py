"""The scenarios of the engine's own matrix, on the plugin :mod:`dracore.testing.crash.things`."""

from __future__ import annotations

from typing import Any

from dracore.testing.crash.scenario import (
    Ask,
    Delete,
    Drain,
    Fail,
    Handover,
    Prepare,
    Reallocate,
    Reconcile,
    Restart,
    Scenario,
    Set,
    Unprepare,
)
from dracore.testing.crash.things import API_VERSION

NEARLY_NO_TIME = 5.03
"""Seconds of a call that waits for next to nothing: the last 5 of every call are kept for the answer."""


def plan(*hold: Any, **more: Any) -> dict[str, Any]:
    """Opaque parameters; an effect is ``"kind name needs"`` or its fields."""
    wants = [_want(text) for text in hold]
    then = [_want(text) for text in more.pop("then", ())]
    return {"apiVersion": API_VERSION, "kind": "Plan", "hold": wants, "then": then, **more}


def _want(text: Any) -> dict[str, str]:
    if isinstance(text, dict):
        return text
    kind, name, needs = (*text.split(), "")[:3]
    return {"kind": kind, "name": name, "needs": needs}


_ORDER = plan("thing a", "thing b a", "thing c b")
_SHARED = plan("thing mode", "thing {device} mode")
_WAITS = plan(
    "thing a",
    {"kind": "thing", "name": "only-at-first", "needs": "a", "unless": "ready"},
    awaits="ready",
    then=["thing b a"],
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "one claim one device",
        {"c1": Ask(("dev-0",), plan("thing a"))},
        (Prepare("c1"), Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "one claim three devices, ordered effects",
        {"c1": Ask(("dev-0", "dev-1", "dev-2"), plan("thing mode", "pair {device} mode", folder=True))},
        (Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "two claims share an effect",
        {"c1": Ask(("dev-0",), _SHARED), "c2": Ask(("dev-1",), _SHARED)},
        (Prepare("c1"), Prepare("c2"), Unprepare("c1"), Unprepare("c2")),
    ),
    Scenario(
        "a claim waits, is called again and completes",
        {"c1": Ask(("dev-0",), _WAITS)},
        (Prepare("c1", NEARLY_NO_TIME), Set("ready"), Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "prepare fails at its last effect",
        {"c1": Ask(("dev-0",), _ORDER)},
        (Fail("half", "c"), Prepare("c1"), Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "an unprepare whose revert fails twice",
        {"c1": Ask(("dev-0",), _ORDER)},
        (Prepare("c1"), Fail("revert", "b", 2), Unprepare("c1"), Unprepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "unprepare",
        {"c1": Ask(("dev-0",), plan("thing a", "later label", "pair b a", folder=True))},
        (Prepare("c1"), Fail("revert", "label"), Unprepare("c1"), Drain(), Drain(), Unprepare("c1")),
    ),
    Scenario(
        "unprepare of a half-prepared claim",
        {"c1": Ask(("dev-0",), _WAITS), "c2": Ask(("dev-1",), _ORDER)},
        (
            Prepare("c1", NEARLY_NO_TIME),
            Fail("apply", "c"),
            Fail("revert", "a", 1),
            Unprepare("c1"),
            Unprepare("c1"),
            Prepare("c2"),
            Unprepare("c2"),
        ),
    ),
    Scenario(
        "recovery",
        {
            "c1": Ask(("dev-0",), plan("fleeting f", "thing s", "probed p", folder=True)),
            "c2": Ask(("dev-1",), plan("fleeting g")),
        },
        (
            Prepare("c1"),
            Prepare("c2"),
            Restart(),
            Prepare("c1"),
            Restart(boot=True),
            Prepare("c1"),
            Unprepare("c2"),
            Unprepare("c1"),
        ),
    ),
    Scenario(
        "handover",
        {"c1": Ask(("dev-0",), _SHARED), "c2": Ask(("dev-1",), _SHARED)},
        (
            Prepare("c1"),
            Handover(),
            Prepare("c2"),
            Handover(back=True),
            Unprepare("c2"),
            Handover(back=True),
            Handover(end=True),
            Unprepare("c1"),
        ),
    ),
    Scenario(
        "another allocation, the claim deleted",
        {"c1": Ask(("dev-0",), plan("thing {device}")), "c2": Ask(("dev-3",), plan("thing {device}"))},
        (
            Prepare("c1"),
            Reallocate("c1", Ask(("dev-1",), plan("thing {device}"))),
            Prepare("c1"),
            Prepare("c2"),
            Delete("c2"),
            Reconcile(),
            Unprepare("c1"),
        ),
    ),
    Scenario(
        "a plugin holds",
        {"c1": Ask(("dev-0",), plan("thing plugin", "thing x plugin"))},
        (Set("plugin-holds"), Restart(), Prepare("c1"), Restart(), Unprepare("c1")),
    ),
    Scenario(
        "no effects",
        {"c1": Ask(("dev-0", "dev-1")), "c2": Ask(("dev-0",), admin=True)},
        (Prepare("c1"), Prepare("c2"), Prepare("c1"), Unprepare("c1"), Unprepare("c2")),
    ),
)
