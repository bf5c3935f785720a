"""Objects out of YAML and JSON: places in errors, and input that means no good."""

from __future__ import annotations

import json

import pytest

from dracore.allocate.documents import Source, objects
from dracore.allocate.fields import Fault
from dracore.allocate.world import World
from dracore.allocate.yamltext import VALUES_LIMIT
from dracore.errors import ConfigError

CLAIM = """
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: c, namespace: ns}
spec:
  devices:
    requests:
    - name: gpu
      exactly:
        deviceClassName: gpu
        count: 2
"""


def world(text: str) -> World:
    return World().read(Source("f.yaml", text))


def names(text: str) -> list[str]:
    return [item.content["metadata"]["name"] for item in objects(Source("f", text))]


def test_documents_and_lists() -> None:
    one = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a"}}
    two = {"kind": "List", "apiVersion": "v1", "items": [{**one, "metadata": {"name": "b"}}, one]}
    bare = {"kind": "NodeList", "apiVersion": "v1", "items": [{"metadata": {"name": "c"}}]}
    assert names(json.dumps(one) + "\n" + json.dumps(two)) == ["a", "b", "a"]
    assert names(json.dumps(bare)) == ["c"]
    assert names(json.dumps([one, two])) == ["a", "b", "a"]
    assert names(f"---\n{json.dumps(one)}\n---\n---\n{json.dumps(two)}\n") == ["a", "b", "a"]
    assert names("") == names("# nothing\n") == []


def test_a_fault_names_file_document_line_and_field() -> None:
    with pytest.raises(ConfigError) as caught:
        world(f"{CLAIM}---\n{CLAIM.replace('count: 2', 'count: two').replace('name: c,', 'name: d,')}")
    assert str(caught.value) == (
        "f.yaml: document 2, line 23: ResourceClaim d: spec.devices.requests[0].exactly.count"
        " is the string 'two', not a whole number"
    )


def test_json_has_lines_too() -> None:
    claim = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}}
    text = json.dumps({"kind": "List", "items": [{**claim, "spec": {"devices": []}}]}, indent=1)
    line = text[: text.index('"devices"')].count("\n") + 1
    with pytest.raises(ConfigError, match=f"document 1, line {line}: .*devices is a list, not an object"):
        world(text)


def test_a_misspelt_field_is_not_passed_over() -> None:
    with pytest.raises(
        ConfigError, match="deviceClasName is no field of the API; did you mean deviceClassName"
    ):
        world(CLAIM.replace("deviceClassName", "deviceClasName"))


def test_an_object_given_twice() -> None:
    with pytest.raises(ConfigError, match=r"document 2.*given twice"):
        world(f"{CLAIM}---\n{CLAIM}")
    replaced = world(CLAIM).copy().read(Source("g", CLAIM.replace("count: 2", "count: 3")))
    assert [item.wanted.groups[0].alternatives[0].count for item in replaced.claims.values()] == [3]
    assert len(replaced.queue) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "is no YAML"),
        ("{", "no YAML|Expecting"),
        ("- 1", "is no API object"),
        ("kind: 3", "no kind"),
        ("apiVersion: v1", "no kind"),
        ("kind: Node\napiVersion: v2\nmetadata: {name: n}", "apiVersion is v2"),
        (
            "kind: DeviceClass\napiVersion: resource.k8s.io/v1alpha1\nmetadata: {name: n}",
            "not resource.k8s.io/v1",
        ),
        ("[" * 10_000 + "]" * 10_000, "nested deeper"),
        ("{a: " * 10_000 + "1" + "}" * 10_000, "nested deeper"),
        ("kind: &a [*a]", r"the alias \*a stands inside what it stands for"),
        ("kind: !!python/object:os.system {}", "is no YAML"),
        ("kind: Node\nmetadata: {name: \x00}", "is no YAML"),
    ],
    ids=range(12),
)
def test_bad_documents(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        world(text)


def test_aliases_of_aliases_do_not_grow() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert VALUES_LIMIT < 10**12
    with pytest.raises(ConfigError, match="aliases stand for too much"):
        world("kind: Node\n" + "\n".join(levels))


def test_numbers_that_are_none() -> None:
    text = """
kind: ResourceSlice
apiVersion: resource.k8s.io/v1
metadata: {name: s}
spec:
  driver: d
  nodeName: n
  pool: {name: p, generation: 1, resourceSliceCount: 1}
  devices: [{name: x, capacity: {memory: {value: VALUE}}}]
"""
    assert world(text.replace("VALUE", "1.5")).slices[0].devices[0].capacity["memory"].value.value == 1.5
    for value in (".nan", ".inf", "true", "[]", "1e99999999", "'" + "9" * 100 + "'", "x"):
        with pytest.raises(ConfigError, match=r"devices\[0\]\.capacity\.memory\.value"):
            world(text.replace("VALUE", value))


def test_dates_stay_strings() -> None:
    (item,) = objects(Source("f", "kind: X\ntimeAdded: 2026-01-02T03:04:05Z\n"))
    assert item.content["timeAdded"] == "2026-01-02T03:04:05Z"


def test_older_versions() -> None:
    found = world(
        """
kind: ResourceSlice
apiVersion: resource.k8s.io/v1beta1
metadata: {name: s}
spec:
  driver: d
  nodeName: n
  pool: {name: p, generation: 1, resourceSliceCount: 1}
  devices: [{name: x, basic: {attributes: {a: {int: 1}}}}]
---
kind: ResourceClaim
apiVersion: resource.k8s.io/v1beta1
metadata: {name: c}
spec: {devices: {requests: [{name: r, deviceClassName: gpu, count: 3}]}}
"""
    )
    assert found.slices[0].devices[0].attribute("d/a") == {"int": 1}
    (claim,) = found.claims.values()
    assert claim.wanted.groups[0].alternatives[0].count == 3


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    text = """
kind: X
hex: 0x1F
octal: 010
grouped: 1_000
float: 1.0e+3
yes: no
empty:
base: &base {a: 1, b: 2}
merged: {<<: *base, b: 3}
several: {<<: [*base, {a: 9, c: 4}]}
time: 12:30:45
1: one
quoted: "1"
text: !!str 1
block: |
  a
"""
    (item,) = objects(Source("f", text))
    assert dict(item.content) == {
        "kind": "X",
        "hex": 31,
        "octal": 8,
        "grouped": 1000,
        "float": 1000.0,
        "yes": False,
        "empty": None,
        "base": {"a": 1, "b": 2},
        "merged": {"a": 1, "b": 3},
        "several": {"a": 1, "b": 2, "c": 4},
        "time": "12:30:45",
        "1": "one",
        "quoted": "1",
        "text": "1",
        "block": "a\n",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "kind: X\n" + "".join(f"k{n}: 1\n" for n in range(50_000)) + "k49999: 2\n",
            "f: line 50002: 'k49999'",
        ),
        (
            "[" + ",".join(f'{{"kind": "X", "k": {n}}}' for n in range(3)) + ',\n{"kind": "X", "kind": 1}]',
            "f: document 1, line 2: 'kind' stands twice",
        ),
        ('{"kind": "X", "n": ' + "9" * 10_000 + "}", "is no number of JSON"),
        ('{"kind": "X", "n": NaN}', "NaN is no number of JSON"),
        ('{"kind": "X", "n": "\\ud800"}', "half a character"),
        ("kind: X\nn: " + "9" * 10_000, "f: line 2: is no YAML"),
        ("kind: X\nn: 0x" + "f" * 10_000, "f: line 2: is no YAML"),
        ("kind: X\n? [a]\n: 1", "f: line 2: is no YAML: a name is a list"),
        ("kind: X\nb: {<<: 1}", "f: line 2: is no YAML: << takes an object"),
        ("kind: X\nb: !!set {a}", "f: line 2: is no YAML: there is no map of the tag"),
    ],
    ids=range(10),
)
def test_texts_that_mean_no_good(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        list(objects(Source("f", text)))


def test_more_values_than_anybody_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dracore.allocate.yamltext.VALUES_LIMIT", 1_000)
    with pytest.raises(ConfigError, match="f: line 2: it has too many values"):
        list(objects(Source("f", "kind: List\nitems: [" + "1," * 2_000 + "]")))


def test_lines_are_looked_for_within_bounds() -> None:
    """Each is a run over the text: of very many faults only the first have one."""
    text = "kind: List\nitems:\n- &x {kind: Pod, apiVersion: v2, metadata: {name: a}}\n" + "- *x\n" * 20_000
    source = Source("f", text)
    found = [item.error(Fault("is wrong", "apiVersion")).where for item in objects(source)]
    assert found[0] == "f: document 1, line 3: Pod a"
    assert found[-1] == "f: document 1: Pod a"
    assert 10 < sum(", line " in str(where) for where in found) < 1_000
