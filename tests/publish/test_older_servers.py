"""Servers that lack features: what is published, and what is said about it.

Against a real server these run where it emulates the release that ``DRACORE_TEST_KUBERNETES`` names.
"""

from __future__ import annotations

import os
import sys

import pytest

from dracore.errors import Invalid
from dracore.kube.client import KubeClient
from dracore.model.device import (
    Capacity,
    CounterConsumption,
    CounterSet,
    Device,
    NodeSelection,
    RequestPolicy,
    Taint,
)
from dracore.model.quantity import Quantity
from dracore.publish.features import Feature
from dracore.publish.probe import FeatureProbe
from dracore.publish.wire import PATH

Q = Quantity.parse

KEPT = {
    "1.34": set(),
    "1.35": set(),
    "1.36": {Feature.TAINTS, Feature.COUNTERS, Feature.SHARING, Feature.BINDING, Feature.NODES},
    "1.37": {Feature.TAINTS, Feature.COUNTERS, Feature.SHARING, Feature.BINDING, Feature.NODES},
}


REAL = [("real", "")] if "DRACORE_TEST_KUBECONFIG" in os.environ else []


@pytest.fixture(params=[*(("embedded", version) for version in KEPT), *REAL], ids="-".join)
def older(request, embedded, real):
    kind, version = request.param
    if kind == "embedded":
        return embedded(version=version), version
    return real(), os.environ.get("DRACORE_TEST_KUBERNETES", "1.37")


def gated_devices():
    """One device for each gated feature, and a plain one."""
    shareable = {"m": Capacity(Q(4), RequestPolicy(Q(1)))}
    return [
        Device("plain", attributes={"a": 1}),
        Device("info", taints=(Taint("example.com/i", "None"),)),
        Device("lost", taints=(Taint("example.com/l", "NoSchedule"),)),
        Device("lost-used", taints=(Taint("example.com/l", "NoExecute"),)),
        Device("part", consumes=(CounterConsumption("s", {"u": Q(1)}),)),
        Device("part-static", consumes=(CounterConsumption("s", {"u": Q(1)}),), facts={"static": True}),
        Device("shared", capacity=shareable, allow_multiple_allocations=True),
        Device("bound", binding_conditions=("a",), binding_failure_conditions=("b",)),
        Device("lists", attributes={"one": 1, "many": ("a", "b")}),
    ]


def test_every_gated_field_is_kept_or_said(older):
    api, version = older
    kept = KEPT[version]
    publisher, recorder = api.publisher(prepared=lambda: {(api.node, "lost-used")})
    sets = (CounterSet("s", {"u": Q(2)}),)
    publisher.update([api.pool(*gated_devices(), counter_sets=sets)])
    recorder.wait(lambda: bool(recorder.publications))

    stored = {d["name"]: d for obj in api.slices() for d in obj["spec"].get("devices") or ()}
    expected = {"plain", "info", "lost-used", "part-static", "shared", "lists"}
    if Feature.TAINTS in kept:
        expected |= {"lost"}
    if Feature.COUNTERS in kept:
        expected |= {"part"}
    if Feature.BINDING in kept:
        expected |= {"bound"}
    assert set(stored) == expected
    assert ("taints" in stored["info"]) is (Feature.TAINTS in kept)
    assert ("taints" in stored["lost-used"]) is (Feature.TAINTS in kept)
    assert ("consumesCounters" in stored["part-static"]) is (Feature.COUNTERS in kept)
    assert ("allowMultipleAllocations" in stored["shared"]) is (Feature.SHARING in kept)
    assert ("requestPolicy" in stored["shared"]["capacity"]["m"]) is (Feature.SHARING in kept)
    assert stored["lists"]["attributes"] == {"one": {"int": 1}}
    assert any(obj["spec"].get("sharedCounters") for obj in api.slices()) is (Feature.COUNTERS in kept)

    texts = publisher.status().degradations
    assert len(texts) == len(set(texts)) == 5 - len(kept & (set(Feature) - {Feature.NODES}))
    for feature in set(Feature) - kept - {Feature.NODES}:
        (text,) = [text for text in texts if text.startswith(feature.field)]
        said = "refused" if feature is Feature.LISTS else "dropped"
        assert f"{said} by the API server" in text
        assert feature.gate in text
    assert recorder.degradations == list(texts)
    assert recorder.failures == []


def test_the_probe_stores_nothing(older):
    api, version = older
    probe = FeatureProbe(api.client, api.driver, api.node, NodeSelection(node_name=api.node))
    found = probe.support(set(Feature))
    assert {feature for feature, support in found.items() if support.usable} == KEPT[version]
    assert found[Feature.LISTS].state == "refused"
    assert api.slices() == []


def test_a_lost_device_that_is_prepared_stays_until_its_end(older):
    api, version = older
    prepared = {(api.node, "gpu-0")}
    publisher, recorder = api.publisher(prepared=lambda: prepared)
    lost = Device("gpu-0", taints=(Taint("example.com/l", "NoSchedule"),))
    publisher.update([api.pool(lost, Device("gpu-1"))])
    recorder.wait(lambda: bool(recorder.publications))
    assert api.devices() == ["gpu-0", "gpu-1"]
    prepared.clear()
    publisher.refresh()
    if Feature.TAINTS in KEPT[version]:
        publisher.update([api.pool(lost)])
        recorder.wait(lambda: len(recorder.publications) == 2)
        assert api.devices() == ["gpu-0"]
    else:
        recorder.wait(lambda: len(recorder.publications) == 2)
        assert api.devices() == ["gpu-1"]


def test_lists_are_kept_where_the_gate_is_on(embedded):
    api = embedded(feature_gates={"DRAListTypeAttributes": True})
    publisher, recorder = api.publisher()
    publisher.update([api.pool(Device("a", attributes={"many": (1, 2)}))])
    recorder.wait(lambda: bool(recorder.publications))
    assert api.slices()[0]["spec"]["devices"][0]["attributes"] == {"many": {"ints": [1, 2]}}
    assert publisher.status().degradations == ()


def test_a_driver_that_needs_nothing_asks_nothing(embedded, gpus):
    api = embedded(version="1.34")
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(2))])
    recorder.wait(lambda: bool(recorder.publications))
    assert not [request for request in api.server.log.all() if request.dry_run]


def test_after_an_upgrade_everything_is_published(embedded):
    api = embedded(version="1.34")
    publisher, recorder = api.publisher(probe_interval=0.3)
    lost = Device("gpu-0", taints=(Taint("example.com/l", "NoSchedule"),))
    publisher.update([api.pool(lost)])
    recorder.wait(lambda: bool(recorder.publications))
    assert api.devices() == []
    enable(api, "DRADeviceTaints")
    recorder.wait(lambda: bool(recorder.recoveries))
    assert api.devices() == ["gpu-0"]
    assert publisher.status().degradations == ()


def test_a_server_that_comes_back_as_another_version_is_asked_again(embedded):
    api = embedded(version="1.34")
    publisher, recorder = api.publisher()
    publisher.update([api.pool(Device("gpu-0", taints=(Taint("example.com/l", "NoSchedule"),)))])
    recorder.wait(lambda: bool(recorder.publications))
    assert api.devices() == []
    api.server.stop()
    enable(api, "DRADeviceTaints")
    object.__setattr__(api.server.gates, "version", (1, 37))
    api.server.start()
    recorder.wait(lambda: bool(recorder.recoveries))
    assert api.devices() == ["gpu-0"]


def enable(api, gate, on=True):
    """Switches a gate of the embedded server, as a restart with another flag would."""
    gates = api.server.gates
    enabled = gates.enabled | {gate} if on else gates.enabled - {gate}
    object.__setattr__(gates, "enabled", enabled)


def test_a_field_that_is_dropped_unexpectedly_is_found_out(embedded, gpus):
    """The gate goes off between probe and write: no device is left without the taint that keeps it safe."""
    api = embedded()
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1), Device("a", taints=(Taint("k", "None"),)))])
    recorder.wait(lambda: bool(recorder.publications))
    enable(api, "DRADeviceTaints", on=False)
    lost = Device("lost", taints=(Taint("k", "NoSchedule"),))
    publisher.update([api.pool(*gpus(1), lost, name="another")])
    recorder.wait(lambda: any("DRADeviceTaints" in text for text in recorder.degradations))
    recorder.wait(lambda: recorder.publications[-1][0] == "another" and len(recorder.publications) >= 3)
    assert api.devices() == ["gpu-0"]


def test_a_field_that_nobody_knows_is_adopted_without_a_loop(embedded, gpus, monkeypatch):
    """The server drops something for a reason that no gate explains: one write, one text, then peace."""
    from dracore.testing.apiserver import gates as gating

    api = embedded()
    original = gating.drop_disabled

    def drop(gates, kind, new, old, *, status=False):
        original(gates, kind, new, old, status=status)
        for device in new.get("spec", {}).get("devices") or ():
            (device.get("attributes") or {}).pop("model", None)

    for module in list(sys.modules.values()):
        if getattr(module, "drop_disabled", None) is original:
            monkeypatch.setattr(module, "drop_disabled", drop)
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    recorder.wait(lambda: bool(recorder.degradations))
    assert "devices[].attributes: dropped by the API server" in recorder.degradations[0]
    publisher.update([api.pool(*gpus(1)), api.pool(name="second")])
    recorder.wait(lambda: ("second", 1, 1) in recorder.publications)
    assert recorder.writes == ["create", "create"]
    (obj,) = [obj for obj in api.slices() if obj["spec"]["pool"]["name"] == api.node]
    api.client.patch(f"{PATH}/{obj['metadata']['name']}", {"metadata": {"labels": {"x": "y"}}})
    publisher.update([api.pool(*gpus(2)), api.pool(name="second")])
    recorder.wait(lambda: len(recorder.publications) == 3)
    assert recorder.writes == ["create", "create", "update"]


def test_a_policy_that_refuses_everything_says_nothing_about_features(api):
    class Refusing(KubeClient):
        def __init__(self):
            pass

        def create(self, path, body, **options):
            raise Invalid("no slices on Sundays", status=422)

    probe = FeatureProbe(Refusing(), api.driver, api.node, NodeSelection(node_name=api.node))
    support = probe.support({Feature.TAINTS})[Feature.TAINTS]
    assert (support.state, support.detail) == ("unknown", "no slices on Sundays")
