"""The scenarios of the engine's own matrix, on the plugin :mod:`dracore.testing.crash.things`."""

from __future__ import annotations

from typing import Any

from dracore.testing.crash.scenario import (
    Ask,
    Containers,
    Delete,
    Destroy,
    Drain,
    Fail,
    Handover,
    Late,
    Look,
    Outage,
    Prepare,
    Reallocate,
    Reconcile,
    Recreate,
    Restart,
    Scenario,
    Set,
    TurnClock,
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
        (Prepare("c1", NEARLY_NO_TIME, refused=True), Set("ready"), Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "a wait that ends well",
        {"c1": Ask(("dev-0",), _WAITS)},
        (Prepare("c1", comes="ready"), Unprepare("c1")),
    ),
    Scenario(
        "one claim after another on one effect",
        {"c1": Ask(("dev-0",), _SHARED), "c2": Ask(("dev-1",), _SHARED)},
        (Prepare("c1"), Unprepare("c1"), Prepare("c2"), Unprepare("c2")),
    ),
    Scenario(
        "prepare fails at its last effect",
        {"c1": Ask(("dev-0",), _ORDER)},
        (Fail("half", "c"), Prepare("c1", refused=True), Prepare("c1"), Unprepare("c1")),
    ),
    Scenario(
        "an unprepare whose revert fails twice",
        {"c1": Ask(("dev-0",), _ORDER)},
        (
            Prepare("c1"),
            Fail("revert", "b", 2),
            Unprepare("c1", refused=True),
            Unprepare("c1", refused=True),
            Unprepare("c1"),
        ),
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
            Prepare("c1", NEARLY_NO_TIME, refused=True),
            Fail("apply", "c"),
            Fail("revert", "a", 1),
            Unprepare("c1", refused=True),
            Unprepare("c1"),
            Prepare("c2", refused=True),
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
        {uid: Ask((f"dev-{i}",), _SHARED) for i, uid in enumerate(("c1", "c2", "c3"))},
        (
            Prepare("c1"),
            Prepare("c3"),
            Handover(),
            Prepare("c2"),
            Handover(back=True),
            Unprepare("c2"),
            Delete("c3"),
            Reconcile(),
            Handover(back=True),
            Handover(end=True),
            Reconcile(),
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
    Scenario(
        "a MINOR schema step up and down, both alive",
        {"c1": Ask(("dev-0",), _SHARED), "c2": Ask(("dev-1",), _SHARED)},
        (
            Prepare("c1"),
            Handover(minor=1),
            Prepare("c1"),
            Prepare("c2"),
            Handover(back=True),
            Unprepare("c2"),
            Prepare("c2"),
            Handover(back=True),
            Unprepare("c1"),
            Handover(end=True),
            Restart(),
            Prepare("c1"),
            Unprepare("c2"),
            Unprepare("c1"),
        ),
    ),
    Scenario(
        "a pod deleted by force, its containers run on",
        {"c1": Ask(("dev-0",), _SHARED), "c2": Ask(("dev-1",), _SHARED)},
        (
            Prepare("c1"),
            Prepare("c2"),
            Containers("c1"),
            Delete("c1"),
            Reallocate("c2", Ask(("dev-1",), _SHARED, reserved=False)),
            Look(0),
            Outage("kubelet"),
            Look(),
            Outage("kubelet", over=True),
            Outage("api"),
            Look(),
            Outage("api", over=True),
            Reallocate("c2", Ask(("dev-1",), _SHARED)),
            Look(),
            Containers("c1", run=False),
            Look(),
            Unprepare("c2"),
        ),
    ),
    Scenario(
        "a claim recreated under its name",
        {"c1": Ask(("dev-0",), plan("thing {device}", folder=True))},
        (
            Prepare("c1"),
            Containers("c1"),
            Recreate("c2", "c1", Ask(("dev-0",), plan("thing {device}", folder=True))),
            Prepare("c2", refused=True),
            Look(0),
            Look(),
            Containers("c1", run=False),
            Prepare("c1", refused=True),
            Look(),
            Prepare("c2"),
            Unprepare("c1"),
            Unprepare("c2"),
        ),
    ),
    Scenario(
        "drift",
        {"c1": Ask(("dev-0",), plan("thing a", "mended m")), "c2": Ask(("dev-1",), plan("thing a"))},
        (
            Prepare("c1"),
            Containers("c1"),
            Destroy("m"),
            Look(0),
            Destroy("a"),
            Look(0),
            Prepare("c2", refused=True),
            Restart(),
            Look(0),
            Containers("c1", run=False),
            Unprepare("c1"),
            Prepare("c2"),
            Unprepare("c2"),
        ),
    ),
    Scenario(
        "reboots, the devices renumbered",
        {
            "c1": Ask(("dev-0", "dev-1"), plan("fleeting {device}", "thing s", folder=True)),
            "c2": Ask(("dev-2",), plan("fleeting {device}", "thing s")),
        },
        (
            Prepare("c1"),
            Prepare("c2"),
            Containers("c1"),
            Restart(boot=True),
            Prepare("c1"),
            Delete("c2"),
            Look(0),
            Look(),
            Restart(boot=True),
            Prepare("c1"),
            Unprepare("c1"),
        ),
    ),
    Scenario(
        "prepares whose caller has gone",
        {"c1": Ask(("dev-0",), plan("thing a")), "c2": Ask(("dev-1",), _WAITS)},
        (
            Late("c1"),
            Prepare("c1"),
            Late("c1"),
            Late("c2", waiting=True),
            Set("ready"),
            Late("c2"),
            Prepare("c2"),
            Unprepare("c1"),
            Late("c1"),
            Reallocate("c2", Ask(("dev-2",), plan("thing b"))),
            Late("c2"),
            Unprepare("c2"),
        ),
    ),
    Scenario(
        "the clock jumps back",
        {"c1": Ask(("dev-0",), plan("thing a")), "c2": Ask(("dev-1",), plan("thing b"))},
        (
            Prepare("c1"),
            TurnClock(-86_400),
            Prepare("c2"),
            Delete("c1"),
            Look(0),
            TurnClock(-3_600),
            Look(),
            Restart(),
            Unprepare("c2"),
        ),
    ),
)

PROMISED = frozenset(
    {
        "one claim one device",
        "one claim three devices, ordered effects",
        "two claims share an effect",
        "a claim waits, is called again and completes",
        "prepare fails at its last effect",
        "an unprepare whose revert fails twice",
        "unprepare",
        "unprepare of a half-prepared claim",
        "recovery",
        "handover",
    }
)
"""Of which every point is tried with every fault, always; of the others so wherever time allows."""
