"""The node configuration: what is read, and how everything that is wrong is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dracore.config import Loaded, NodeConfiguration, changes, load, parse, schema
from dracore.errors import ConfigError
from dracore.model.context import Simulation

Parse = Callable[..., Loaded]
Faults = Callable[..., list[str]]
MINIMAL = "node: n1\nplugins: {plain: }\n"


@pytest.fixture
def good(find: Any) -> Parse:
    def good(text: str, env: dict[str, str] | None = None, overrides: dict[str, Any] | None = None) -> Loaded:
        return parse(text, "node.yaml", env or {}, overrides, find=find)

    return good


@pytest.fixture
def faults(good: Parse) -> Faults:
    def faults(text: str, env: dict[str, str] | None = None, **more: Any) -> list[str]:
        with pytest.raises(ConfigError) as error:
            good(text, env, **more)
        return [str(problem).removeprefix("node.yaml:") for problem in error.value.problems or [error.value]]

    return faults


def test_defaults(good: Parse) -> None:
    loaded = good(MINIMAL)
    node = loaded.configuration
    assert node.kubelet.plugins_dir == Path("/var/lib/kubelet/plugins")
    assert node.kubelet.registry_dir == Path("/var/lib/kubelet/plugins_registry")
    assert node.kubelet.pod_resources_socket == Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    assert node.host.boot_id_file == Path("/proc/sys/kernel/random/boot_id")
    assert node.host.status_socket == Path("/run/dracore/status.sock")
    assert node.cdi.dir == Path("/var/run/cdi")
    assert (node.observe.logs, node.observe.port) == ("json", None)
    assert node.kube.kubeconfig is None
    assert node.filter is None
    assert node.simulated() is None
    assert loaded.plugins.drivers() == ("plain.example.com",)
    assert loaded.plugins.settings("plain") is None


def test_the_whole_file(good: Parse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = good(
        """
        apiVersion: dracore.dev/v1alpha1
        kind: NodeConfiguration
        node: ${NODE_NAME}
        plugins:
          plain:
          gpus: {driverRoot: "${ROOT:-/run/nvidia}", limits: {watts: 400}, names: [a, 2026-01-01]}
        filter: device.driver == 'gpu.example.com'
        kube: {kubeconfig: kubeconfig.yaml}
        kubelet: {rootDir: /k, registryDir: /r}
        host: {statusSocket: run/status.sock}
        cdi: {dir: cdi}
        observe:
          logs: console
          port: ${PORT}
        simulation: {node: dgx-h100, stateDir: state}
        """,
        {"NODE_NAME": "node-1", "PORT": "9440"},
    )
    node = loaded.configuration
    assert node.node == "node-1"
    assert node.observe.port == 9440
    assert node.kubelet.plugins_dir == Path("/k/plugins")
    assert node.kubelet.registry_dir == Path("/r")
    assert node.kube.kubeconfig == tmp_path / "kubeconfig.yaml"
    assert node.host.status_socket == tmp_path / "run/status.sock"
    assert node.simulated() == Simulation("dgx-h100", tmp_path / "state", node.host.boot_id_file)
    settings = loaded.plugins.settings("gpus")
    assert (settings.driverRoot, settings.limits.watts) == (Path("/run/nvidia"), 400)
    assert settings.names == ["a", "2026-01-01"]
    assert loaded.plugins.plugins() == ("plain", "gpus")


def test_several_faults_are_all_told_with_line_path_and_nearest_name(faults: Faults) -> None:
    assert faults(
        """apiVersion: dracore.dev/v1
node: n1
plugins:
  gpu: {}
  gpus:
    driverRoute: /
    limits: {wats: 3}
    names: x
  plain: {a: 1}
kubelet: {rootdir: /x}
observe:
  logs: jsn
  port: "9440"
filter: no
simulation:
  node: 7
"""
    ) == [
        "1: apiVersion: found \"dracore.dev/v1\" (text), allowed: 'dracore.dev/v1alpha1'; "
        "did you mean 'dracore.dev/v1alpha1'?",
        "4: plugins.gpu: plugin 'gpu' is not installed (installed: broken, gpus, plain); "
        "did you mean 'gpus'?",
        "6: plugins.gpus.driverRoute: unknown key 'driverRoute'; did you mean 'driverRoot'? "
        "(allowed here: driverRoot, limits, names, poll)",
        "7: plugins.gpus.limits.wats: unknown key 'wats'; did you mean 'watts'? (allowed here: watts)",
        '8: plugins.gpus.names: found "x" (text), allowed: a list',
        "9: plugins.plain.a: unknown key 'a'; plain has no settings",
        "10: kubelet.rootdir: unknown key 'rootdir'; did you mean 'rootDir'? "
        "(allowed here: rootDir, pluginsDir, registryDir, podResourcesSocket)",
        "12: observe.logs: found \"jsn\" (text), allowed: 'json' or 'console'; did you mean 'json'?",
        '13: observe.port: found "9440" (text), allowed: a whole number',
        "14: filter: found false, allowed: text",
        "15: simulation.stateDir: missing; "
        "Keeps the simulated hardware's state over restarts; made when missing.",
        "16: simulation.node: found 7 (a number), allowed: text",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing; The Kubernetes node's name"),
        ("- a", 'found ["a"] (a list), allowed: a section'),
        ("node: n1\nplugins: {}", "2: plugins: "),
        ("node: n1\nplugins: [gpus]", '2: plugins: found ["gpus"] (a list), allowed: a section'),
        ("node: n1\nplugins: {gpus: 3}", "2: plugins.gpus: found 3 (a number), allowed: a section"),
        ("node: Node_1\nplugins: {plain: }", '1: node: "Node_1" (text): a node\'s name is'),
        (
            "node: n1\nplugins: {broken: }",
            "2: plugins.broken: plugin broken of this process: cannot be imported",
        ),
        (
            MINIMAL + "kubelet: {root_dir: /x}",
            "3: kubelet.root_dir: unknown key 'root_dir'; did you mean 'rootDir'",
        ),
        (
            MINIMAL + "observe: {port: 70000}",
            "3: observe.port: found 70000 (a number), allowed: less than or eq",
        ),
        (MINIMAL + "cdi: {dir: null}", "3: cdi.dir: found null, allowed: text"),
        (MINIMAL + "node: n2", "3: node: stands twice, also in line 1; keep one"),
        (MINIMAL + "? [a]\n: b", "3: ?: the key […] is not text"),
        (
            MINIMAL + "filter: ${X}",
            "3: filter: the environment variable X is not set; set it, or give a default",
        ),
        (MINIMAL + "filter: ${X Y}", "3: filter: ${X Y} does not name a variable"),
        (MINIMAL + "kube: &a {kubeconfig: *a}", "3: kube.kubeconfig: refers to itself"),
        (MINIMAL + "filter: !!binary aGk=", "3: filter: 'aGk=' is not text, a number, true, false or null"),
        (MINIMAL + "filter: !!set {a}", "3: filter: found"),
        (MINIMAL + "filter: [", "not YAML: "),
        (MINIMAL + "observe: {port: ${X}}", "between { } a ${NAME} needs quotes, or a line of its own"),
        (MINIMAL + "filter: !custom x", "3: not YAML: "),
        (MINIMAL + "---\nnode: n2", "not YAML: expected a single document"),
        ("node: \x00", "not YAML: "),
    ],
)
def test_one_fault(faults: Faults, text: str, expected: str) -> None:
    (fault, *others) = faults(text)
    assert expected in fault
    assert not others or text == ""


def test_variables(good: Parse) -> None:
    def filter_of(text: str, **env: str) -> str | None:
        return good(MINIMAL + f"filter: {text}", env).configuration.filter

    assert filter_of("${A}-${B}", A="1", B="2") == "1-2"
    assert filter_of("${A:-x}") == filter_of("${A:-x}", A="") == "x"
    assert filter_of("$${A} $A", A="1") == "${A} $A"
    assert filter_of('"${A}"', A="1") == "1"
    assert good(MINIMAL + "filter: ${A:-}").configuration.filter is None
    # A value from the environment cannot bring structure or other variables with it.
    assert filter_of("${A}", A="{x: 1}") == "{x: 1}"
    assert filter_of("${A}", A="${B}") == "${B}"


def test_merge_keys_and_anchors(good: Parse) -> None:
    node = good(MINIMAL + "kubelet: &k {rootDir: /k}\nhost: {statusSocket: /s}").configuration
    assert node.kubelet.root_dir == Path("/k")
    text = "x: &base {rootDir: /k}\n"
    loaded = good("node: n1\nplugins: {gpus: &g {poll: 1}}\n").plugins.settings("gpus")
    assert loaded.poll == 1
    with pytest.raises(ConfigError, match="unknown key 'x'"):
        good(MINIMAL + text)
    merged = good(
        "node: n1\nplugins: {gpus: {limits: &l {watts: 1}}}\nkubelet: {<<: {rootDir: /m}}"
    ).configuration
    assert merged.kubelet.root_dir == Path("/m")


def test_overrides_win_over_the_file(good: Parse, faults: Faults) -> None:
    overrides = {"node": "n2", "kubelet.rootDir": "/o", "plugins.gpus.poll": 9}
    loaded = good("node: n1\nplugins: {gpus: }\nkubelet: {rootDir: /f}", overrides=overrides)
    assert loaded.configuration.node == "n2"
    assert loaded.configuration.kubelet.plugins_dir == Path("/o/plugins")
    assert loaded.plugins.settings("gpus").poll == 9
    assert "kubelet.rotDir: unknown key" in faults(MINIMAL, overrides={"kubelet.rotDir": "/o"})[0]


def test_sockets_that_would_be_too_long(faults: Faults, good: Parse) -> None:
    root = "/" + "x" * 60
    long = faults(
        MINIMAL
        + f"kubelet: {{rootDir: {root}, pluginsDir: {root}{'y' * 30}}}\nhost: {{statusSocket: /{'z' * 107}}}"
    )
    assert [fault.split(" is ")[0].split(": ")[:2] for fault in long] == [
        ["3", "kubelet.pluginsDir"],
        ["4", "host.statusSocket"],
    ]
    assert "108 bytes long, and a unix socket's path at most 107; choose a shorter folder" in long[1]
    assert good(MINIMAL + f"host: {{statusSocket: /{'z' * 106}}}")


def test_a_plugin_whose_settings_are_no_model(find_wrong: Any) -> None:
    with pytest.raises(ConfigError, match="hook dra_settings: dra_settings must return a pydantic model"):
        parse("node: n1\nplugins: {wrong: }", "node.yaml", {}, find=find_wrong)


def test_files_that_cannot_be_read(tmp_path: Path, find: Any) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml: No such file"):
        load(tmp_path / "none.yaml", {}, find=find)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        load(tmp_path / "binary.yaml", {}, find=find)
    (tmp_path / "node.yaml").write_text(MINIMAL)
    assert load(tmp_path / "node.yaml", {}, find=find).configuration.node == "n1"


def test_made_in_python() -> None:
    """Tests and embedders write it in Python's own names."""
    node = NodeConfiguration.model_validate(
        {"node": "n", "plugins": {"x": None}, "kubelet": {"root_dir": "/k"}}
    )
    assert node.kubelet.registry_dir == Path("/k/plugins_registry")


def test_schema(find: Any) -> None:
    result = schema(find)
    plugins = result["properties"]["plugins"]
    assert set(plugins["properties"]) == {"gpus", "plain"}
    gpus = plugins["properties"]["gpus"]["anyOf"][0]
    assert gpus["properties"]["limits"]["$ref"] == "#/$defs/gpus.Limits"
    assert "gpus.Limits" in result["$defs"]
    assert plugins["additionalProperties"] is False
    assert result["properties"]["node"]["description"].startswith("The Kubernetes node's name")
    assert result["additionalProperties"] is False
    assert set(result["required"]) == {"node", "plugins"}


def test_what_a_changed_file_changes(good: Parse) -> None:
    base = "node: n1\nplugins: {gpus: {poll: 5}}\nobserve: {logs: json}\n"
    old = good(base)
    assert not changes(old, good(base.replace("{poll: 5}", "{}")))
    live = changes(
        old, good(base.replace("poll: 5", "poll: 6").replace("json", "console") + "filter: 'true'")
    )
    assert live.live == ("filter", "observe.logs", "plugins.gpus.poll")
    assert live.refused == ()
    other = "node: n2\nplugins: {gpus: {driverRoot: /x}, plain: }\ncdi: {dir: /c}\nkubelet: {rootDir: /k}\n"
    refused = dict(changes(old, good(other)).refused)
    assert set(refused) == {
        "node",
        "cdi.dir",
        "kubelet.rootDir",
        "kubelet.pluginsDir",
        "kubelet.registryDir",
        "kubelet.podResourcesSocket",
        "plugins.gpus.driverRoot",
        "plugins.plain",
    }
    assert refused["plugins.plain"] == "plugins are enabled and disabled at start"
    assert refused["cdi.dir"] == "specs of prepared claims lie in the old folder"
    added = changes(old, good(base + "simulation: {node: x, stateDir: /s}"))
    assert {path.split(".")[0] for path, _ in added.refused} == {"simulation"}


def test_no_plugins(faults: Faults) -> None:
    assert faults("node: n1\nplugins: {}\n") == ["2: plugins: empty; give at least one"]


def test_faults_are_told_in_the_order_of_the_file(faults: Faults) -> None:
    text = "cdi: {dirr: /x}\nnode: A\nplugins: {plain: {x: 1}}\nkubelet: 5\nfilter: ''\nobserve: {port: x}\n"
    lines = [int(fault.partition(":")[0]) for fault in faults(text)]
    assert lines == [1, 2, 3, 4, 5, 6]


def test_a_simulation_that_a_plugin_cannot_make(find_refusing: Any) -> None:
    text = "node: n1\nplugins: {refusing: }\nsimulation: {node: x, stateDir: s}\n"
    with pytest.raises(ConfigError, match=r"node.yaml:3: simulation.node: I know no x; take y"):
        parse(text, "node.yaml", {}, find=find_refusing)
    with pytest.raises(ConfigError, match="nodee") as error:
        parse(text.replace("node: n1", "nodee: n1"), "node.yaml", {}, find=find_refusing)
    assert "I know no x" in str(error.value)
    parse(text.replace("node: x", "node: y"), "node.yaml", {}, find=find_refusing)
