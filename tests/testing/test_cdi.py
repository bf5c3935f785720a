"""The CDI reader: what a container gets, and what a runtime would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dracore.testing.cdi import CdiCache, CdiError, container_view


def spec(
    folder: Path, name: str, devices: dict[str, Any], *, kind: str = "k8s.x.com/claim", **more: Any
) -> None:
    content = {
        "cdiVersion": "0.6.0",
        "kind": kind,
        "devices": [{"name": key, "containerEdits": edits} for key, edits in devices.items()],
        **more,
    }
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def test_edits_are_merged_in_order_and_common_ones_once(tmp_path: Path) -> None:
    first = {"env": ["A=1", "B=x=y"], "deviceNodes": [{"path": "/dev/a"}], "additionalGids": [5]}
    second = {"env": ["A=2"], "deviceNodes": [{"path": "/dev/b"}], "additionalGids": [5, 6]}
    common = {
        "env": ["C=3"],
        "mounts": [{"hostPath": "/h", "containerPath": "/c"}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/hook"}],
    }
    spec(tmp_path, "a.json", {"one": first, "two": second, "three": {"env": ["D=4"]}}, containerEdits=common)
    view = container_view(tmp_path, ["k8s.x.com/claim=one", "k8s.x.com/claim=two"])
    assert view.env == {"A": "2", "B": "x=y", "C": "3"}
    assert view.paths() == ["/dev/a", "/dev/b"]
    assert view.additional_gids == [5, 6]
    assert [mount["containerPath"] for mount in view.mounts] == ["/c"]
    assert len(view.hooks) == 1


def test_missing_and_ambiguous_ids_are_errors(tmp_path: Path) -> None:
    spec(tmp_path, "a.json", {"one": {"env": ["A=1"]}})
    with pytest.raises(CdiError, match=r"unresolvable CDI devices k8s\.x\.com/claim=none"):
        container_view(tmp_path, ["k8s.x.com/claim=none"])
    with pytest.raises(CdiError, match="is not a CDI device id"):
        container_view(tmp_path, ["one"])
    spec(tmp_path, "b.json", {"one": {"env": ["A=2"]}})
    with pytest.raises(CdiError, match="conflicting device"):
        container_view(tmp_path, ["k8s.x.com/claim=one"])


def test_later_directory_wins(tmp_path: Path) -> None:
    static, run = tmp_path / "etc", tmp_path / "run"
    spec(static, "a.json", {"one": {"env": ["A=static"]}})
    spec(run, "a.json", {"one": {"env": ["A=run"]}})
    assert CdiCache([static, run]).resolve(["k8s.x.com/claim=one"]).env == {"A": "run"}


def test_broken_files_hide_only_themselves_and_are_named(tmp_path: Path) -> None:
    spec(tmp_path, "good.json", {"one": {"env": ["A=1"]}})
    spec(tmp_path, "empty.json", {"two": {}})
    spec(tmp_path, "version.json", {"three": {"env": ["A=1"]}}, cdiVersion="9.9.9")
    (tmp_path / "torn.json").write_text('{"cdiVersion":')
    (tmp_path / ".hidden.json").write_text("not read")
    cache = CdiCache([tmp_path])
    assert cache.ids() == ["k8s.x.com/claim=one"]
    assert {path.name for path in cache.errors} == {"empty.json", "version.json", "torn.json"}
    with pytest.raises(CdiError, match="has no edits"):
        cache.resolve(["k8s.x.com/claim=two"])


def test_cache_reads_again_only_when_told(tmp_path: Path) -> None:
    cache = CdiCache([tmp_path])
    spec(tmp_path, "a.json", {"one": {"env": ["A=1"]}})
    assert cache.ids() == []
    cache.refresh()
    assert cache.ids() == ["k8s.x.com/claim=one"]
