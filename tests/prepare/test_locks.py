"""Locks on claims and keys, between threads, engines and processes."""

import os
import subprocess
import sys
import threading

import pytest

from dracore.prepare.locks import FILE, Locks

HOLDER = """
import sys
from pathlib import Path
from dracore.prepare.locks import Locks
lock = Locks(Path(sys.argv[1])).claim(sys.argv[2])
print(lock.acquire(0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Holds a claim's lock in another process; answers the process."""
    started = []

    def hold(uid):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), uid],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_one_at_a_time_between_threads_and_engines(tmp_path):
    locks, others = Locks(tmp_path), Locks(tmp_path)
    held = locks.claim("a")
    assert held.acquire(0)
    assert not locks.claim("a").acquire(0)
    assert not others.claim("a").acquire(0.01)
    held.release()
    again = others.claim("a")
    assert again.acquire(0)
    again.release()


def test_claims_and_keys_of_one_name_have_nothing_to_do_with_each_other(tmp_path):
    locks, others = Locks(tmp_path), Locks(tmp_path)
    held = [locks.claim("a"), locks.key("a"), others.claim("b"), others.key("b")]
    assert all(lock.acquire(0) for lock in held)
    for lock in held:
        lock.release()


def test_who_waits_gets_it_when_it_is_let_go(tmp_path):
    locks = Locks(tmp_path)
    first, second = locks.key("k"), Locks(tmp_path).key("k")
    assert first.acquire(0)
    got = []
    waiter = threading.Thread(target=lambda: got.append(second.acquire(30)))
    waiter.start()
    first.release()
    waiter.join(30)
    assert got == [True]
    second.release()


def test_a_dead_process_holds_no_lock(tmp_path, elsewhere):
    process = elsewhere("a")
    lock = Locks(tmp_path).claim("a")
    assert not lock.acquire(0)
    process.kill()
    process.wait()
    assert lock.acquire(0)
    lock.release()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_what_its_parent_lets_go(tmp_path):
    locks = Locks(tmp_path)
    lock = locks.claim("a")
    assert lock.acquire(0)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)  # until the parent closes its end
        os._exit(0)
    os.close(reader)
    lock.release()
    again = Locks(tmp_path).claim("a")
    assert again.acquire(0)
    again.release()
    os.close(writer)
    os.waitpid(child, 0)


def test_a_claim_leaves_no_file_and_no_descriptor(tmp_path):
    locks = Locks(tmp_path)
    lock = locks.claim("a")
    assert lock.acquire(0)
    lock.release()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        lock = locks.claim(str(number))
        assert lock.acquire(0)
        lock.release()
    assert os.listdir(tmp_path) == [FILE]
    assert os.path.getsize(tmp_path / FILE) == 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_was_removed_comes_back(tmp_path):
    folder = tmp_path / "plugin"
    locks = Locks(folder)
    for _ in range(2):
        lock = locks.claim("a")
        assert lock.acquire(0)
        lock.release()
        (folder / FILE).unlink()
        folder.rmdir()
