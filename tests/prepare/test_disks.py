"""Disks that are full or read-only, and files of somebody else: real ones, in namespaces of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prepare_harness import Call, World

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"}


@pytest.fixture(scope="module")
def own_mounts():
    """The beginning of a command that may mount."""
    for options in (["--mount"], ["--mount", "--user", "--map-root-user"]):
        command = ["unshare", *options, "--propagation", "private"]
        try:
            done = subprocess.run(
                [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, timeout=20
            )
        except OSError:
            break
        if done.returncode == 0:
            return command
    pytest.skip("this machine lets nobody make a mount namespace")


@pytest.mark.parametrize(
    "scenario",
    [
        "full_while_running",
        "full_in_the_middle",
        "full_at_the_start",
        "read_only_at_the_start",
        "cdi_full_or_read_only",
    ],
)
def test_a_disk(own_mounts, tmp_path, scenario):
    done = subprocess.run(
        [*own_mounts, sys.executable, str(HERE / "disk_child.py"), str(tmp_path), scenario],
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr[-3000:]


STRANGER = """
import os, sys
from pathlib import Path
from dracore.errors import JournalError
from dracore.prepare import Journal
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    Journal.open(Path(sys.argv[1]))
except JournalError as error:
    print(error)
    print(len(error.for_event()))
    os._exit(0)
os._exit(3)
"""


def everything(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.stat().st_uid, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("open_up", "closed"),
    [
        ([("", 0o700)], ""),
        ([], "plugin"),
        ([("plugin", 0o755)], "plugin"),
        ([("plugin", 0o777)], "journal.lock"),
        ([("plugin", 0o777), ("plugin/journal.lock", 0o666)], "journal.db"),
        ([("plugin", 0o777), ("plugin/journal.lock", 0o666), ("plugin/journal.db", 0o644)], "journal.db"),
    ],
)
def test_a_journal_of_another_user_is_refused_and_named(tmp_path, open_up, closed):
    world = World(tmp_path)
    engine = world.engine()
    engine.prepare(world.claim("c1", "dev-0"), Call())
    engine.close()
    os.chmod(world.plugin_folder, 0o750)
    os.chmod(world.plugin_folder / "journal.db", 0o600)
    for parent in (
        tmp_path,
        *(each for each in tmp_path.parents if "pytest-of-" in str(each)),
    ):  # one more with xdist
        os.chmod(parent, 0o755)
    for name, mode in open_up:
        os.chmod(tmp_path / name, mode)
    before = everything(world.plugin_folder)
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(world.plugin_folder)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text, length = done.stdout.splitlines()
    assert "belongs to user root" in text
    assert "this process runs as user nobody" in text
    assert "run dracore as user root, or give the folder" in text
    assert f"{tmp_path / closed} belongs to" in text or f"{world.plugin_folder / closed} belongs to" in text
    assert int(length) <= 200
    assert everything(world.plugin_folder) == before
    engine = world.engine()
    assert [claim.ref.uid for claim in engine.snapshot().claims] == ["c1"]
    engine.close()
