"""One look without a running driver: sessions open and close, nothing may be held."""

from __future__ import annotations

from typing import Any

from dracore import Device, Driver
from dracore.inventory import look
from dracore.plugins import Plugins


def test_what_each_driver_would_offer(plugin: Any) -> None:
    closed: list[str] = []
    plugins = Plugins.of(
        {
            "above": plugin(
                Driver("b.example.com", requires=("base",)),
                dra_discover=lambda ctx: [Device("b", facts={"base": ctx.session("base")})],
            ),
            "base": plugin(
                "a.example.com",
                dra_start=lambda ctx: f"{ctx.node} {ctx.settings}",
                dra_stop=lambda session: closed.append(session),
                dra_discover=lambda ctx: [Device("a"), Device("x")],
            ),
        },
        settings={"base": 3},
    )
    found = look(plugins, "n1", offered=lambda driver, device: device.name != "x")
    assert {driver: [d.name for d in one.pools[0].devices] for driver, one in found.items()} == {
        "a.example.com": ["a"],
        "b.example.com": ["b"],
    }
    assert found["b.example.com"].pools[0].devices[0].facts == {"base": "n1 3"}
    assert all(one.complete for one in found.values())
    assert closed == ["n1 3"]


def test_a_plugin_that_would_change_the_node_is_told_so(plugin: Any) -> None:
    class Mode:
        def preview(self) -> str:
            return "set a mode"

    plugins = Plugins.of({"p": plugin(dra_discover=lambda ctx: ctx.hold(Mode()))})
    (one,) = look(plugins, "n1").values()
    assert one.pools[0].devices == ()
    assert not one.complete
    assert "nothing may change while devices are only looked at (set a mode)" in str(one.problems[0])


def test_a_plugin_that_does_not_answer_in_time(plugin: Any) -> None:
    from dracore import NotYet

    plugins = Plugins.of({"p": plugin(dra_discover=lambda ctx: NotYet("still loading"))})
    (one,) = look(plugins, "n1", timeout=0.05).values()
    assert not one.complete
    assert one.pools == ()
    assert [str(problem) for problem in one.problems] == ["plugin p: still loading"]
