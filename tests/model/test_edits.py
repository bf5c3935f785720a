import pytest

from dracore import ContainerEdits, DeviceNode, Hook, Mount
from dracore.errors import CdiError


def test_identical_entries_stand_once_in_order_of_appearance() -> None:
    hook = Hook("createContainer", "/usr/bin/h", ("h", "x"))
    a = ContainerEdits(env={"A": "1"}, mounts=(Mount("/a", "/a"),), hooks=(hook,), additional_gids=(44,))
    b = ContainerEdits(env={"A": "1", "B": "2"}, mounts=(Mount("/b", "/b"), Mount("/a", "/a")), hooks=(hook,))
    merged = ContainerEdits.merge([("p", a), ("q", b)])
    assert dict(merged.env) == {"A": "1", "B": "2"}
    assert [m.host_path for m in merged.mounts] == ["/a", "/b"]
    assert merged.hooks == (hook,)
    assert merged.additional_gids == (44,)


def test_two_values_for_one_variable_name_both_plugins() -> None:
    with pytest.raises(CdiError, match="plugins p and q set the environment variable A") as error:
        ContainerEdits.merge([("p", ContainerEdits(env={"A": "1"})), ("q", ContainerEdits(env={"A": "2"}))])
    assert "'1' and '2'" in str(error.value)


def test_two_mounts_at_one_path_are_an_error() -> None:
    one = ContainerEdits(mounts=(Mount("/a", "/x"),))
    two = ContainerEdits(mounts=(Mount("/b", "/x"),))
    with pytest.raises(CdiError, match="plugin p twice set the mount at /x"):
        ContainerEdits.merge([("p", one), ("p", two)])


def test_two_nodes_at_one_path_are_an_error() -> None:
    one = ContainerEdits(device_nodes=(DeviceNode("/dev/x", major=1, minor=3),))
    two = ContainerEdits(device_nodes=(DeviceNode("/dev/x", major=1, minor=5),))
    with pytest.raises(CdiError, match="the device node /dev/x"):
        ContainerEdits.merge([("p", one), ("q", two)])


def test_empty_edits_are_false() -> None:
    assert not ContainerEdits()
    assert ContainerEdits(additional_gids=(0,))
