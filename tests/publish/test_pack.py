from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dracore.model.device import CounterConsumption, CounterSet, Device, Taint
from dracore.model.quantity import Quantity
from dracore.publish.pack import Names, Packed, is_advanced, pack

ONE = Quantity.parse(1)


def device(number, sort="plain"):
    name = f"gpu-{number}"
    if sort == "taint":
        return Device(name, taints=(Taint("a", "NoSchedule"),))
    if sort == "counter":
        return Device(name, consumes=(CounterConsumption("c", {"u": ONE}),))
    if sort == "list":
        return Device(name, attributes={"l": ("a", "b")})
    return Device(name, attributes={"l": "a"})


def counter_set(number):
    return CounterSet(f"set-{number}", {"u": ONE})


def devices_of(count, **options):
    return [device(number, **options) for number in range(count)]


def layout(slices):
    return [part.names() for part in slices]


sorts = st.sampled_from(["plain", "plain", "plain", "taint", "counter", "list"])
inventories = st.lists(
    st.tuples(st.integers(0, 400), sorts), max_size=300, unique_by=lambda item: item[0]
).map(lambda items: [device(*item) for item in items])
sets = st.lists(st.integers(0, 40), max_size=30, unique=True).map(lambda ns: [counter_set(n) for n in ns])


def assert_valid(slices, devices, counter_sets, dense):
    assert slices
    for part in slices:
        assert not (part.devices and part.counter_sets)
        small = dense or any(map(is_advanced, part.devices))
        assert len(part.devices) <= (64 if small else 128)
        assert len(part.counter_sets) <= 8
    placed = [d.name for part in slices for d in part.devices]
    assert sorted(placed) == sorted(d.name for d in devices)
    placed = [c.name for part in slices for c in part.counter_sets]
    assert sorted(placed) == sorted(c.name for c in counter_sets)
    kinds = [bool(part.counter_sets) for part in slices]
    assert kinds == sorted(kinds, reverse=True)
    order = {d.name: place for place, d in enumerate(devices)}
    for part in slices:
        places = [order[d.name] for d in part.devices]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("count", "options", "sizes"),
    [
        (0, {}, [0]),
        (1, {}, [1]),
        (128, {}, [128]),
        (129, {}, [128, 1]),
        (65, {"dense": True}, [64, 1]),
        (300, {}, [128, 128, 44]),
    ],
)
def test_devices_fill_slices_in_their_order(count, options, sizes):
    given_devices = devices_of(count)
    slices = pack(given_devices, **options)
    assert [len(part.devices) for part in slices] == sizes
    assert [d for part in slices for d in part.devices] == given_devices


@pytest.mark.parametrize("sort", ["taint", "counter", "list"])
def test_one_advanced_device_halves_the_limit_of_its_slice(sort):
    slices = pack([device(0, sort), *(device(n) for n in range(1, 100))])
    assert [len(part.devices) for part in slices] == [64, 36]


def test_counter_sets_stand_in_slices_of_their_own_and_first():
    slices = pack(devices_of(2), [counter_set(n) for n in range(9)])
    assert [(len(part.counter_sets), len(part.devices)) for part in slices] == [(8, 0), (1, 0), (0, 2)]


def test_counter_sets_alone_need_no_device_slice():
    assert layout(pack([], [counter_set(0)])) == [Names(counter_sets=("set-0",))]


def test_an_empty_pool_is_one_empty_slice_whatever_was_there():
    assert pack([]) == (Packed(),)
    assert pack([], previous=[Names(("a",)), Names(("b",)), Names(counter_sets=("c",))]) == (Packed(),)


def test_a_device_that_vanishes_and_returns_finds_its_place():
    full = devices_of(130, sort="taint")
    before = pack(full)
    without = pack([d for d in full if d.name != "gpu-3"], previous=layout(before))
    assert [part.devices for part in without[1:]] == [part.devices for part in before[1:]]
    assert pack(full, previous=layout(without)) == before


def test_a_slice_that_ran_empty_stays():
    full = devices_of(129)
    before = pack(full)
    after = pack(full[:128], previous=layout(before))
    assert [len(part.devices) for part in after] == [128, 0]


def test_when_most_slices_could_be_saved_they_are():
    before = pack(devices_of(1000))
    after = pack(devices_of(200), previous=layout(before))
    assert [len(part.devices) for part in after] == [128, 72]


def test_a_device_that_becomes_advanced_leaves_a_full_slice_alone():
    before = pack(devices_of(128))
    changed = devices_of(128)
    changed[5] = device(5, "taint")
    after = pack(changed, previous=layout(before))
    assert [len(part.devices) for part in after] == [127, 1]
    assert after[1].devices == (changed[5],)


def test_many_advanced_devices_keep_their_slice_and_the_others_leave():
    before = pack(devices_of(128))
    changed = [device(n, "taint") if n < 100 else device(n) for n in range(128)]
    after = pack(changed, previous=layout(before))
    assert_valid(after, changed, [], False)


def test_a_layout_with_a_device_twice_or_beyond_the_limit_is_mended():
    names = tuple(f"gpu-{n}" for n in range(200))
    slices = pack(devices_of(200), previous=[Names(names), Names(names)])
    assert_valid(slices, devices_of(200), [], False)


@given(inventories, sets, st.booleans())
@settings(deadline=None)
def test_limits_hold_and_nothing_is_lost(devices, counter_sets, dense):
    slices = pack(devices, counter_sets, dense=dense)
    assert_valid(slices, devices, counter_sets, dense)
    assert pack(devices, counter_sets, dense=dense) == slices
    assert pack(devices, counter_sets, layout(slices), dense=dense) == slices


@given(st.lists(st.tuples(inventories, sets), min_size=2, max_size=6), st.booleans())
@settings(deadline=None, max_examples=50)
def test_limits_hold_along_any_history(history, dense):
    previous = []
    for devices, counter_sets in history:
        slices = pack(devices, counter_sets, previous, dense=dense)
        assert_valid(slices, devices, counter_sets, dense)
        previous = layout(slices)


@given(inventories, inventories, sets, st.booleans())
@settings(deadline=None)
def test_who_can_stay_stays(before_devices, devices, counter_sets, dense):
    """A device moves only where its slice was over the limit, or where the pool was packed anew."""
    before = [part for part in pack(before_devices, counter_sets, dense=dense) if part.devices]
    slices = pack(devices, counter_sets, layout(before), dense=dense)
    after = [part for part in slices if not part.counter_sets]
    if len(after) < len(before):
        fresh = [part for part in pack(devices, counter_sets, dense=dense) if not part.counter_sets]
        assert after == fresh
        return
    current = {d.name: d for d in devices}
    for was, now in zip(before, after, strict=False):
        here = [current[d.name] for d in was.devices if d.name in current]
        small = dense or any(map(is_advanced, here))
        if len(here) <= (64 if small else 128):
            assert {d.name for d in here} <= {d.name for d in now.devices}


@given(st.integers(1, 300), st.data(), sorts, st.booleans())
@settings(deadline=None)
def test_one_device_that_comes_or_goes_touches_one_old_slice(count, data, sort, dense):
    full = devices_of(count, sort=sort)
    gone = data.draw(st.integers(0, count - 1))
    fewer = [d for d in full if d is not full[gone]]
    before = pack(full, dense=dense)
    for old, new in ((full, fewer), (fewer, full)):
        if not (old and new):
            continue
        before = pack(old, dense=dense)
        after = pack(new, previous=layout(before), dense=dense)
        differing = [a for a, b in zip(before, after, strict=False) if a != b]
        assert len(differing) <= 1
        assert len(differing) + abs(len(after) - len(before)) == 1
