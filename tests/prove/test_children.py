"""The forked children of the matrix: what they answer, how they end, and that none outlives its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap

from dracore.testing.crash.snapshots import Snapshots

HELPERS = """
    import os, signal, sys, time
    from pathlib import Path
    from dracore.testing.crash.fork import Helper, forked, shared_out
    out = Path(sys.argv[1]) / "child"
"""


def run(folder, text):
    """In a process of its own: this one has threads."""
    code = textwrap.dedent(HELPERS) + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_child_answers_many_questions_and_one_that_fails_is_replaced(tmp_path):
    said = run(
        tmp_path,
        """
        seen = []
        def work(question):
            seen.append(question)
            if question == "fail":
                raise SystemExit("no")
            if question == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if question == "vanish":
                os._exit(3)
            return seen
        helper, other = Helper(work, out), Helper(work, out.with_name("other"))
        for question in ("a", "b", "fail", "c", "die", "d", "vanish", "e"):
            ended = helper.ask(question)
            other.ask("x")
            print(ended.killed, ended.failed.splitlines()[:1], ended.answer)
        helper.end()
        other.end()
        """,
    )
    assert said == [
        "False [] ['a']",
        "False [] ['a', 'b']",
        "False ['SystemExit: no'] None",
        "False [] ['c']",
        "True [] None",
        "False [] ['d']",
        "False ['it ended without a word'] None",
        "False [] ['e']",
    ]


def test_a_child_that_hangs_is_ended_and_says_where(tmp_path):
    (said,) = run(
        tmp_path,
        """
        from dracore.testing.crash import fork
        fork.LIMIT = 0.2
        def stand_still():
            time.sleep(30)
        print(forked(stand_still, out).failed)
        """,
    )
    assert said.startswith("it hung for 0 s, longer than a call may take, in ")
    assert "in stand_still" in said


def test_what_is_found_once_is_told_too(tmp_path):
    """Findings of one child that another one does not have."""
    said = run(
        tmp_path,
        """
        from dracore.testing.crash.matrix import Matrix
        class Asked(Matrix):
            def _work(self, question):
                if question == "always":
                    return ["promise: broken"]
                new = not (self.folder / question).exists()
                (self.folder / question).touch()
                return ["promise: broken"] if question == "first" and new else []
        matrix = Asked(None, out.parent)
        for question in ("first", "never", "always"):
            print(list(matrix._judged(question)))
        """,
    )
    once = "promise: broken (once, and not again in a process of its own)"
    assert said == [str([once]), "[]", "['promise: broken']"]


def test_no_child_outlives_a_parent_that_is_killed(tmp_path):
    """A worker, its helper, and one that is stopped."""
    code = textwrap.dedent(HELPERS) + textwrap.dedent(
        """
        from dracore.testing.crash.fork import fork
        def tell():
            os.write(1, f"{os.getpid()}\\n".encode())
        def work(number):
            tell()
            if fork() == 0:
                tell()
                os.kill(os.getpid(), signal.SIGSTOP)
            Helper(lambda question: (tell(), time.sleep(60)), out).ask(None)
        shared_out(1, 1, work)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    children = [int(parent.stdout.readline()) for _ in range(3)]
    handles = [os.pidfd_open(pid) for pid in children]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for handle in handles:  # readable once it has ended
        assert select.select([handle], [], [], 20)[0]
        os.close(handle)
    parent.stdout.close()


def test_the_process_of_the_kit_ends_with_the_test_that_began_it(tmp_path):
    here = os.path.dirname(__file__)
    (tmp_path / "lanes_slow.py").write_text(
        "import os, time, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = (
        "import sys\n"
        f"sys.path[:0] = [{str(tmp_path)!r}, {here!r}]\n"
        "from wrong_effects import Folder\n"
        "from dracore.testing.crash import crash_matrix, standard\n"
        "crash_matrix('lanes_slow', standard('lane-0'), ground=Folder)\n"
    )
    os.mkfifo(tmp_path / "pid")
    parent = subprocess.Popen([sys.executable, "-c", code])
    handle = os.pidfd_open(int((tmp_path / "pid").read_text()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert select.select([handle], [], [], 20)[0]
    os.close(handle)


class TestASnapshot:
    def test_is_laid_out_as_it_was(self, tmp_path):
        run, store = tmp_path / "run", tmp_path / "store"
        store.mkdir()
        (run / "node").mkdir(parents=True)
        (run / "disk").mkdir(mode=0o700)
        (run / "node/a").write_text("1")
        (run / "disk/journal.db").write_bytes(b"\0\1")
        (run / "disk/journal.db-shm").write_bytes(b"made anew")
        (run / "link").symlink_to("node/a")
        snapshots = Snapshots(run, store)
        first = snapshots.take()
        assert snapshots.take() == first
        (run / "node/a").write_text("2")  # of the same size, at once: its time may be the same
        (run / "node/b").touch()
        second = snapshots.take()
        (run / "node/a").unlink()
        assert second != first
        assert snapshots.lay_out(first) == run
        assert {str(path.relative_to(run)) for path in run.rglob("*")} == {
            "node",
            "node/a",
            "disk",
            "disk/journal.db",
            "link",
        }
        assert (run / "link").read_text() == "1"
        assert (run / "disk").stat().st_mode & 0o777 == 0o700
        snapshots.lay_out(second)
        assert (run / "node/a").read_text() == "2"
        assert snapshots.take() == second  # without what SQLite makes anew

    def test_may_have_another_disk_than_the_run(self, tmp_path):
        run, store = tmp_path / "run", tmp_path / "store"
        store.mkdir()
        (run / "disk").mkdir(parents=True)
        (run / "disk/new").write_text("not synced")
        (run / "node").write_text("as it is")
        snapshots = Snapshots(run, store)
        snapshots.lay_out(snapshots.take({"plugin": None, "plugin/old": b"synced"}))
        assert (run / "disk/plugin/old").read_bytes() == b"synced"
        assert not (run / "disk/new").exists()
        assert (run / "node").read_text() == "as it is"
