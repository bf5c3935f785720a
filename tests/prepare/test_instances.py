"""Two processes on one plugin folder: handover, death, a stopped one."""

import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prepare_harness import Reports

from dracore.errors import JournalBusy, JournalError
from dracore.prepare import Instances, Journal, instances
from dracore.prepare import journal as journal_module
from dracore.testing.waiting import until

HERE = Path(__file__).parent


class Process:
    def __init__(self, folder, name):
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "instances_child.py"), str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        self.expect("started")

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def expect(self, line):
        seen = []
        while True:
            seen.append(self.lines.get(timeout=20))
            if seen[-1] == line:
                return
            assert seen[-1] in ("publisher", "other"), seen

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self):
        self.say("ask")
        while True:
            line = self.lines.get(timeout=20)
            if line.startswith("asked"):
                return line == "asked True"

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(20)
        self.reader.join(20)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    processes = []

    def start(name):
        processes.append(Process(tmp_path, name))
        return processes[-1]

    yield start
    for process in processes:
        if process.process.poll() is None:
            process.end()


def test_one_that_the_kubelet_has_not_accepted_publishes_nothing(start):
    one = start("one")
    assert not one.ask()
    one.say("register")
    one.expect("publisher")
    assert one.ask()


def test_the_younger_takes_over_once_it_is_registered(start):
    old = start("old")
    old.say("register")
    old.expect("publisher")
    new = start("new")
    assert old.ask()
    assert not new.ask()
    new.say("register")
    old.expect("other")
    new.expect("publisher")
    assert not old.ask()
    assert new.ask()


def test_when_the_younger_dies_the_older_goes_on(start):
    old, new = start("old"), start("new")
    old.say("register")
    new.say("register")
    new.expect("publisher")
    new.end()
    old.expect("publisher")
    assert old.ask()


def test_an_older_one_that_is_stopped_is_passed_over_and_does_no_harm_when_it_goes_on(start):
    old = start("old")
    old.say("register")
    old.expect("publisher")
    old.process.send_signal(signal.SIGSTOP)
    new = start("new")
    new.say("register")
    new.expect("publisher")  # after its patience, without the lock
    old.process.send_signal(signal.SIGCONT)
    assert not old.ask()
    assert new.ask()


def test_a_second_process_of_one_id_is_refused(tmp_path, monkeypatch, start):
    start("one")
    monkeypatch.setattr(instances, "START_TIMEOUT", 0.1)
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match="start this one with --instance-id"):
        Instances(journal, tmp_path, "one").start()
    journal.close()


def test_the_dead_are_forgotten_and_the_order_of_starts_is_not_the_clocks(tmp_path, start):
    first = start("first")
    first.end()

    class Backwards:
        def now(self):
            return 0.0

        def monotonic(self):
            import time

            return time.monotonic()

    start("second").say("register")
    journal = Journal.open(tmp_path, clock=Backwards())
    third = Instances(journal, tmp_path, "third", clock=Backwards(), reports=Reports(), look=0.05)
    third.start()
    third.mark_registered()
    assert [i.id for i in third.all()] == ["third", "second"]
    assert not (tmp_path / "instance-first.lock").exists()
    end = threading.Event()
    for _ in range(400):
        if third.is_publisher():
            break
        end.wait(0.05)
    assert third.is_publisher()
    third.stop()
    assert not third.is_publisher()
    journal.close()


def test_a_registration_that_could_not_be_written_down_is_later(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(journal_module, "IMPATIENT", 0.02)
    journal = Journal.open(tmp_path)
    one = Instances(journal, tmp_path, "one", reports=Reports(), look=0.05)
    one.start()
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy):
        one.mark_registered()
    assert not one.is_publisher()
    other.execute("ROLLBACK")
    other.close()
    until(one.is_publisher, "the second try")
    one.stop()
    journal.close()


@pytest.mark.parametrize("name", ["../x", "a/b", "a b"])
def test_an_id_must_be_good_for_a_file_name(tmp_path, name):
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match="cannot be an instance id"):
        Instances(journal, tmp_path, name)
    journal.close()
