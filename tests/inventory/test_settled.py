"""What a plugin held before its start and not again is reverted after its first whole discovery."""

from typing import Any

from dracore import Device, NotYet
from dracore.inventory.runner import Times
from dracore.testing.waiting import until


def test_not_before_it_has_discovered(bench: Any, plugin: Any) -> None:
    """It may hold in there, too; and where it offers nothing yet, nobody knows what it will hold."""
    answers: list[Any] = [OSError("it fails"), NotYet("the driver is loading")]
    settling = []

    def dra_discover(ctx: Any) -> Any:
        settling.append(list(bench.contexts.settling))
        answer = answers.pop(0) if answers else [Device("a")]
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench.run({"p": plugin(dra_discover=dra_discover)})
    assert settling[:3] == [[], [], []]
    until(lambda: bench.contexts.settling)


def test_what_was_discovered_before_it_is_discovered_again(bench: Any, plugin: Any) -> None:
    """It saw the node with what is reverted now: that is never told."""
    told = []

    def dra_discover(ctx: Any) -> Any:
        return [Device("after" if bench.contexts.settling else "before")]

    bench.contexts.left_over["p"] = True
    inventory = bench.make({"p": plugin(dra_discover=dra_discover)}, times=Times(interval=3600, gap=0.0))
    inventory.subscribe(lambda pools: told.extend(d.name for pool in pools for d in pool.devices))
    inventory.start()
    assert inventory.wait_ready(10)
    until(lambda: told)
    assert set(told) == {"after"}
