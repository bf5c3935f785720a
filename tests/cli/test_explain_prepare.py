"""The timeline of a claim, as the running process tells it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.admin.server import AdminServer
from dracore.cli.app import app
from dracore.errors import ClaimError, DracoreError
from dracore.node import status
from dracore.testing.crash import Ask
from dracore.testing.crash.__main__ import ENGINE
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenarios import plan
from dracore.testing.crash.stand import Stand


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    """A driver with a claim that failed, was prepared and released; and its status socket."""
    stand = Stand(ENGINE, tmp_path, Points()).start()
    stand.cluster.put("c1", Ask(("dev-0",), plan("thing a", "thing b a")))
    ref, call = stand.cluster.ref("c1"), KubeletCall(30.0, stand.points, stand.clock)
    stand.ground.fail("apply", "b", 1)
    with pytest.raises(DracoreError):
        stand.engine.prepare(ref, call)
    stand.engine.prepare(ref, call)

    def timeline(uid: str = "") -> Any:
        entries = [{"driver": "d", **status.entry_json(entry)} for entry in stand.engine.timeline(uid)]
        if not entries:
            raise ClaimError(f"nothing is known here of a claim with uid {uid!r}")
        claims = status.claims_json(stand.engine.snapshot().claims)
        return {"uid": uid, "claims": claims, "entries": entries}

    with tempfile.TemporaryDirectory() as folder:  # paths of sockets are short
        path = Path(folder, "s.sock")
        server = AdminServer(
            path, {"instance": lambda: {"id": "", "pid": 1, "started": "x"}, "timeline": timeline}
        )
        server.start()
        yield path
        server.stop()
    stand.engine.close()


def test_every_step_with_its_time(socket: Path) -> None:
    done = CliRunner().invoke(app, ["explain-prepare", "c1", "--socket", str(socket), "-o", "json"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    steps = [(entry["what"], entry["key"]) for entry in content["entries"]]
    assert steps[:3] == [("preparing", ""), ("apply", "thing/a"), ("applied", "thing/a")]
    first = steps.index(("error", "thing/b"))
    assert ("reverted", "thing/a") in steps[first:]
    assert steps[-1] == ("prepared", "")
    assert any("the hardware says no" in entry["text"] for entry in content["entries"])
    assert [entry["at"] for entry in content["entries"]] == sorted(e["at"] for e in content["entries"])


def test_for_a_person(socket: Path) -> None:
    done = CliRunner().invoke(app, ["explain-prepare", "c1", "--socket", str(socket)])
    assert done.exit_code == 0, done.output
    assert "Claim default/claim-c1 is prepared since " in done.stdout
    assert "things.thing thing/b" in done.stdout


def test_a_claim_that_nobody_knows(socket: Path) -> None:
    done = CliRunner().invoke(app, ["explain-prepare", "c9", "--socket", str(socket)])
    assert isinstance(done.exception, DracoreError)
    assert "nothing is known here of a claim with uid 'c9'" in str(done.exception)


def test_a_uid_is_one_word() -> None:
    done = CliRunner().invoke(app, ["explain-prepare", "a b"])
    assert done.exit_code == 2
