from __future__ import annotations

from dracore.publish.pacer import Pacer
from dracore.publish.view import LIFETIME, SliceView


def obj(name, version, uid="u", **more):
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}, **more}


class Copy:
    def __init__(self, *objects, version="0"):
        self.objects = list(objects)
        self.resource_version = version

    def list(self):
        return list(self.objects)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def view_of(*objects, version="10"):
    clock, copy = Clock(), Copy(*objects, version=version)
    return SliceView(copy, clock), copy, clock


def test_our_creation_is_there_before_the_watch_brings_it():
    view, copy, _ = view_of()
    created = obj("a", 12)
    view.wrote(created)
    assert view.list() == [created]
    copy.objects, copy.resource_version = [created], "12"
    assert view.list() == [created]
    assert not view.unconfirmed()


def test_our_update_wins_over_the_older_copy_and_loses_to_a_newer_one():
    view, copy, _ = view_of(obj("a", 9))
    view.wrote(obj("a", 12))
    assert view.list() == [obj("a", 12)]
    copy.objects = [obj("a", 15)]
    assert view.list() == [obj("a", 15)]


def test_versions_compare_as_numbers():
    view, _, _ = view_of(version="9")
    view.wrote(obj("a", 10))
    assert view.list() == [obj("a", 10)]


def test_a_foreign_deletion_that_the_watch_has_passed_is_believed():
    view, copy, _ = view_of()
    view.wrote(obj("a", 12))
    copy.resource_version = "14"
    assert view.list() == []


def test_our_deletion_hides_the_object_until_the_watch_has_it():
    old = obj("a", 9)
    view, copy, _ = view_of(old)
    view.deleted(old)
    assert view.list() == []
    copy.objects = []
    assert view.list() == []
    assert not view.unconfirmed()


def test_an_object_made_anew_under_the_name_is_seen():
    view, copy, _ = view_of(obj("a", 9))
    view.deleted(obj("a", 9))
    copy.objects = [obj("a", 20, uid="v")]
    assert view.list() == copy.objects


def test_what_the_watch_never_confirms_is_forgotten():
    view, _, clock = view_of()
    view.wrote(obj("a", 12))
    clock.now = LIFETIME
    assert view.list() == []


def test_echoes():
    view, _, _ = view_of(obj("b", 9))
    view.wrote(obj("a", 12))
    view.deleted(obj("b", 9))
    assert view.is_echo(obj("a", 12), deleted=False)
    assert not view.is_echo(obj("a", 13), deleted=False)
    assert not view.is_echo(obj("a", 12), deleted=True)
    assert not view.is_echo(obj("a", 12, uid="v"), deleted=False)
    assert view.is_echo(obj("b", 10), deleted=True)
    assert not view.is_echo(obj("c", 1), deleted=False)


def test_repairs_are_at_once_then_ever_slower_and_after_peace_at_once_again():
    pacer, now, gaps = Pacer(), 100.0, []
    for _ in range(14):
        waited = pacer.wait(now)
        gaps.append(round(waited, 6))
        now += waited
        if waited:
            assert pacer.wait(now) == 0
    assert gaps == [0, *(min(30.0, round(0.1 * 2**n, 6)) for n in range(13))]
    assert pacer.wait(now + 29) > 0
    now += 29 + 120
    assert pacer.wait(now) == 0
    assert round(pacer.wait(now), 6) == 0.1
