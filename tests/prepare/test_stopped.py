"""An instance that was stopped (SIGSTOP, a debugger, a frozen cgroup) inside a commit: who is said."""

import os
import signal
import subprocess
import sys

import pytest
from prepare_harness import Call

from dracore.errors import JournalBusy
from dracore.prepare import Journal

CHILD = """
import os, signal, sys
from pathlib import Path
from dracore.prepare import Instances, Journal
folder = Path(sys.argv[1])
journal = Journal.open(folder)
instances = Instances(journal, folder, "older")
instances.start()
journal.write("x", lambda tx: tx.set_meta("a", os.kill(os.getpid(), signal.SIGSTOP)))
instances.stop()
journal.close()
"""


@pytest.fixture
def stop_inside_a_commit():
    children = []

    def stop(folder):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)])
        children.append(child)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return child

    yield stop
    for child in children:
        child.kill()
        child.wait()


def test_a_start_names_it_and_succeeds_once_it_goes_on(tmp_path, monkeypatch, stop_inside_a_commit):
    monkeypatch.setattr("dracore.prepare.journal.BUSY_TIMEOUT", 0.05)
    child = stop_inside_a_commit(tmp_path)
    with pytest.raises(JournalBusy) as raised:
        Journal.open(tmp_path)
    assert f"database is locked; open in instance older (pid {child.pid}, stopped)" in raised.value.what
    assert str(child.pid) in raised.value.for_event()
    child.send_signal(signal.SIGCONT)
    assert child.wait(30) == 0
    Journal.open(tmp_path).close()


def test_so_does_a_prepare_and_changes_nothing(world, monkeypatch, stop_inside_a_commit):
    monkeypatch.setattr("dracore.prepare.journal.BUSY_TIMEOUT", 0.05)
    engine = world.engine()
    child = stop_inside_a_commit(world.plugin_folder)
    with pytest.raises(JournalBusy, match=f"older .pid {child.pid}, stopped"):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    journal = engine.kit.journal
    assert f"older (pid {child.pid}, stopped)" in journal.blocked
    journal.look()
    assert journal.blocked
    assert world.reports.events == [("JournalBlocked", journal.blocked)], "said once"
    assert journal.problem == ""
    child.kill()
    child.wait()
    journal.look()
    assert journal.blocked == "", "also where nobody writes"
    assert engine.prepare(world.claim("c1", "dev-0"), Call())
    engine.close()
