"""A reboot while the plugin that made an effect is not installed: its row says what the reboot did to it."""

import pytest
from prepare_harness import Call, GoneThing, StaysThing, Thing, problems

KINDS = [GoneThing, StaysThing, Thing]


@pytest.fixture
def rebooted(world):
    """A claim prepared; then another boot, in which the plugin is not installed at first."""

    def run(*kinds, forget=""):
        world.holds(*(kind(kind.kind) for kind in kinds))
        ref = world.claim("c1", "dev-0")
        engine = world.engine()
        engine.recover()
        engine.prepare(ref, Call())
        if forget:
            engine.kit.journal.write("test", lambda tx: tx.execute(f"UPDATE effects SET {forget}"))
        engine.close()
        world.boot = "boot-2"
        world.hardware.reboot(survives=[StaysThing.kind])
        for path in (world.folder / "cdi").iterdir():
            path.unlink()
        installed, world.kinds = world.kinds, {}
        engine = world.engine()
        engine.recover()
        engine.close()
        world.kinds = installed
        return ref

    return run


# An older version's row says neither; the journal says in which boot it was.
@pytest.mark.parametrize("forget", ["", "reboot = NULL, boot = NULL"], ids=["", "of an older version"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_before_it_is_not_taken_for_there(world, rebooted, kind, forget):
    ref = rebooted(kind, forget=forget)
    engine = world.engine()
    engine.recover()
    engine.prepare(ref, Call())
    assert set(world.hardware.things) == {kind.kind}
    assert world.hardware.log.count(f"make {kind.kind}=on") == (1 if kind is StaysThing else 2)
    assert problems(world, engine) == []
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}
    engine.close()


def test_a_start_after_that_in_the_same_boot_has_nothing_left_to_settle(world, rebooted):
    ref = rebooted(*KINDS)
    for _ in range(2):
        engine = world.engine()
        engine.recover()
        engine.prepare(ref, Call())
        engine.close()
    commits = []
    world.seam = lambda point, detail="": commits.append(detail) if point == "journal.commit.before" else None
    engine = world.engine()
    assert "meta.boot" not in commits
    engine.recover()
    assert problems(world, engine) == []
    engine.close()
