from __future__ import annotations

import threading

from dracore.kube.backoff import Backoff
from dracore.kube.workqueue import Workers, WorkQueue


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_key_waits_once_however_often_it_is_added():
    queue = WorkQueue[str]()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [queue.get(0), queue.get(0), queue.get(0)] == ["a", "b", None]


def test_a_key_is_with_one_worker_at_a_time_and_comes_up_again_after():
    queue = WorkQueue[str]()
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    assert queue.get(0) is None
    queue.done("a")
    assert queue.get(0) == "a"
    queue.done("a")
    assert queue.get(0) is None


def test_of_several_delays_the_earliest_counts():
    clock = Clock()
    queue = WorkQueue[str](clock=clock)
    queue.add_after("a", 5)
    queue.add_after("a", 2)
    queue.add_after("a", 9)
    assert queue.get(0) is None
    clock.now = 2
    assert queue.get(0) == "a"
    queue.done("a")
    clock.now = 20
    assert queue.get(0) is None


def test_adding_now_cancels_the_delay():
    clock = Clock()
    queue = WorkQueue[str](clock=clock)
    queue.add_after("a", 5)
    queue.add("a")
    assert queue.get(0) == "a"
    queue.done("a")
    clock.now = 6
    assert queue.get(0) is None
    assert len(queue) == 0


def test_retries_grow_and_success_forgets():
    queue = WorkQueue[str](backoff=lambda: Backoff(first=1, limit=3, rng=lambda: 1.0))
    assert [queue.retry("a") for _ in range(4)] == [1, 2, 3, 3]
    assert queue.retry("b") == 1
    queue.forget("a")
    assert queue.retry("a") == 1


def test_shutdown_frees_who_waits_and_takes_nothing_more():
    queue = WorkQueue[str]()
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    queue.shut_down()
    thread.join(10)
    queue.add("a")
    assert got == [None]
    assert queue.get(0) is None


def test_a_waiting_worker_sees_a_delayed_key():
    queue = WorkQueue[str]()
    queue.add_after("a", 0.05)
    assert queue.get(10) == "a"


def test_workers_retry_what_raises_and_never_share_a_key(caplog):
    queue = WorkQueue[str](backoff=lambda: Backoff(first=0.001, limit=0.001))
    active: set[str] = set()
    lock, finished = threading.Lock(), threading.Event()
    calls = {"a": 0, "b": 0}

    def work(key):
        with lock:
            assert key not in active
            active.add(key)
            calls[key] += 1
            count = calls[key]
        with lock:
            active.discard(key)
        if key == "a" and count < 4:
            raise RuntimeError("not yet")
        if key == "a":
            finished.set()

    workers = Workers(queue, work, count=3)
    workers.start()
    queue.add("a")
    for _ in range(50):
        queue.add("b")
    assert finished.wait(10)
    workers.stop()
    assert calls["a"] == 4
    assert "not yet" in caplog.text


def test_backoff_stays_in_its_bounds():
    backoff = Backoff(first=0.2, limit=30)
    delays = [backoff.next() for _ in range(200)]
    assert 0.1 <= delays[0] <= 0.2
    assert all(15 <= delay <= 30 for delay in delays[10:])
    backoff.reset()
    assert backoff.next() <= 0.2
