"""Scenario 16: two nodes, each with a driver that looks after its own."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.cluster import Cluster
from realcluster.driver import GPU, Driver
from realcluster.manifests import pod as pod_manifest
from realcluster.manifests import template
from realcluster.node import Node
from realcluster.workspace import Workspace


def test_pods_spread_and_drivers_write_their_own_slices(
    cluster: Cluster,
    nodes: Callable[..., list[Node]],
    start_driver: Callable[..., Driver],
    workspace: Workspace,
) -> None:
    first, second = nodes("a", "b")
    begun = {node.short: len(cluster.plane.writes(f"driver-{node.short}")) for node in (first, second)}
    drivers = {node.name: start_driver(node) for node in (first, second)}
    workspace.apply(template("one"))
    names = [f"spread-{number}" for number in range(4)]
    for name in names:
        workspace.apply(spread(pod_manifest(name, template="one"), first.name, second.name))
    pods = workspace.wait_running(*names)
    homes = [pod["spec"]["nodeName"] for pod in pods]
    assert sorted(homes) == [first.name] * 2 + [second.name] * 2

    for pod in pods:
        name, home = pod["metadata"]["name"], pod["spec"]["nodeName"]
        claim = workspace.claim_of(pod)
        [result] = claim["status"]["allocation"]["devices"]["results"]
        assert result["pool"] == home
        assert workspace.gpu_nodes(name) == [f"/dev/nvidia{result['device'].removeprefix('gpu-')}"]
        for node_name, driver in drivers.items():
            assert (claim["metadata"]["uid"] in driver.prepared()) is (node_name == home)

    # One driver goes away and comes back: the other's slices are not its affair.
    untouched = versions(drivers[second.name])
    drivers[first.name].kill()
    cluster.api.delete_all("ResourceSlice", fields=f"spec.nodeName={first.name}")
    drivers[first.name].start()
    drivers[first.name].wait_published()
    assert versions(drivers[second.name]) == untouched

    for node in (first, second):
        written = cluster.plane.writes(f"driver-{node.short}")[begun[node.short] :]
        assert written
        about = {record.get("requestObject", {}).get("spec", {}).get("nodeName") for record in written}
        own = {part["metadata"]["name"] for part in drivers[node.name].slices(GPU)}
        deleted = {r["objectRef"].get("name") for r in written if r["verb"] == "delete"}
        other = {
            part["metadata"]["name"] for n, d in drivers.items() if n != node.name for part in d.slices()
        }
        assert about <= {node.name, None}
        assert own
        assert not deleted & other


def versions(driver: Driver) -> dict[str, str]:
    return {part["metadata"]["name"]: part["metadata"]["resourceVersion"] for part in driver.slices()}


def spread(pod: dict, *nodes: str) -> dict:  # type: ignore[type-arg]
    """Evenly over these nodes; the cluster may still know others, of scenarios before."""
    pod["metadata"]["labels"] = {"app": "spread"}
    # matchFields takes one value a term; terms are alternatives.
    terms = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes
    ]
    required = {"nodeSelectorTerms": terms}
    pod["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    pod["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "spread"}},
        }
    ]
    return pod
