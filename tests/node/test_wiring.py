"""What one driver's parts tell each other: handover, releases by the reconciler, looks on demand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dracore.errors import Busy, JournalError
from dracore.node.driver import DriverNode
from dracore.node.parts import Parts
from dracore.node.reports import Reports
from dracore.observe.metrics import Metrics


class Part:
    """Notes what is asked of it."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **more: Any) -> Any:
            self.asked.append(name)
            return self._answers.get(name)

        return ask


@pytest.fixture
def driver(tmp_path: Path) -> Any:
    kubelet = SimpleNamespace(
        plugins_dir=tmp_path / "plugins",
        registry_dir=tmp_path / "registry",
        pod_resources_socket=tmp_path / "pods.sock",
    )
    shared: Any = SimpleNamespace(
        configuration=SimpleNamespace(kubelet=kubelet, node="node-1"),
        metrics=Metrics(),
        instance="",
        seam=lambda point, detail="": None,
        hooks=Part(plugins=["toys"]),
    )
    made = DriverNode("toys.example.com", shared, Reports("toys.example.com", "node-1", shared.metrics))
    yield made
    made.endpoint.stop()


class TestHandover:
    def test_who_becomes_the_publisher_publishes_and_reconciles(self, driver: Any) -> None:
        driver._publisher, driver._reconciler = Part(), Part()
        driver._may_publish()
        assert driver._publisher.asked == ["refresh"]
        assert driver._reconciler.asked == ["kick"]

    def test_before_there_is_an_api_server_nothing_is_to_be_done(self, driver: Any) -> None:
        driver._may_publish()

    def test_it_is_told_when_the_instances_turn(self, driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """As `open` wires it: only for the turn to publisher."""
        told: list[Any] = []

        class Stop(Exception):
            pass

        def instances(*arguments: Any, on_change: Any, **more: Any) -> Any:
            told.append(on_change)
            raise Stop

        monkeypatch.setattr("dracore.node.parts.Instances", instances)
        journal = Part()
        monkeypatch.setattr("dracore.node.parts.Journal", Part(open=journal))
        driver._shared.configuration.simulated = lambda: None
        driver._shared.offered = lambda: None
        with pytest.raises(Stop):
            driver.open(lambda: False, lambda: None)
        assert journal.asked == ["close"], "nothing stays open of what could not be opened whole"
        (on_change,) = told
        driver._publisher, driver._reconciler = Part(), Part()
        on_change(False)
        assert driver._publisher.asked == []
        on_change(True)
        assert (driver._publisher.asked, driver._reconciler.asked) == (["refresh"], ["kick"])


class TestClaimsThatEnded:
    def test_a_lost_or_tainted_device_may_leave_now(self, driver: Any) -> None:
        for answers in ({"lost": [("n", "d")]}, {"drifted": {("n", "d"): "x"}}):
            driver.parts = SimpleNamespace(inventory=Part(**answers))
            driver.claims_ended()
            assert driver.parts.inventory.asked[-1] == "refresh"
        driver.parts = SimpleNamespace(inventory=Part())
        driver.claims_ended()
        assert "refresh" not in driver.parts.inventory.asked

    def test_what_is_withheld_while_prepared_may_be_withheld_now(self, driver: Any) -> None:
        driver.parts = SimpleNamespace(inventory=Part())
        for degradations, refreshed in ((("less",), True), ((), False)):
            driver._publisher = Part(status=SimpleNamespace(degradations=degradations, published=None))
            driver.claims_ended()
            assert ("refresh" in driver._publisher.asked) is refreshed


class TestLooksOnDemand:
    def test_without_an_api_server(self, driver: Any) -> None:
        assert driver.reconcile() is False

    def test_they_are_waited_for(self, driver: Any) -> None:
        driver._reconciler = Part(look_now=True)
        assert driver.reconcile() is True
        assert driver._reconciler.asked == ["look_now"]


def test_a_journal_that_cannot_be_read_is_a_text_of_status_not_its_end() -> None:
    def fail(*_: Any) -> Any:
        raise JournalError("it is malformed")

    parts: Any = Parts.__new__(Parts)
    parts.engine = SimpleNamespace(snapshot=fail)
    parts.instances = SimpleNamespace(is_publisher=fail)
    assert parts.snapshot().claims == ()
    assert parts.publishes() is False
    with pytest.raises(JournalError):
        parts.prepared()  # what cannot be read must not count as nothing


def test_before_it_is_open_there_is_nothing_to_tell_but_why(driver: Any) -> None:
    assert (driver.snapshot().claims, list(driver.pools()), driver.publishes()) == ((), [], False)
    assert driver.check() == [], "a start is no reason to end the process"
    assert driver.not_ready() == ["toys.example.com: the driver is starting"]
    assert driver.degradations() == ["the driver is starting"]
    (plugin,) = driver.plugins()
    assert (plugin.plugin, plugin.state) == ("toys", "waiting")
    with pytest.raises(Busy, match="the driver is starting"):
        driver.endpoint.service._engine.prepare(None, None)


def test_files_alone_say_what_nobody_serves(tmp_path: Path) -> None:
    from dracore.node.orphans import unserved
    from dracore.prepare import Instances, Journal

    assert unserved(tmp_path / "nothing", ()) == []
    (tmp_path / "csi.example.com").mkdir()
    (tmp_path / "csi.example.com" / "journal.db").write_text("another's")
    journal = Journal.open(tmp_path / "toys.example.com")
    assert unserved(tmp_path, ()) == []
    journal.write(
        "test",
        lambda tx: tx.execute(
            "INSERT INTO effects (key, kind, params, state, seq, distribution, may_defer, since)"
            " VALUES ('k', 'k', '{}', 'applied', 1, '', 0, 0)"
        ),
    )
    (text,) = unserved(tmp_path, ())
    assert text.startswith("toys.example.com: 0 claims and 1 effects")
    assert unserved(tmp_path, ["toys.example.com"]) == []
    instances = Instances(journal, tmp_path / "toys.example.com", "one")
    instances.start()
    assert unserved(tmp_path, ()) == [], "another process serves it"
    instances.stop()
    assert len(unserved(tmp_path, ())) == 1
    journal.close()
