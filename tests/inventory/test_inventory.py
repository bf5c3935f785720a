"""Discovery, merging, shaping, health, loss and life of one driver's devices."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from dracore import (
    Check,
    CounterSet,
    Device,
    Discovery,
    Driver,
    Health,
    NotYet,
    Quantity,
    Taint,
)
from dracore.errors import SelectorError
from dracore.inventory.runner import Times
from dracore.testing.waiting import until

DRIVER = "gpu.example.com"


def names(inventory: Any) -> list[str]:
    return [device.name for pool in inventory.pools() for device in pool.devices]


def device(inventory: Any, name: str) -> Device:
    return next(d for pool in inventory.pools() for d in pool.devices if d.name == name)


def problems(inventory: Any) -> list[str]:
    return [str(problem) for problem in inventory.problems()]


class Found:
    """A discovery whose answer the test changes."""

    def __init__(self, *names: str) -> None:
        self.answer: Any = [Device(name) for name in names]
        self.calls = 0

    def __call__(self, ctx: Any) -> Any:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_devices_of_all_plugins_in_their_order(bench: Any, plugin: Any) -> None:
    inventory = bench.run(
        {
            "b": plugin(Driver(DRIVER, requires=("c",)), dra_discover=Found("z", "a")),
            "a": plugin(dra_discover=Found("m")),
            "c": plugin(dra_discover=Found("x")),
        }
    )
    (pool,) = inventory.pools()
    assert (pool.driver, pool.name) == (DRIVER, "node-1")
    assert names(inventory) == ["x", "z", "a", "m"]
    assert inventory.find("node-1", "a") == (Device("a"), "b")
    assert inventory.find("node-1", "nothing") is None
    assert inventory.find("other", "a") is None
    assert inventory.identified("m") == (Device("m"), "a")
    assert [status.state for status in inventory.status()] == ["running"] * 3


def test_an_empty_answer_is_an_empty_pool_and_not_yet_is_none(bench: Any, plugin: Any) -> None:
    late = Found()
    late.answer = NotYet("the driver is loading")
    inventory = bench.make({"a": plugin(dra_discover=Found()), "b": plugin(dra_discover=late)})
    inventory.start()
    until(lambda: late.calls >= 3)
    assert not inventory.ready()
    assert inventory.pools() == []
    assert problems(inventory) == ["plugin b: the driver is loading"]
    late.answer = []
    assert inventory.wait_ready(10)
    assert [(pool.name, pool.devices) for pool in inventory.pools()] == [("node-1", ())]
    assert problems(inventory) == []


def test_a_failing_plugin_keeps_its_last_good_devices_and_loses_no_others(bench: Any, plugin: Any) -> None:
    good, bad = Found("g"), Found("b")
    inventory = bench.run({"good": plugin(dra_discover=good), "bad": plugin(dra_discover=bad)})
    assert names(inventory) == ["g", "b"]
    bad.answer = RuntimeError("bus error")
    good.answer = [Device("g"), Device("h")]
    inventory.rescan()
    until(lambda: names(inventory) == ["g", "h", "b"] and problems(inventory))
    assert problems(inventory)[0].startswith("plugin bad, hook dra_discover: RuntimeError: bus error")
    assert [status.state for status in inventory.status()] == ["running", "failed"]
    bad.answer = [Device("c")]
    until(lambda: names(inventory) == ["g", "h", "c"])
    assert problems(inventory) == []


def test_a_plugin_that_only_fails_does_not_hold_the_pool_back(bench: Any, plugin: Any) -> None:
    bad = Found()
    bad.answer = RuntimeError("no hardware")
    bench.prepared = [("bad", "node-1", "b")]
    inventory = bench.run({"good": plugin(dra_discover=Found("g")), "bad": plugin(dra_discover=bad)})
    assert names(inventory) == ["g"]
    until(lambda: bench.reports.events)
    # It has not said that a device is gone, so none is called lost; nor may a claim be told so.
    assert inventory.lost() == []
    assert [reason for reason, _ in bench.reports.events] == ["PluginFailed"]
    assert inventory.ready()
    assert not inventory.complete()


def test_a_failure_right_after_a_start_withdraws_nothing(bench: Any, plugin: Any) -> None:
    offered: list[list[str]] = []
    attempts: list[int] = []

    def start(ctx: Any) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("the killed process still has the device open")

    bench.prepared = [("p", "node-1", "a")]
    inventory = bench.make({"p": plugin(dra_discover=Found("a", "b"), dra_start=start)})
    inventory.subscribe(lambda pools: offered.append([d.name for pool in pools for d in pool.devices]))
    inventory.start()
    assert inventory.wait_ready(20)
    assert offered == [["a", "b"]]
    assert inventory.complete()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "dra_discover returned None; return a list"),
        ([3], "dra_discover returned 3 among the devices"),
        ("abc", "dra_discover returned 'abc' as devices"),
        ([Device(5)], "dra_discover returned 5 as name among the devices; give a str"),  # type: ignore[arg-type]
        ([Device("a", pool=5)], "dra_discover returned 5 as pool among the devices"),  # type: ignore[arg-type]
        ([Device("a", taints=5)], "dra_discover returned 5 as taints"),  # type: ignore[arg-type]
        (Discovery(5), "dra_discover returned 5 as devices"),  # type: ignore[arg-type]
        (Discovery((), (Device("a"),)), "among the counter sets; give CounterSet"),  # type: ignore[arg-type]
        (Discovery(problems="x"), "dra_discover returned 'x' as problems"),  # type: ignore[arg-type]
    ],
)
def test_answers_that_are_none(bench: Any, plugin: Any, answer: Any, message: str) -> None:
    found = Found()
    found.answer = answer
    inventory = bench.run({"a": plugin(dra_discover=found)})
    assert message in problems(inventory)[0]


def test_starting_is_tried_again_and_requirements_start_first(bench: Any, plugin: Any) -> None:
    attempts: list[str] = []

    def start(ctx: Any) -> str:
        attempts.append("base")
        if len(attempts) < 4:
            raise RuntimeError("the driver is not loaded")
        return "open"

    def start_above(ctx: Any) -> str:
        return ctx.session("base") + " and above"

    def discover_above(ctx: Any) -> list[Device]:
        return [Device("d", facts={"session": ctx.session()})]

    inventory = bench.make(
        {
            "above": plugin(
                Driver(DRIVER, requires=("base",)), dra_start=start_above, dra_discover=discover_above
            ),
            "base": plugin(dra_start=start),
        }
    )
    inventory.start()
    until(lambda: names(inventory) == ["d"])
    assert len(attempts) == 4
    assert bench.contexts.started == ["base", "above"]
    assert device(inventory, "d").facts == {"session": "open and above"}
    assert inventory.session("base") == "open"
    assert inventory.session("unknown") is None


def test_a_requirement_of_another_driver_is_awaited(bench: Any, plugin: Any) -> None:
    there = threading.Event()
    plugins = {
        "far": plugin("other.example.com"),
        "near": plugin(Driver(DRIVER, requires=("far",)), dra_discover=Found("n")),
    }
    inventory = bench.make(plugins, elsewhere=lambda name: name == "far" and there.is_set())
    inventory.start()
    assert not inventory.wait_ready(0.05)
    assert inventory.status()[0].state == "waiting"
    there.set()
    until(lambda: names(inventory) == ["n"])


def test_stop_closes_sessions_in_reverse_and_keeps_the_view(bench: Any, plugin: Any) -> None:
    calls: list[str] = []

    def named(name: str) -> dict[str, Any]:
        def dra_start(ctx: Any) -> str:
            return f"session of {name}"

        def dra_stop(ctx: Any, session: Any) -> None:
            calls.append(f"stop {session}")
            raise RuntimeError("ignored")

        def dra_watch(ctx: Any, changed: Any) -> Any:
            return lambda: calls.append(f"unwatch {name}")

        return {"dra_start": dra_start, "dra_stop": dra_stop, "dra_watch": dra_watch}

    inventory = bench.run({"a": plugin(dra_discover=Found("x"), **named("a")), "b": plugin(**named("b"))})
    inventory.stop()
    assert calls == ["unwatch b", "stop session of b", "unwatch a", "stop session of a"]
    assert names(inventory) == ["x"]
    assert inventory.session("a") is None
    inventory.stop()
    assert len(calls) == 4


def test_watchers_are_heard_and_many_calls_make_few_discoveries(bench: Any, plugin: Any) -> None:
    found, changed = Found("a"), []

    def dra_watch(ctx: Any, changed: Any, keep: Any = changed) -> None:
        keep.append(changed)

    inventory = bench.run(
        {"p": plugin(dra_discover=found, dra_watch=dra_watch)}, times=Times(interval=3600, gap=0.05)
    )
    until(lambda: changed)
    found.answer = [Device("b")]
    before = found.calls
    for _ in range(100):
        changed[0]()
    until(lambda: names(inventory) == ["b"])
    assert found.calls - before <= 3


def test_discovery_repeats_on_the_interval(bench: Any, plugin: Any) -> None:
    found = Found("a")
    bench.run({"p": plugin(dra_discover=found)}, times=Times(interval=0.001, gap=0.0))
    until(lambda: found.calls > 3)


def test_a_hook_that_hangs_holds_up_no_other_plugin(bench: Any, plugin: Any) -> None:
    go = threading.Event()
    found = Found("a")

    def hang(ctx: Any) -> list[Device]:
        go.wait(20)
        return [Device("h")]

    inventory = bench.make({"p": plugin(dra_discover=found), "q": plugin(dra_discover=hang)})
    inventory.start()
    until(lambda: inventory.find("node-1", "a"))
    until(lambda: [status.state for status in inventory.status()] == ["running", "discovering"])
    assert not inventory.ready()
    go.set()
    until(lambda: names(inventory) == ["a", "h"])


def test_names_that_cannot_be_published_and_duplicates(bench: Any, plugin: Any) -> None:
    odd = Found()
    odd.answer = [Device("Eth0"), Device("x"), Device("y", pool="Bad Pool"), Device("z", pool="fabric")]
    inventory = bench.run({"a": plugin(dra_discover=Found("x")), "b": plugin(dra_discover=odd)})
    assert [(pool.name, [d.name for d in pool.devices]) for pool in inventory.pools()] == [
        ("node-1", ["x"]),
        ("fabric", ["z"]),
    ]
    assert inventory.find("node-1", "x") == (Device("x"), "a")
    texts = problems(inventory)
    assert "plugin b: device 'Eth0' is withheld: a name is a lower-case DNS label" in texts[0]
    assert texts[1] == "plugin b: device x is withheld: plugin a has a device of that name in pool node-1"
    assert texts[2] == "plugin b: device y is withheld: 'Bad Pool' is no pool name"


def test_counter_sets_are_merged(bench: Any, plugin: Any) -> None:
    one = CounterSet("gpu-0", {"slices": Quantity.parse(7)})
    two = CounterSet("gpu-1", {"slices": Quantity.parse(7)})
    other = CounterSet("gpu-0", {"slices": Quantity.parse(6)})
    inventory = bench.run(
        {
            "a": plugin(
                dra_discover=lambda ctx: Discovery(counter_sets=(one,), problems=("gpu-3 is silent",))
            ),
            "b": plugin(dra_discover=lambda ctx: Discovery(counter_sets=(one, two))),
            "c": plugin(dra_discover=lambda ctx: Discovery(counter_sets=(other,))),
        }
    )
    assert inventory.pools()[0].counter_sets == (one, two)
    assert problems(inventory) == [
        "plugin a: gpu-3 is silent",
        "plugin c: counter set gpu-0 is left out: plugin a has another of that name",
    ]


def test_shapes_are_a_chain_over_every_plugins_devices(bench: Any, plugin: Any) -> None:
    def rack(ctx: Any, device: Device) -> Device | None:
        if device.name == "hidden":
            return None
        return replace(device, attributes={**device.attributes, "rack": "r1"})

    def second(ctx: Any, device: Device) -> Any:
        if device.name == "broken":
            raise RuntimeError("no")
        if device.name == "renamed":
            return Device("other")
        return replace(device, attributes={**device.attributes, "seen": device.attributes["rack"]})

    inventory = bench.run(
        {
            "devices": plugin(dra_discover=Found("a", "hidden", "broken", "renamed")),
            "rack": plugin(dra_shape=rack),
            "second": plugin(dra_shape=second),
        }
    )
    assert names(inventory) == ["a", "broken", "renamed"]
    assert device(inventory, "a").attributes == {"rack": "r1", "seen": "r1"}
    assert device(inventory, "broken").attributes == {"rack": "r1"}
    assert device(inventory, "renamed").attributes == {"rack": "r1"}
    assert inventory.find("node-1", "hidden") is None
    assert any(
        "device broken is not shaped: plugin second, hook dra_shape" in text for text in problems(inventory)
    )
    assert any(
        "device renamed is not shaped: dra_shape must return it" in text for text in problems(inventory)
    )


def test_the_filter_holds_devices_back_and_finds_them_all_the_same(bench: Any, plugin: Any) -> None:
    def offered(driver: str, device: Device) -> bool:
        if device.name == "odd":
            raise SelectorError("no such key")
        return device.name != "b"

    inventory = bench.run({"p": plugin(dra_discover=Found("a", "b", "odd"))}, offered=offered)
    assert names(inventory) == ["a"]
    assert inventory.find("node-1", "b") == (Device("b"), "p")
    assert problems(inventory) == ["plugin p: device odd is withheld: filter: no such key"]
    inventory.refilter(None)
    assert names(inventory) == ["a", "b", "odd"]


def test_a_device_that_vanishes_while_prepared_stays_with_a_taint(bench: Any, plugin: Any) -> None:
    found = Found()
    found.answer = [Device("a", attributes={"model": "x"}), Device("b")]
    inventory = bench.run({"p": plugin(dra_discover=found)})
    bench.prepared = [("p", "node-1", "a")]
    found.answer = []
    inventory.rescan()
    until(lambda: names(inventory) == ["a"])
    lost = device(inventory, "a")
    assert lost.attributes == {"model": "x"}
    (taint,) = lost.taints
    assert (taint.key, taint.effect) == (f"{DRIVER}/device-lost", "NoSchedule")
    assert taint.time_added
    assert inventory.lost() == [("node-1", "a")]
    until(lambda: bench.reports.events)
    assert bench.reports.events == [("DeviceLost", "device node-1/a is gone while a claim has it prepared")]
    # The same taint, not a new one at each look; nothing is said twice.
    offered = inventory.pools()
    inventory.refresh()
    assert inventory.pools() == offered
    assert len(bench.reports.events) == 1
    bench.prepared = []
    inventory.refresh()
    assert names(inventory) == []
    assert inventory.lost() == []


def test_a_lost_device_that_comes_back_has_no_taint(bench: Any, plugin: Any) -> None:
    found = Found("a")
    inventory = bench.run({"p": plugin(dra_discover=found)})
    bench.prepared = [("p", "node-1", "a")]
    found.answer = []
    inventory.rescan()
    until(inventory.lost)
    found.answer = [Device("a")]
    inventory.rescan()
    until(lambda: not inventory.lost())
    assert device(inventory, "a").taints == ()


def test_what_was_prepared_and_lost_before_a_restart_is_known_by_name(bench: Any, plugin: Any) -> None:
    bench.prepared = [("p", "node-1", "gone"), ("disabled", "node-1", "drained")]
    inventory = bench.run({"p": plugin(dra_discover=Found("a"))})
    assert names(inventory) == ["a", "gone"]
    assert device(inventory, "gone").taints[0].effect == "NoSchedule"


def test_not_yet_after_an_answer_offers_only_what_is_prepared(bench: Any, plugin: Any) -> None:
    found = Found("a", "b")
    inventory = bench.run({"p": plugin(dra_discover=found)})
    bench.prepared = [("p", "node-1", "a")]
    found.answer = NotYet("reloading")
    inventory.rescan()
    until(lambda: names(inventory) == ["a"])
    assert device(inventory, "a").taints == ()
    assert inventory.lost() == []


def test_taints_of_health_survive_a_restart_until_the_device_is_healthy(bench: Any, plugin: Any) -> None:
    reports: list[Health] = [
        Health("a", "Unhealthy", "xid 79", "example.com/xid", "NoExecute", "79"),
        Health("b", "Healthy"),
    ]
    sick = plugin(dra_discover=Found("a", "b"), dra_health=lambda ctx: list(reports))
    first = bench.run({"p": sick})
    (taint,) = device(first, "a").taints
    assert (taint.key, taint.effect, taint.value) == ("example.com/xid", "NoExecute", "79")
    assert device(first, "b").taints == ()
    assert [(name, entry.device) for name, entry in first.health()] == [("p", "a"), ("p", "b")]
    first.stop()
    reports[:] = []
    second = bench.run({"p": sick})
    assert device(second, "a").taints == (taint,)
    reports[:] = [Health("a", "Healthy")]
    second.rescan()
    until(lambda: device(second, "a").taints == ())


def test_one_taint_of_several_ends_alone(bench: Any, plugin: Any) -> None:
    said = [
        Health("a", "Unhealthy", taint_key="x/hot"),
        Health("a", "Unhealthy", taint_key="x/xid", taint_effect="NoExecute"),
    ]
    inventory = bench.run({"p": plugin(dra_discover=Found("a"), dra_health=lambda ctx: list(said))})

    def taints() -> list[str]:
        return sorted(taint.key for taint in device(inventory, "a").taints)

    assert taints() == ["x/hot", "x/xid"]
    said[0] = Health("a", "Healthy", taint_key="x/hot")
    inventory.rescan()
    until(lambda: taints() == ["x/xid"])
    said[:] = [Health("a", "Healthy")]
    inventory.rescan()
    until(lambda: taints() == [])


def test_an_answer_that_cannot_be_merged_is_not_called_running(bench: Any, plugin: Any) -> None:
    found = Found("a")
    inventory = bench.run({"p": plugin(dra_discover=found)})
    found.answer = [Device("b", taints=(5,)), Device("b")]  # type: ignore[arg-type]
    bench.health.store("p", "b", Taint("k/x", "NoSchedule"))
    inventory.rescan()
    until(lambda: [status.state for status in inventory.status()] == ["failed"])
    assert "the answer is not used" in problems(inventory)[0]
    assert names(inventory) == ["a"]
    found.answer = [Device("b")]
    inventory.rescan()
    until(lambda: names(inventory) == ["b"])
    assert problems(inventory) == []


def test_a_failing_health_hook_loses_no_device(bench: Any, plugin: Any) -> None:
    inventory = bench.run({"p": plugin(dra_discover=Found("a"), dra_health=lambda ctx: 1 / 0)})
    assert names(inventory) == ["a"]
    assert "hook dra_health: ZeroDivisionError" in problems(inventory)[0]
    other = bench.run({"p": plugin(dra_discover=Found("b"), dra_health=lambda ctx: [5])})
    assert names(other) == ["b"]
    assert problems(other) == ["plugin p: dra_health returned 5; return Health"]


@pytest.mark.parametrize(("key", "value"), [("Bad Key!", ""), ("a/b/c", ""), ("sick", "not a value")])
def test_a_taint_that_could_not_be_published_is_the_plugins_error(
    bench: Any, plugin: Any, key: str, value: str
) -> None:
    """It would be kept over restarts, and withhold its device for as long."""
    sick = Health("a", "Unhealthy", "hot", taint_key=key, taint_value=value)
    inventory = bench.run({"p": plugin(dra_discover=Found("a"), dra_health=lambda ctx: [sick])})
    (problem,) = problems(inventory)
    assert problem.startswith("plugin p: dra_health returned the taint ")
    assert "which is no label" in problem
    assert bench.health.all() == []


def test_a_taint_of_the_plugins_own_is_kept(bench: Any, plugin: Any) -> None:
    tainted = Device("a", taints=(Taint("gpu.example.com/gpu-lost", "NoSchedule"),))
    inventory = bench.run({"p": plugin(dra_discover=lambda ctx: [tainted])})
    assert device(inventory, "a") == tainted
    assert inventory.lost() == []


def test_a_taint_on_a_prepared_device_is_an_event(bench: Any, plugin: Any) -> None:
    found = Found("a", "b")
    inventory = bench.run({"p": plugin(dra_discover=found)})
    bench.prepared = [("p", "node-1", "a")]
    soft, hard = Taint("x.io/warm", "None"), Taint("gpu.example.com/gpu-lost", "NoSchedule")
    found.answer = [Device("a", taints=(soft, hard)), Device("b", taints=(hard,))]
    inventory.rescan()
    until(lambda: device(inventory, "a").taints)
    inventory.refresh()
    text = "device node-1/a has the taint gpu.example.com/gpu-lost:NoSchedule while a claim has it prepared"
    assert bench.reports.events == [("DeviceTainted", text)]


def test_a_subscriber_that_fails_ends_nothing(bench: Any, plugin: Any) -> None:
    found = Found("a")
    inventory = bench.make({"p": plugin(dra_discover=found)})
    inventory.subscribe(lambda pools: 1 / 0)
    inventory.start()
    until(lambda: names(inventory) == ["a"])
    found.answer = [Device("b")]
    inventory.rescan()
    until(lambda: names(inventory) == ["b"])


def test_subscribers_get_the_pools_now_and_each_change(bench: Any, plugin: Any) -> None:
    found = Found("a")
    inventory = bench.make({"p": plugin(dra_discover=found)})
    early: list[list[str]] = []
    inventory.subscribe(lambda pools: early.append([d.name for pool in pools for d in pool.devices]))
    assert early == []
    inventory.start()
    assert inventory.wait_ready(10)
    late: list[Any] = []
    end = inventory.subscribe(late.append)
    assert [pool.name for pool in late[0]] == ["node-1"]
    end()
    calls = found.calls
    inventory.rescan()
    until(lambda: found.calls > calls)
    found.answer = [Device("a"), Device("b")]
    inventory.rescan()
    until(lambda: early == [["a"], ["a", "b"]])
    assert len(late) == 1


def test_preflight_asks_every_plugin(bench: Any, plugin: Any) -> None:
    inventory = bench.run(
        {
            "a": plugin(dra_preflight=lambda ctx: [Check("driver", ok=True)]),
            "b": plugin(dra_preflight=lambda ctx: 1 / 0),
            "c": plugin(),
        }
    )
    checks = inventory.preflight()
    assert [(name, check.name, check.ok) for name, check in checks] == [
        ("a", "driver", True),
        ("b", "preflight", False),
    ]
    assert "ZeroDivisionError" in checks[1][1].message


def test_a_plugin_names_the_taint_of_its_lost_devices(bench: Any, plugin: Any) -> None:
    found = Found("a")
    inventory = bench.run(
        {"p": plugin(dra_driver=lambda: Driver(DRIVER, lost_taint=f"{DRIVER}/gone"), dra_discover=found)}
    )
    bench.prepared = [("p", "node-1", "a")]
    found.answer = []
    inventory.rescan()
    until(lambda: inventory.lost() == [("node-1", "a")])
    assert [taint.key for taint in device(inventory, "a").taints] == [f"{DRIVER}/gone"]


def test_a_device_whose_effect_was_undone_is_unhealthy_and_tainted(bench: Any, plugin: Any) -> None:
    drifted: dict[tuple[str, str], str] = {("node-1", "a"): "mode was undone", ("node-1", "gone"): "x"}
    bench.prepared = [("p", "node-1", "a")]
    inventory = bench.run({"p": plugin(dra_discover=Found("a", "b"))}, drifted=lambda: drifted)
    (taint,) = device(inventory, "a").taints
    assert (taint.key, taint.effect) == (f"{DRIVER}/drift", "NoSchedule")
    assert device(inventory, "b").taints == ()
    assert ("p", Health("a", "Unhealthy", "mode was undone")) in inventory.health()
    assert inventory.drifted() == drifted
    assert [reason for reason, _ in bench.reports.events] == ["DeviceTainted"]
    drifted.clear()
    inventory.refresh()
    assert device(inventory, "a").taints == ()
    assert inventory.health() == []


def test_failures_and_problems_are_events_once(bench: Any, plugin: Any) -> None:
    found = Found()
    found.answer = Discovery((Device("a"),), problems=("gpu 3 does not answer",))
    inventory = bench.run({"p": plugin(dra_discover=found)})
    found.answer = RuntimeError("bus error")
    calls = found.calls
    inventory.rescan()
    until(lambda: found.calls > calls + 2)
    found.answer = Discovery((Device("a"),), problems=("gpu 3 does not answer",))
    until(lambda: [status.state for status in inventory.status()] == ["running"])
    until(lambda: len(bench.reports.events) >= 3)
    assert [reason for reason, _ in bench.reports.events] == [
        "DiscoveryProblem",
        "PluginFailed",
        "PluginRecovered",
    ]
    assert bench.reports.events[0][1] == "plugin p: gpu 3 does not answer"
    assert bench.reports.events[1][1].startswith("plugin p, hook dra_discover: RuntimeError: bus error")
