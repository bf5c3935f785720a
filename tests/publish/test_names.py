from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore.publish import names


@pytest.mark.parametrize(
    ("index", "count", "owner", "expected"),
    [
        (0, 1, "node-a", "00000-gpu.nvidia.com-node-a-"),
        (255, 300, "node-a", "000ff-gpu.nvidia.com-node-a-"),
        (1, 0x100001, "node-a", "000001-gpu.nvidia.com-node-a-"),
        (0, 1, "", "00000-gpu.nvidia.com-"),
    ],
)
def test_the_index_comes_first(index, count, owner, expected):
    assert names.prefix(index, count, "gpu.nvidia.com", owner) == expected


def test_a_driver_with_capitals_gives_a_valid_name():
    assert names.prefix(0, 1, "GPU.Example.com", "n") == "00000-gpu.example.com-n-"


@given(st.integers(0, 2**24), st.integers(1, 2**24))
def test_a_name_is_read_back_also_when_truncated(index, more):
    count = index + more
    name = names.prefix(index, count, "d" * 60, "node")[:58] + "abcde"
    assert names.index_of(name, count) == index


@pytest.mark.parametrize(
    "name", ["0-gpu-x", "00002-gpu-x", "node-a-gpu-x", "000000-gpu-x", "0000G-gpu-x", "00000", "", "0000A-x"]
)
def test_other_names_have_no_index(name):
    assert names.index_of(name, 2) is None


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=20))
def test_names_sort_like_their_indices(indices):
    made = [names.prefix(index, 5001, "d", "n") for index in indices]
    assert sorted(made) == [names.prefix(index, 5001, "d", "n") for index in sorted(indices)]
