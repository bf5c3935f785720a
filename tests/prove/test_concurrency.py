"""Many claims at once, over few devices, from two instances of the driver on one folder."""

from __future__ import annotations

import random
import threading

import pytest

from dracore.errors import DeviceBusy, DracoreError, EffectConflict
from dracore.testing.crash import Ask, rules
from dracore.testing.crash.__main__ import ENGINE
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenarios import plan
from dracore.testing.crash.stand import Stand

THREADS, CLAIMS, GPUS = 16, 64, 8


class Counted(Points):
    """No list of points: there would be hundreds of thousands."""

    def __call__(self, point, detail=""):
        pass


def ask(number):
    """Every fourth claim wants another mode on the key that all share; all hold something of their own."""
    mode = {"kind": "thing", "name": "mode", "value": "b" if number % 4 == 0 else "a"}
    return Ask((f"dev-{number % GPUS}",), plan(mode, "pair {device} mode"))


@pytest.mark.timeout(300)
def test_64_claims_over_8_gpus_from_16_threads_of_two_instances(tmp_path):
    stands = [Stand(ENGINE, tmp_path, Counted()).start()]
    for number in range(CLAIMS):
        stands[0].cluster.put(f"c{number}", ask(number))
    before = stands[0].ground.observe()
    stands.append(Stand(ENGINE, tmp_path, Counted()).start())
    left = list(range(CLAIMS))
    random.Random(7).shuffle(left)
    taking = threading.Lock()
    wrong: list[str] = []
    refused = {"busy": 0, "conflict": 0}

    def serve(stand):
        while True:
            with taking:
                if not left:
                    return
                number = left.pop()
            uid = f"c{number}"
            ref = stand.cluster.ref(uid)
            try:
                answer = stand.engine.prepare(ref, KubeletCall(20.0, stand.points, stand.clock))
                again = stand.engine.prepare(ref, KubeletCall(20.0, stand.points, stand.clock))
                if again != answer:
                    wrong.append(f"{uid} got two answers")
                stand.engine.unprepare(ref, KubeletCall(20.0, stand.points, stand.clock))
            except (DeviceBusy, EffectConflict) as error:
                refused["busy" if isinstance(error, DeviceBusy) else "conflict"] += 1
                with taking:  # the kubelet asks again
                    left.insert(0, number)
            except DracoreError as error:
                wrong.append(f"{uid}: {error}")
            except Exception as error:
                wrong.append(f"{uid} met a defect: {error!r}")

    threads = [threading.Thread(target=serve, args=(stands[i % 2],)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not any(thread.is_alive() for thread in threads), "a call waits for ever"
    assert wrong == []
    assert left == []
    assert refused["busy"] + refused["conflict"] > 0, "nothing met anything"
    for stand in stands:
        assert stand.engine.drain() == []
        assert rules.check(stand) == []
    assert stands[0].ground.observe() == before
    assert stands[0].engine.records() == []
    for stand in stands:
        stand.engine.close()


def test_a_long_effect_does_not_block_claims_that_do_not_need_its_key(tmp_path, monkeypatch):
    from dracore.testing.crash import things

    stand = Stand(ENGINE, tmp_path, Counted()).start()
    stand.cluster.put("slow", Ask(("dev-0",), plan("thing slow")))
    stand.cluster.put("quick", Ask(("dev-1",), plan("thing quick")))
    stand.cluster.put("same", Ask(("dev-2",), plan("thing slow")))
    inside, go_on = threading.Event(), threading.Event()
    apply = things.Thing.apply

    def slow(self, node, before):
        if self.name == "slow":
            inside.set()
            assert go_on.wait(60)
        return apply(self, node, before)

    monkeypatch.setattr(things.Thing, "apply", slow)

    def prepare(uid, seconds):
        return stand.engine.prepare(stand.cluster.ref(uid), KubeletCall(seconds, stand.points, stand.clock))

    thread = threading.Thread(target=prepare, args=("slow", 60.0))
    thread.start()
    assert inside.wait(30)
    assert prepare("quick", 30.0)
    with pytest.raises(DracoreError, match="slow is being changed for claim claim-slow"):
        prepare("same", 2.2)  # says what it waits for, before its deadline
    go_on.set()
    thread.join(60)
    assert prepare("same", 30.0)
    for uid in ("slow", "quick", "same"):
        stand.engine.unprepare(stand.cluster.ref(uid), KubeletCall(30.0, stand.points, stand.clock))
    assert rules.check(stand) == []
    stand.engine.close()
