"""Socket names: the kubelet's rules, and paths that fit a unix socket."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore.errors import ConfigError, SocketError
from dracore.kubelet import names

UID = "0f9b1c52-7d0e-4a34-9f0a-2c1de0a1b2c3"
REGISTRY = Path("/var/lib/kubelet/plugins_registry")
DATA = Path("/var/lib/kubelet/plugins/gpu.nvidia.com")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_without_an_instance_the_names_are_the_defaults() -> None:
    paths = names.socket_paths("gpu.nvidia.com", REGISTRY, DATA)
    assert paths.registration == REGISTRY / "gpu.nvidia.com-reg.sock"
    assert paths.dra == DATA / "dra.sock"


def test_an_instance_has_names_of_its_own() -> None:
    paths = names.socket_paths("gpu.nvidia.com", REGISTRY, DATA, UID)
    assert paths.registration == REGISTRY / f"gpu.nvidia.com-{UID}-reg.sock"
    assert paths.dra == DATA / f"dra-{UID}.sock"


def test_a_long_driver_name_takes_the_hash_of_the_instance() -> None:
    driver = "a" * 30 + ".example.com"
    paths = names.socket_paths(driver, REGISTRY, DATA, UID)
    short = b64(hashlib.sha256(UID.encode()).digest()[:8])
    assert paths.registration.name == f"{driver}-{short}-reg.sock"


def test_the_longest_driver_name_takes_the_hash_of_both() -> None:
    driver = "a" * 51 + ".example.com"
    paths = names.socket_paths(driver, REGISTRY, Path("/var/lib/kubelet/plugins") / driver, UID)
    both = b64(hashlib.sha256(driver.encode() + b"\0" + UID.encode()).digest()[:16])
    assert paths.registration.name == f"dra-{both}-reg.sock"
    assert paths.dra.name == f"d-{both[:11]}.sock"
    assert len(str(paths.dra)) == names.PATH_LIMIT, "the longest driver name of 63 characters just fits"


def test_the_dra_socket_is_hashed_where_its_path_would_be_too_long() -> None:
    data = Path("/" + "d" * 70)
    paths = names.socket_paths("gpu.nvidia.com", REGISTRY, data, UID)
    both = b64(hashlib.sha256(b"gpu.nvidia.com\0" + UID.encode()).digest()[:16])
    assert paths.dra == data / f"dra-{both}.sock"


def test_the_bound_is_107_bytes_not_characters() -> None:
    fits = Path("/" + "é" * 48)  # 97 bytes, and /dra.sock makes 106
    assert names.socket_paths("d", REGISTRY, fits).dra == fits / "dra.sock"
    with pytest.raises(SocketError, match="has 108 bytes, a unix socket takes 107"):
        names.socket_paths("d", REGISTRY, Path("/" + "é" * 49))


def test_a_path_that_no_name_fits_says_how_long_the_folder_may_be() -> None:
    with pytest.raises(SocketError, match=r"kubelet\.registryDir: .* at most 83 bytes"):
        names.socket_paths("gpu.nvidia.com", Path("/" + "r" * 100), DATA)


@pytest.mark.parametrize("bad", ["../x", "a/b", ".hidden", "x" * 200, "a b", "a\0"])
def test_an_instance_id_that_is_no_file_name_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="no instance id"):
        names.check_instance(bad)


@given(
    driver=st.from_regex(r"[a-z][a-z0-9-]{0,50}[a-z0-9](\.[a-z]{2,8})?", fullmatch=True),
    instance=st.one_of(st.uuids().map(str), st.just("")),
    root=st.integers(1, 60),
)
def test_every_path_fits_with_its_hidden_twin(driver: str, instance: str, root: int) -> None:
    folder = Path("/" + "r" * root)
    try:
        paths = names.socket_paths(driver, folder, folder, instance)
    except SocketError:
        return
    for path in (paths.registration, paths.dra):
        hidden = path.with_name(names.hidden_name(path.name))
        assert len(str(hidden)) <= len(str(path)) <= names.PATH_LIMIT
        assert hidden.name.startswith(".")


def test_names_of_other_drivers_are_not_ours() -> None:
    assert names.is_registration_name("a.example.com", "a.example.com-reg.sock")
    assert names.is_registration_name("a.example.com", f"a.example.com-{UID}-reg.sock")
    assert not names.is_registration_name("a.example.com", "a.example.com-other-reg.sock")
    assert not names.is_registration_name("a.example.com", "b.example.com-reg.sock")


def test_the_status_socket_follows_the_rule() -> None:
    base = Path("/run/dracore/status.sock")
    assert names.status_path(base, "") == base
    assert names.status_path(base, UID) == Path(f"/run/dracore/status-{UID}.sock")
