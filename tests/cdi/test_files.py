"""Spec files on disk: whole or not at all, compared, removed, swept."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from dracore.cdi import Cdi, Part, Spec
from dracore.errors import CdiError
from dracore.model.claim import Result
from dracore.model.edits import ContainerEdits, DeviceNode

UID = "0f1e2d3c-0000-4000-8000-000000000001"
OTHER_UID = "0f1e2d3c-0000-4000-8000-000000000002"


def specs_of(cdi: Cdi, uid: str = UID) -> dict[str, Spec]:
    edits = ContainerEdits(device_nodes=(DeviceNode("/dev/nvidia0", type="c", major=195, minor=0),))
    common = ContainerEdits(device_nodes=(DeviceNode("/dev/nvidiactl", type="c", major=195, minor=255),))
    result = Result("r", "gpu.example.com", "p", "gpu-0")
    return cdi.render(uid, [Part(result, [("gpus", edits)], [("gpus", common)])])


def listing(cdi: Cdi) -> list[str]:
    return sorted(os.listdir(cdi.directory))


def test_written_files_are_intact_and_removed_ones_are_not(cdi: Cdi) -> None:
    specs = specs_of(cdi)
    assert not cdi.intact(specs)
    cdi.write(specs)
    assert cdi.intact(specs)
    (path,) = cdi.directory.iterdir()
    assert path.name == f"dracore-gpu.example.com-{UID}.json"
    assert path.read_text() == specs[path.name].text
    path.write_text("{}")
    assert not cdi.intact(specs)
    cdi.write(specs)
    assert cdi.intact(specs)
    cdi.remove(specs)
    cdi.remove(specs)
    assert listing(cdi) == []


def test_steps_of_writing_in_order(cdi: Cdi, seam: Any) -> None:
    specs = specs_of(cdi)
    (name,) = specs
    cdi.write(specs)
    cdi.remove(specs)
    assert seam.points == [
        ("cdi.write.before", f".{name}.tmp"),
        ("cdi.write.after", f".{name}.tmp"),
        ("cdi.fsync.before", f".{name}.tmp"),
        ("cdi.fsync.after", f".{name}.tmp"),
        ("cdi.rename.before", name),
        ("cdi.rename.after", name),
        ("cdi.dirsync.before", "cdi"),
        ("cdi.dirsync.after", "cdi"),
        ("cdi.remove.before", name),
        ("cdi.remove.after", name),
        ("cdi.dirsync.before", "cdi"),
        ("cdi.dirsync.after", "cdi"),
    ]


def test_a_writer_that_dies_anywhere_leaves_the_old_file_or_the_new_one(cdi: Cdi, seam: Any) -> None:
    specs = specs_of(cdi)
    (name,) = specs
    cdi.write(specs)
    before = (cdi.directory / name).read_text()
    changed = {name: Spec(before.replace("195", "196"))}
    steps = [point for point, _ in seam.points]
    for step in steps:
        cdi.write(specs)
        seam.fail_at = step
        with pytest.raises(KeyboardInterrupt):
            cdi.write(changed)
        seam.fail_at = ""
        renamed = steps.index(step) > steps.index("cdi.rename.before")
        assert (cdi.directory / name).read_text() == (changed[name].text if renamed else before)
        # No runtime reads what the dead writer left, and the next writer or sweep takes it away.
        assert {path.suffix for path in cdi.directory.iterdir()} <= {".json", ".tmp"}
        cdi.sweep(lambda: ())
        assert listing(cdi) == []


def test_the_transform_is_the_last_step(tmp_path: Path) -> None:
    def null_nodes(spec: dict[str, Any]) -> dict[str, Any]:
        for part in (spec, *spec.get("devices", ())):
            for node in part.get("containerEdits", {}).get("deviceNodes", ()):
                node |= {"major": 1, "minor": 3}
        return spec

    cdi = Cdi(tmp_path, "gpu.example.com", transform=null_nodes)
    for uid in (UID, OTHER_UID):  # the second one has the common edits from memory
        specs = specs_of(cdi, uid)
        (name, spec), *_ = specs.items()
        assert spec.text.count('"major":195') == 2
        cdi.write(specs)
        written = json.loads((tmp_path / name).read_text())
        for part in (written, written["devices"][0]):
            (node,) = part["containerEdits"]["deviceNodes"]
            assert (node["major"], node["minor"]) == (1, 3)
        # Out of the journal, where only what was rendered is kept, comes the same file to the byte.
        kept = {name: Spec(spec.own, spec.common) for name, spec in specs.items()}
        assert cdi.intact(specs)
        assert cdi.intact(kept)
        cdi.write(kept)
        assert cdi.intact(specs)
        (tmp_path / name).write_text(spec.text)
        assert not cdi.intact(specs)
        assert not cdi.intact(kept)


def test_sweep_removes_orphans_and_nothing_of_others(cdi: Cdi) -> None:
    cdi.write(specs_of(cdi))
    cdi.write(specs_of(cdi, OTHER_UID))
    kept = {
        f"dracore-gpu.example.com-{UID}.json",
        "k8s.gpu.example.com-claim_1.yaml",
        f"k8s.gpu.example.com-claim_{OTHER_UID}.json",
        f"dracore-gpu.example.com-extra-{OTHER_UID}.json",
        f"dracore-other.example.com-{OTHER_UID}.json",
        f"dracore-gpuXexample.com-{OTHER_UID}.json",
        "dracore-gpu.example.com-notes.json",
        f"dracore-gpu.example.com-{OTHER_UID}.json.bak",
    }
    for name in kept - {f"dracore-gpu.example.com-{UID}.json"}:
        (cdi.directory / name).write_text('{"kind": "k8s.other/claim"}')
    gone = {
        f"dracore-gpu.example.com-{OTHER_UID}.json",
        f"dracore-gpu.example.com-{OTHER_UID}-1.json",
        f".dracore-gpu.example.com-{OTHER_UID}.json.tmp",
        "dracore-gpu.example.com-claim-1.json",
    }
    (cdi.directory / f"dracore-gpu.example.com-{OTHER_UID}-1.json").write_text("torn")
    (cdi.directory / f".dracore-gpu.example.com-{OTHER_UID}.json.tmp").write_text("")
    (cdi.directory / "dracore-gpu.example.com-claim-1.json").write_text(json.dumps({"kind": cdi.kind}))
    assert set(cdi.sweep(lambda: {UID})) == gone
    assert set(listing(cdi)) == kept
    assert cdi.sweep(lambda: {UID}) == []


def test_sweep_reads_the_directory_before_it_asks_who_is_known(cdi: Cdi) -> None:
    """Another instance may prepare a claim in between; its file must stay."""
    cdi.write(specs_of(cdi, OTHER_UID))

    def known() -> set[str]:
        cdi.write(specs_of(cdi, UID))
        return set()

    cdi.sweep(known)
    assert listing(cdi) == [f"dracore-gpu.example.com-{UID}.json"]


def test_sweep_of_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert Cdi(tmp_path / "none", "gpu.example.com").sweep(lambda: ()) == []


def test_a_directory_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cdi = Cdi(tmp_path / "file", "gpu.example.com")
    with pytest.raises(CdiError, match=r"cannot write .*\.json: .*; check cdi\.dir"):
        cdi.write(specs_of(cdi))
    cdi.remove(specs_of(cdi))  # what could not be written need not be removed
    with pytest.raises(CdiError, match="cannot list"):
        cdi.sweep(lambda: ())
    blocked = Cdi(tmp_path, "gpu.example.com")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(CdiError, match="cannot remove"):
        blocked.remove(["d.json"])
    specs = specs_of(blocked)
    (tmp_path / next(iter(specs))).mkdir()
    with pytest.raises(CdiError, match="cannot write"):
        blocked.write(specs)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_read_only_directory_keeps_no_claim_whose_file_is_not_there(
    cdi: Cdi, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = specs_of(cdi)
    cdi.write(specs)

    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    cdi.remove(["gone.json"])
    with pytest.raises(CdiError, match="Read-only file system"):
        cdi.remove(specs)
