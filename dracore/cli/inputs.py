"""What `simulate`, `explain` and `lint` read: files, node configurations, slices, a cluster."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dracore.errors import AllocationError, ConfigError

if TYPE_CHECKING:
    from dracore.allocate.documents import Source
    from dracore.allocate.features import Features
    from dracore.allocate.world import World

RESOURCES = "/apis/resource.k8s.io/v1"
KINDS = {
    "/api/v1/nodes": ("v1", "Node"),
    f"{RESOURCES}/deviceclasses": ("resource.k8s.io/v1", "DeviceClass"),
    f"{RESOURCES}/resourceslices": ("resource.k8s.io/v1", "ResourceSlice"),
    f"{RESOURCES}/resourceclaims": ("resource.k8s.io/v1", "ResourceClaim"),
    f"{RESOURCES}/resourceclaimtemplates": ("resource.k8s.io/v1", "ResourceClaimTemplate"),
}
RULES = (
    (f"{RESOURCES}/devicetaintrules", "resource.k8s.io/v1"),
    ("/apis/resource.k8s.io/v1beta2/devicetaintrules", "resource.k8s.io/v1beta2"),
    ("/apis/resource.k8s.io/v1alpha3/devicetaintrules", "resource.k8s.io/v1alpha3"),
)


def read(file: str) -> Source:
    """A file, or standard input as ``-``.

    :raises ConfigError: it cannot be read.
    """
    from dracore.allocate.documents import Source

    if file == "-" and sys.stdin is None:
        raise ConfigError("is closed", where="standard input", fix="give a file, or something to read")
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return Source("standard input" if file == "-" else file, data.decode())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=file) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}", where=file) from None


def base(
    configs: Sequence[str],
    slices: str | None,
    kubeconfig: str | None,
    pod: tuple[str, str] | None = None,
) -> World:
    """The cluster that files are added to.

    :param configs: node configurations: the slices and classes of their plugins, offline.
    :param kubeconfig: a file; empty: as kubectl finds one.
    :param pod: ``pod/NAME`` and its namespace, to be had from the cluster as well.
    :raises DracoreError: something of it cannot be had.
    """
    from dracore.allocate.world import World

    world = World()
    with _uncollected():
        if kubeconfig is not None:
            _from_cluster(world, kubeconfig, pod)
        if slices is not None:
            world.read(read(slices))
        for config in configs:
            _from_config(world, config)
    return world


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles: there are none in what is read, and the looking takes more than half."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def release_of(world: World, server_version: str | None) -> str:
    """Whose gates and CEL count: what was asked for, else the cluster's version, else the newest."""
    from dracore.allocate.features import RELEASES

    if server_version is not None:
        return server_version
    for release in world.release:
        if release in RELEASES:
            return release
        click.echo(f"dracore: note: Kubernetes {release} is not known; as {RELEASES[-1]}", err=True)
    return RELEASES[-1]


def features(server_version: str, gates: Sequence[str]) -> Features:
    """The features of a release with some gates set otherwise, as ``Name=true,Other=false``.

    Says on stderr where no server runs with these.

    :raises AllocationError: not known, or not of that form.
    """
    from dracore.allocate.features import Features, doubts

    wanted = gates_of(gates)
    found = Features.of(server_version, wanted)
    for doubt in doubts(server_version, wanted):
        click.echo(f"dracore: note for Kubernetes {server_version}: {doubt}", err=True)
    return found


def gates_of(gates: Sequence[str]) -> dict[str, bool]:
    """Gates as given on the command line.

    :raises AllocationError: not of the form ``Name=true``.
    """
    wanted = {}
    for text in (part.strip() for gate in gates for part in gate.split(",")):
        if not text:
            continue
        name, equals, value = text.partition("=")
        if not equals or value.lower() not in ("true", "false"):
            raise AllocationError(f"the gate {text!r} is not of the form Name=true")
        wanted[name.strip()] = value.lower() == "true"
    return wanted


def _from_config(world: World, file: str) -> None:
    import logging

    from dracore.allocate.documents import Object, Source
    from dracore.cli.slices import _slices, _untouched
    from dracore.config import load
    from dracore.inventory.offline import look
    from dracore.manifests import objects
    from dracore.node import is_dense, offered
    from dracore.observe.logs import configure_logs

    loaded = load(file)
    configuration = loaded.configuration
    configure_logs("console", level=logging.CRITICAL)
    with _untouched(configuration.simulated()) as simulation:
        looks = look(
            loaded.plugins, configuration.node, simulation=simulation, offered=offered(configuration.filter)
        )
    source = Source(str(file), "")
    found: list[Any] = [
        item
        for driver, seen in looks.items()
        for item in _slices(driver, configuration.node, seen, is_dense(loaded.plugins, driver))
    ]
    # Several nodes have the classes of one plugin once; those of --slices win.
    found += [item for item in objects(loaded.plugins) if item["metadata"]["name"] not in world.classes]
    if configuration.node not in world.nodes:
        found.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": configuration.node}})
    for item in found:
        world.add(Object(item, source, 1))


def _from_cluster(world: World, kubeconfig: str, pod: tuple[str, str] | None) -> None:
    from dracore.allocate.documents import Object, Source
    from dracore.errors import Forbidden, NotFound
    from dracore.kube.client import KubeClient

    client = KubeClient.connect(Path(kubeconfig) if kubeconfig else None)
    source = Source("the cluster", "")
    try:
        found = client.server_version()
        # A vendor's minor version may end in a sign: 37+.
        world.release = [f"{found.get('major')}.{str(found.get('minor')).rstrip('+')}"]
        for path, (version, kind) in KINDS.items():
            for item in client.list(path):
                world.add(Object({"apiVersion": version, "kind": kind, **item}, source, 1))
        for path, version in RULES:
            try:
                rules = client.list(path)
            except (NotFound, Forbidden):
                continue
            for item in rules:
                world.add(Object({"apiVersion": version, "kind": "DeviceTaintRule", **item}, source, 1))
            break
        if pod is not None and pod[0].startswith("pod"):
            name = pod[0].partition("/")[2]
            try:
                item = client.get(f"/api/v1/namespaces/{pod[1]}/pods/{name}")
            except NotFound:
                raise ConfigError(
                    f"there is no pod {name} in namespace {pod[1]}", fix="see -n NAMESPACE"
                ) from None
            world.add(Object({**item, "apiVersion": "v1", "kind": "Pod"}, source, 1))
    finally:
        client.close()
