"""A state machine over everything that happens to claims, against a model of what must hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from dracore.errors import DracoreError
from dracore.testing.crash import Ask, rules
from dracore.testing.crash.__main__ import ENGINE
from dracore.testing.crash.cluster import KubeletCall, same_answer
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenarios import plan
from dracore.testing.crash.stand import Stand

WHOLE = bool(os.environ.get("DRACORE_PROVE"))
NAMES = st.sampled_from(["one", "two", "three"])
ASKS = st.builds(
    lambda devices, kind, shared, folder: Ask(
        tuple(devices),
        plan(
            *(["thing mode"] if shared else []),
            f"{kind} {{device}}" + (" mode" if shared else ""),
            folder=folder,
        ),
    ),
    st.lists(st.sampled_from(["dev-0", "dev-1", "dev-2"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(["thing", "fleeting", "probed", "pair"]),
    st.booleans(),
    st.booleans(),
)


class Died(BaseException):
    """The process ends here; nothing of the engine may catch it."""


class Deadly(Points):
    """Ends the process at a point, as far as that can be had within one."""

    def __call__(self, point, detail=""):
        number = len(self.seen)
        super().__call__(point, detail)
        if number == self.target:
            raise Died


class Node(RuleBasedStateMachine):
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.stands = []
        self.answers = {}  # the model: what the kubelet has an answer for; None: it was told that all is gone
        self.changed, self.lost, self.unknown = set(), set(), set()
        self.number = 0

    @initialize()
    def begin(self):
        self.start()

    def start(self):
        self.stands.insert(0, Stand(ENGINE, self.folder, Deadly()).start())
        for stand in self.stands:
            stand.cluster = self.stands[-1].cluster

    @property
    def stand(self):
        return self.stands[0]

    def call(self):
        return KubeletCall(20.0, self.stand.points, self.stand.clock)

    # --- what happens ---------------------------------------------------------------------------------

    @rule(target=claims, name=NAMES, ask=ASKS)
    def create(self, name, ask):
        """Also under the name of another, which is deleted: another uid."""
        self.number += 1
        uid = f"{name}-{self.number}"
        for old in self.stand.engine.kit.claims.named(name):
            self.delete(old)
        self.cluster_put(uid, replace(ask, name=name))
        self.prepare(uid)
        return uid

    def cluster_put(self, uid, ask):
        for stand in self.stands:
            stand.engine.kit.claims.put(uid, ask)

    @rule(uid=claims)
    def prepare(self, uid):
        try:
            answer = self.stand.engine.prepare(self.stand.cluster.ref(uid), self.call())
        except DracoreError:
            assert self.answers.get(uid) is None or uid in self.lost or uid in self.changed, (
                "no answer this time"
            )
            return
        known = self.answers.get(uid)
        if known is not None and uid not in self.changed:
            assert same_answer(known, answer), "another answer"
        self.changed.discard(uid)
        self.answers[uid] = [
            [list(r.requests), r.pool, r.device, list(r.cdi_ids), r.share_id] for r in answer
        ]

    @rule(uid=claims)
    def unprepare(self, uid):
        self.stand.engine.unprepare(self.stand.cluster.ref(uid), self.call())
        self.answers[uid] = None
        self.changed.discard(uid)

    @rule(uid=claims, ask=ASKS)
    def allocate_anew(self, uid, ask):
        if uid not in self.lost:
            self.cluster_put(uid, ask)
            self.changed.add(uid)

    @rule(uid=claims, value=st.sampled_from(["on", "off"]))
    def change_configuration(self, uid, value):
        """Other parameters for the same devices."""
        claims = self.stand.engine.kit.claims
        if uid in claims.claims and uid not in self.lost:
            devices = claims.allocated(uid)
            effect = {"kind": "thing", "name": "{device}", "value": value}
            self.cluster_put(uid, Ask(tuple(devices), plan(effect)))
            self.changed.add(uid)

    @rule(uid=claims)
    def delete(self, uid):
        for stand in self.stands:
            stand.engine.kit.claims.delete(uid)
        self.lost.add(uid)

    @rule(uid=claims, at=st.integers(0, 60), undo=st.booleans())
    def die(self, uid, at, undo):
        """The process dies in a call, if it comes that far; another one starts."""
        stand = self.stand
        stand.points.target = len(stand.points.seen) + at
        try:
            if undo:
                self.answers[uid] = None  # while an unprepare runs, nothing is promised
                self.unknown.add(uid)
                stand.engine.unprepare(stand.cluster.ref(uid), self.call())
                self.unknown.discard(uid)
            else:
                self.prepare(uid)
        except Died:
            stand.engine.close()
            self.stands.remove(stand)
            self.start()
        finally:
            stand.points.target = -1

    @rule()
    def restart(self):
        for stand in self.stands:
            stand.engine.close()
        self.stands.clear()
        self.start()

    @rule()
    def reboot(self):
        stand = self.stand
        for each in self.stands:
            each.engine.close()
        self.stands.clear()
        stand.cluster.reboot()
        stand.ground.reboot()
        shutil.rmtree(stand.cdi_folder, ignore_errors=True)
        # No container runs; claims that wait for their next prepare may be refused it.
        self.lost |= {uid for uid, answer in self.answers.items() if answer is not None}
        self.start()

    @rule()
    def second_instance(self):
        if len(self.stands) < 2:
            self.start()

    @rule()
    def the_other_instance(self):
        self.stands.reverse()

    @rule()
    def device_loss(self):
        for stand in self.stands:
            if (device := stand.inventory.pop("dev-2", None)) is not None:
                stand.gone = device

    @rule()
    def device_comes_back(self):
        for stand in self.stands:
            if getattr(stand, "gone", None) is not None:
                stand.inventory["dev-2"] = stand.gone

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong(self):
        if not self.stands:
            return
        self.stand.engine.drain()
        assert rules.check(self.stand, swept=False) == []
        known = {record.ref.uid: record for record in self.stand.engine.records()}
        for uid, answer in self.answers.items():
            if answer is None and uid not in self.unknown:
                assert uid not in known, "it was released"
            elif answer is not None and uid not in self.lost and uid not in self.changed:
                assert known[uid].state == "prepared"
        taken = [result.device for record in known.values() for result in record.answer]
        assert len(taken) == len(set(taken)), "one device for two claims"

    def teardown(self):
        if self.stands:
            for uid in {record.ref.uid for record in self.stand.engine.records()}:
                self.stand.engine.unprepare(self.stand.cluster.ref(uid), self.call())
            assert self.stand.ground.observe() == {}
            for stand in self.stands:
                stand.engine.close()
        shutil.rmtree(self.folder)


def run(examples, steps):
    run_state_machine_as_test(
        Node,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(500)
def test_a_node_and_its_claims():
    run(*((100, 30) if WHOLE else (8, 20)))


def test_it_finds_an_engine_without_its_overlap_guard(monkeypatch):
    from dracore.prepare import occupied

    monkeypatch.setattr(occupied, "guard", lambda tx, uid, results: None)
    with pytest.raises(AssertionError, match="alone: claims"):
        run(30, 20)
