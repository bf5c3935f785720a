"""The publisher in lockstep: hypothesis decides, at every request, what the watch brings and who meddles.

No thread, no socket and no clock of the machine takes part. A request goes straight into the registry of an
embedded server; before and after it, events are delivered, others write, answers get lost, the watch is cut.
What comes out is the same for the same schedule, so that a failure here can be played again.
"""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dracore.errors import Unreachable
from dracore.kube.client import Page
from dracore.kube.status import error_of
from dracore.model.device import Device, Pool
from dracore.publish import pack
from dracore.publish.publisher import Publisher
from dracore.testing.apiserver import EmbeddedAPI
from dracore.testing.apiserver.decode import decode
from dracore.testing.apiserver.registry import Write
from dracore.testing.apiserver.resources import find
from dracore.testing.apiserver.status import StatusError

DRIVER, NODE = "d.example.com", "node-1"
SLICES = find("resourceslices")
SOON = 15.0
"""Seconds of the test's clock within which a pool must be right again."""


def copied(value):
    return json.loads(json.dumps(value))


class Client:
    """What the publisher needs of a KubeClient; `between` is called before and after each request."""

    def __init__(self, server, between):
        self._server = server
        self._between = between

    def _ask(self, resource, verb, *args, **options):
        lost = self._between(f"before {verb}")
        try:
            answer = getattr(self._server.registry, verb)(resource, *args, **options)
        except StatusError as error:
            self._between(f"after {verb}")
            raise error_of(error.code, error.body.get("reason"), str(error), verb) from error
        self._between(f"after {verb}")
        if lost:
            raise Unreachable("the answer was lost", where=verb)
        return copied(answer)

    def get(self, path, *, timeout=0):
        kind, name = path.split("/")[-2:]
        return self._ask(SLICES if kind == "resourceslices" else find("nodes", ""), "get", "", name)

    def create(self, path, body, *, timeout=0):
        return self._ask(SLICES, "create", "", decode(copied(body), SLICES.shape), Write())

    def update(self, path, body, *, timeout=0):
        name = path.rpartition("/")[2]
        return self._ask(SLICES, "update", "", name, decode(copied(body), SLICES.shape), Write())

    def delete(self, path, *, uid="", resource_version="", timeout=0):
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options = {"preconditions": {name: value for name, value in preconditions.items() if value}}
        return self._ask(SLICES, "delete", "", path.rpartition("/")[2], options, dry_run=False)

    def page(self, path, *, params=None, limit=0, token="", timeout=0):
        items = [copied(obj) for obj in self._server.list("resourceslices")]
        return Page(items, str(self._server.store.version), "")

    def server_version(self, *, timeout=0):
        return {"gitVersion": "v1.37.0"}


class Lockstep:
    """One publisher, its server and a schedule that says what happens in between.

    Each number of the schedule is one thing that happens at the next point where something can: 0 nothing
    more here, 1 the watch brings one event, 2 the next step of `others`, 3 the answer of the request at hand
    gets lost, 4 the watch breaks off and the slices are listed again. After its end everything is in order.
    """

    def __init__(self, schedule, others=()):
        self.now = 1000.0
        self.server = EmbeddedAPI()
        self.server.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        self.schedule = list(schedule)
        self.others = iter(others)
        self.seen = []
        """What a consumer took the pool to be, at each change on the server."""
        self.trace = []
        self._delivered = self.server.store.version
        self._at_rest = True
        client = Client(self.server, self._between)
        self.publisher = Publisher(client, DRIVER, NODE, clock=lambda: self.now)
        self._relist()
        self.publisher._reflector.synced.set()

    # --- what happens ---------------------------------------------------------------------------------

    def _between(self, where):
        self.seen.append(consumed(self.slices()))
        self.trace.append(where)
        lost = False
        while self.schedule and not self._at_rest:
            match self.schedule.pop(0):
                case 0:
                    break
                case 1:
                    self._deliver()
                case 2:
                    self._meddle()
                case 3:
                    lost = where.startswith("before")
                case 4:
                    self._relist()
        return lost

    def _deliver(self):
        changes = self.server.store.since("resourceslices", self._delivered)
        if changes:
            self._delivered = changes[0].version
            self.publisher._reflector._apply({"type": changes[0].type, "object": copied(changes[0].object)})
        return bool(changes)

    def _relist(self):
        self._delivered = self.server.store.version
        self.publisher._reflector._list()

    def _meddle(self):
        step = next(self.others, None)
        if step is not None:
            self.trace.append(step.__name__)
            step(self)
            self.seen.append(consumed(self.slices()))
        return step is not None

    # --- the worker -----------------------------------------------------------------------------------

    def work(self, until):
        """Does what is due until then, with everything that the schedule puts in between."""
        for _ in range(500):
            while self._at_rest and self._deliver():
                pass
            if (key := self.publisher._queue.get(0)) is None:
                due = self.publisher._queue._next_due()
                if due is None or due > until:
                    return
                self.now = max(self.now, due)
                self._between("a while")
                continue
            self.publisher._work(key)
            self.publisher._queue.done(key)
        pytest.fail(f"500 pieces of work and no end: {self.trace[-40:]}")

    def disturbed(self):
        """Runs the schedule and all steps of the others."""
        self._at_rest = False
        self.work(self.now + 1.0)
        while self._meddle():
            self.work(self.now + 1.0)
        self._at_rest = True

    def rest(self):
        """The watch is current and nobody meddles any more."""
        self.work(self.now + SOON)
        assert not self._deliver()

    # --- looking --------------------------------------------------------------------------------------

    def update(self, devices):
        self.publisher.update([Pool(DRIVER, NODE, tuple(devices))])

    def slices(self):
        return self.server.list("resourceslices")

    def check_whole(self, devices):
        problem = (self.trace, [(obj["metadata"]["name"], obj["spec"]["pool"]) for obj in self.slices()])
        assert consumed(self.slices()) == described(devices), problem
        assert len({obj["spec"]["pool"]["generation"] for obj in self.slices()}) == 1, problem
        assert self.publisher.status().degradations == (), problem


def consumed(objects):
    """The devices as a scheduler takes them: those of the highest generation, once all of them are there."""
    newest = max((obj["spec"]["pool"]["generation"] for obj in objects), default=0)
    current = [obj["spec"] for obj in objects if obj["spec"]["pool"]["generation"] == newest]
    if not current or any(spec["pool"]["resourceSliceCount"] != len(current) for spec in current):
        return None
    found = [device for spec in current for device in spec.get("devices") or ()]
    if len({device["name"] for device in found}) < len(found):
        return None
    return {device["name"]: device.get("attributes", {}).get("step", {}).get("int") for device in found}


def described(devices):
    return {device.name: device.attributes.get("step") for device in devices}


@pytest.fixture(autouse=True)
def _two_devices_a_slice(monkeypatch):
    monkeypatch.setattr(pack, "DEVICES_PER_SLICE", 2)


schedules = st.lists(st.integers(0, 4), max_size=60)
lockstep = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# --- others write ---------------------------------------------------------------------------------------


def edit(verb, number):
    """An edit in two steps, as a client makes it: it reads, and somewhat later writes what it has read."""
    read = []

    def reads(run):
        objects = run.slices()
        read.extend([objects[number % len(objects)]] if objects else [])

    def writes(run):
        for obj in read:
            spec, name = obj["spec"], obj["metadata"]["name"]
            pool = spec["pool"]
            changes = {
                "empty": {"devices": []},
                "generation": {"pool": {**pool, "generation": pool["generation"] + number + 1}},
                "count": {"pool": {**pool, "resourceSliceCount": number + 1}},
            }
            try:
                if verb == "delete":
                    run.server.delete("resourceslices", name)
                elif verb in changes:
                    run.server.update({**obj, "spec": {**spec, **changes[verb]}})
                else:
                    prefix = obj["metadata"]["generateName"] if verb == "copy" else "zz-"
                    run.server.create({**obj, "metadata": {"generateName": prefix}})
            except StatusError as error:
                if error.code not in (404, 409):  # the publisher was quicker
                    raise

    return [reads, writes]


verbs = st.sampled_from(["delete", "empty", "generation", "count", "copy", "rename"])
edits = st.lists(st.tuples(verbs, st.integers(0, 5)), min_size=1, max_size=4)


@given(schedule=schedules, history=edits)
@example(schedule=[2, 0, 2, 1, 1, 0, 2, 2, 0, 0], history=[("rename", 2), ("generation", 3)])
@lockstep
def test_whatever_others_write_in_between_the_pool_comes_back(schedule, history):
    wanted = inventory(0, range(5))
    run = Lockstep(schedule, [step for verb, number in history for step in edit(verb, number)])
    run.update(wanted)
    run.rest()
    run.check_whole(wanted)
    run.disturbed()
    run.rest()
    run.check_whole(wanted)


def test_a_pool_that_is_whole_for_a_moment_is_not_yet_at_rest():
    """A stray of a higher generation hides ours: with it gone the old pool shows, until all have moved up."""
    wanted = inventory(0, range(5))
    run = Lockstep([], [step for edit_ in (edit("rename", 2), edit("generation", 3)) for step in edit_])
    run.update(wanted)
    run.rest()
    run.seen.clear()
    run.disturbed()
    run.rest()
    run.check_whole(wanted)
    changes = [look for index, look in enumerate(run.seen) if index == 0 or look != run.seen[index - 1]]
    assert [look is not None for look in changes[-3:]] == [True, False, True]
    assert {obj["spec"]["pool"]["generation"] for obj in run.slices()} == {5}


# --- the inventory changes ------------------------------------------------------------------------------


def inventory(step, numbers):
    """Half of the devices never change, so that a step touches some slices and leaves others as they are."""
    return [
        Device(f"gpu-{number}", attributes={"step": step} if number % 2 else {}) for number in sorted(numbers)
    ]


inventories = st.lists(st.frozensets(st.integers(0, 8)), min_size=1, max_size=5)


@given(schedule=schedules, inventories=inventories)
@example(schedule=[0, 0, 2, 3], inventories=[frozenset([2, 3, 4])])  # the first creation's answer is lost
@lockstep
def test_no_consumer_ever_sees_a_mixture_of_two_inventories(schedule, inventories):
    """Whatever is complete at any moment is one inventory as it was given, and never an older one again."""
    given = [inventory(0, range(5)), *itertools.starmap(inventory, enumerate(inventories, 1))]

    def change(devices):
        def update(run):
            run.update(devices)

        return update

    run = Lockstep(schedule, [change(devices) for devices in given[1:]])
    run.update(given[0])
    run.disturbed()
    run.rest()
    run.check_whole(given[-1])
    wanted = [described(devices) for devices in given]
    place = 0
    for look in run.seen:
        if look is not None:
            assert look in wanted[place:], (look, wanted, run.trace)
            place += wanted[place:].index(look)
