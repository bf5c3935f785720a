"""Fixtures for tests against a real Kubernetes. `make cluster-test` builds what they run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from realcluster import needs  # noqa: E402
from realcluster.binaries import ALL, API_SERVER_ONLY, Binaries  # noqa: E402
from realcluster.cluster import Cluster  # noqa: E402
from realcluster.controlplane import ApiServer  # noqa: E402
from realcluster.driver import Driver  # noqa: E402
from realcluster.node import Node  # noqa: E402
from realcluster.process import tail  # noqa: E402
from realcluster.testbed import Testbed  # noqa: E402
from realcluster.workspace import Workspace  # noqa: E402

FAILED = pytest.StashKey[bool]()
LOGS = pytest.StashKey[Path]()
SIZES = pytest.StashKey[dict[Path, int]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("cluster")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180))


# ------------------------------------------------------------ what failed tests show


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    logs = item.config.stash.get(LOGS, None)
    item.stash[SIZES] = {path: path.stat().st_size for path in logs.glob("*.log")} if logs else {}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        workspace = getattr(item, "funcargs", {}).get("workspace")
        if isinstance(workspace, Workspace) and report.when != "teardown":
            try:
                report.sections.append(("objects", workspace.report()))
            except Exception as error:  # the report must not hide the failure
                report.sections.append(("objects", f"could not be read: {error!r}"))
        if logs := item.config.stash.get(LOGS, None):
            for path in sorted(logs.glob("*.log")):
                before = item.stash[SIZES].get(path, 0)
                if text := tail(path, 15, offset=before):
                    report.sections.append((f"end of {path}", text))
    return report


# ----------------------------------------------------------------- servers and nodes


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Where every component logs; pytest keeps the folders of the last three sessions."""
    folder = tmp_path_factory.mktemp("logs")
    request.config.stash[LOGS] = folder
    return folder


def _binaries(node: bool) -> Binaries:
    try:
        needs.require(node)
        binaries = Binaries()
    except needs.NotReady as error:
        pytest.fail(str(error), pytrace=False)
    if missing := binaries.missing(ALL if node else API_SERVER_ONLY):
        names = ", ".join(module.name for module in missing)
        pytest.fail(
            f"not built: {names}; run `make cluster-test`, or {HERE / 'build.py'} first", pytrace=False
        )
    return binaries


@pytest.fixture(scope="session")
def cluster(logs: Path) -> Iterator[Cluster]:
    """The control plane, and nodes on demand."""
    made = Cluster(_binaries(node=True), logs)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def api_server(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd and an API server on loopback, nothing else; needs no root."""
    server = ApiServer(_binaries(node=False), tmp_path_factory.mktemp("api"), logs)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def emulated(logs: Path, tmp_path: Path) -> Iterator[Callable[[str], ApiServer]]:
    """Starts an API server that behaves as an older minor release: emulated("1.34")."""
    servers: list[ApiServer] = []

    def start(version: str) -> ApiServer:
        folder = logs / f"emulated-{version}-{len(servers)}"
        server = ApiServer(_binaries(node=False), tmp_path / version, folder, emulate=version)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def nodes(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., list[Node]]]:
    """nodes("a", "b"): ready nodes. They live on for the next test, unless this one fails."""
    used: set[str] = set()

    def ready(*shorts: str) -> list[Node]:
        used.update(shorts)
        return cluster.nodes(*shorts)

    yield ready
    if request.node.stash.get(FAILED, False):
        for short in used:
            cluster.discard(short)


@pytest.fixture
def node(nodes: Callable[..., list[Node]]) -> Node:
    return nodes("a")[0]


@pytest.fixture
def start_driver(
    cluster: Cluster, nodes: Callable[..., list[Node]], request: pytest.FixtureRequest
) -> Iterator[Callable[..., Driver]]:
    """start_driver(node, ...): a driver that has registered and published. See `Driver` for the arguments.

    What its plugins need in the cluster is applied first, as an operator does it once.
    After a test that passed, each is asked to end, and must leave a node with nothing on it.
    """
    drivers: list[Driver] = []

    def start(node: Node, **settings: object) -> Driver:
        driver = Driver(node, cluster.plane, **settings)  # type: ignore[arg-type]
        drivers.append(driver)
        cluster.once(f"manifests of {sorted(driver.plugins)}", driver.apply_manifests)
        driver.start()
        driver.wait_published()
        return driver

    yield start
    failed = request.node.stash.get(FAILED, False)
    try:
        for driver in drivers:
            if driver.running and not failed:
                driver.check_nothing_left()
        for driver in drivers:
            code = driver.stop()
            assert failed or code in (0, None), f"{driver.name} ended with {code} on SIGTERM: {driver.log}"
    finally:
        for driver in drivers:
            driver.kill()
        for driver in drivers:
            driver.forget()


@pytest.fixture
def testbed(tmp_path: Path) -> Testbed:
    """The hardware of the tests' own plugin."""
    return Testbed(tmp_path / "testbed")


@pytest.fixture
def workspace(
    cluster: Cluster, start_driver: Callable[..., Driver], request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    """A namespace of the test's own. It ends before the drivers do: its claims must be unprepared."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50].strip("-")
    made = Workspace(cluster.plane, name)
    made.start()
    yield made
    made.stop(5.0 if request.node.stash.get(FAILED, False) else 25.0)
