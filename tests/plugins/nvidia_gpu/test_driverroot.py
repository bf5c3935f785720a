"""Finding files under a driver root: real folders, real links."""

from __future__ import annotations

import os
import struct

import pytest
from dracore_nvidia_gpu.driverroot import Look, Root, find_binary, find_nvml, unchanged
from dracore_nvidia_gpu.ldcache import library_folders


@pytest.fixture
def tree(tmp_path):
    """Makes files below a root: ``tree("usr/lib64/libx.so", link=…)``."""
    root = tmp_path / "root"

    def make(path, content="x", *, link=None, mode=0o644):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if link is not None:
            file.symlink_to(link)
        else:
            file.write_text(content)
            file.chmod(mode)
        return file

    make.root = Root("/run/nvidia/driver", str(root))
    make.path = root
    return make


def found(look, *args):
    return [file.real for file in look.all(*args)]


# --- links --------------------------------------------------------------------------------------------


def test_an_absolute_link_stays_inside_the_root(tree):
    tree("usr/lib64/libnvidia-ml.so.580.95.05")
    tree("usr/lib64/libnvidia-ml.so.1", link="/usr/lib64/libnvidia-ml.so.580.95.05")
    nvml = find_nvml(tree.root)
    assert nvml is not None
    assert nvml.real == "/usr/lib64/libnvidia-ml.so.580.95.05"
    assert nvml.here == str(tree.path / "usr/lib64/libnvidia-ml.so.580.95.05")
    assert nvml.host == "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.580.95.05"


def test_a_link_cannot_climb_out_of_the_root(tree, tmp_path):
    (tmp_path / "secret.so.1").write_text("outside")
    tree("usr/lib64/libnvidia-ml.so.1", link="../../../../../secret.so.1")
    assert find_nvml(tree.root) is None
    tree("secret.so.1", "inside")
    assert find_nvml(tree.root).real == "/secret.so.1"


def test_links_of_folders_are_followed_inside_the_root(tree):
    tree("usr/lib/x86_64-linux-gnu/libcuda.so.1")
    tree("lib", link="/usr/lib")
    look = Look(tree.root)
    assert look.file("/lib/x86_64-linux-gnu/libcuda.so.1").real == "/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    assert look.folder("/lib/x86_64-linux-gnu")[0] == "/usr/lib/x86_64-linux-gnu"


def test_a_loop_of_links_leads_nowhere(tree):
    tree("usr/lib64/libnvidia-ml.so.1", link="libnvidia-ml.so.2")
    tree("usr/lib64/libnvidia-ml.so.2", link="libnvidia-ml.so.1")
    assert find_nvml(tree.root) is None


def test_a_broken_link_is_no_file(tree):
    tree("usr/lib64/libnvidia-ml.so.1", link="libnvidia-ml.so.580")
    assert find_nvml(tree.root) is None


def test_the_same_file_behind_two_folders_is_found_once(tree):
    tree("usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05")
    tree("lib", link="usr/lib")
    folders = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"]
    assert found(Look(tree.root), folders, "libcuda.so.*") == [
        "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"
    ]


# --- what counts --------------------------------------------------------------------------------------


def test_a_folder_of_that_name_shadows_no_file(tree):
    (tree.path / "usr/lib64/libnvidia-ml.so.1").mkdir(parents=True)
    tree("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")
    assert find_nvml(tree.root).real == "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"


def test_the_root_itself_comes_first(tree):
    tree("libnvidia-ml.so.1")
    tree("usr/lib64/libnvidia-ml.so.1")
    assert find_nvml(tree.root).real == "/libnvidia-ml.so.1"


def test_a_program_must_be_executable(tree):
    tree("usr/bin/nvidia-smi")
    assert find_binary(tree.root, "nvidia-smi") is None
    tree("usr/sbin/nvidia-smi", mode=0o755)
    assert find_binary(tree.root, "nvidia-smi").real == "/usr/sbin/nvidia-smi"


def test_nothing_is_found_where_there_is_no_root(tmp_path):
    assert find_nvml(Root("/gone", str(tmp_path / "gone"))) is None


# --- noticing changes ---------------------------------------------------------------------------------


def stamps(look):
    return [(path, follow, before) for (path, follow), before in look.stamps.items()]


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree("usr/lib64/libcuda.so.581"),
        lambda tree: (tree.path / "usr/lib64/libcuda.so.580").unlink(),
        lambda tree: tree("lib64/new"),
        lambda tree: tree("opt/lib/libcuda.so.1"),
        lambda tree: os.replace(tree("other", link="elsewhere"), tree.path / "current"),
    ],
    ids=["file added", "file removed", "missing folder made", "deep folder made", "folder's link turned"],
)
def test_a_change_that_could_matter_is_noticed(tree, change):
    tree("usr/lib64/libcuda.so.580")
    tree("versions/1/libcuda.so.1")
    tree("current", link="versions/1")
    look = Look(tree.root)
    for folder in ("/usr/lib64", "/lib64", "/opt/lib", "/current"):
        look.folder(folder)
    assert unchanged(stamps(look))
    change(tree)
    assert not unchanged(stamps(look))


def test_a_single_path_is_watched_whether_it_is_there_or_not(tree):
    tree("run/there")
    look = Look(tree.root)
    look.watch("/run/missing/socket")
    look.watch("/run/there")
    before = stamps(look)
    assert unchanged(before)
    tree("run/unrelated")
    assert unchanged(before)
    tree("run/missing/socket")
    assert not unchanged(before)


# --- ld.so.cache --------------------------------------------------------------------------------------


def ld_cache(libraries, *, old_header=False):
    """A cache as glibc writes it: 48 bytes of header, 24 an entry, strings after them."""
    strings, entries = b"", []
    start = 48 + 24 * len(libraries)
    for name, path in libraries:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        entries.append((key, start + len(strings)))
        strings += path.encode() + b"\0"
    data = b"glibc-ld.so.cache1.1" + struct.pack("=II", len(entries), len(strings)) + bytes(20)
    for key, value in entries:
        data += struct.pack("=iIIIQ", 0x303, key, value, 0, 0)
    data += strings
    if old_header:
        data = b"ld.so-1.7.0\0" + struct.pack("=I", 1) + bytes(12) + bytes(4) + data
    return data


@pytest.mark.parametrize("old_header", [False, True])
def test_the_loaders_cache_names_folders(tmp_path, old_header):
    file = tmp_path / "ld.so.cache"
    file.write_bytes(
        ld_cache(
            [
                ("libc.so.6", "/lib/libc.so.6"),
                ("libcuda.so.1", "/opt/nvidia/lib/libcuda.so.1"),
                ("libnvidia-ml.so.1", "/opt/nvidia/lib/libnvidia-ml.so.1"),
            ],
            old_header=old_header,
        )
    )
    assert library_folders(str(file)) == ("/opt/nvidia/lib",)


def test_the_machines_own_cache_is_read(tmp_path):
    """A cache that the machine's ldconfig wrote, not one that this test made up."""
    if not os.path.exists("/etc/ld.so.cache"):
        pytest.skip("no glibc loader here")
    folders = library_folders("/etc/ld.so.cache", ("libc.so",))
    assert any(os.path.exists(os.path.join(folder, "libc.so.6")) for folder in folders)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"glibc-ld.so.cache1.1" + b"\xff" * 40])
def test_a_cache_that_cannot_be_read_names_none(tmp_path, data):
    file = tmp_path / "ld.so.cache"
    file.write_bytes(data)
    assert library_folders(str(file)) == ()


def test_folders_of_the_cache_are_searched_last(tree):
    tree("opt/nvidia/lib/libnvidia-ml.so.1")
    cache = tree.path / "etc/ld.so.cache"
    cache.parent.mkdir()
    cache.write_bytes(ld_cache([("libnvidia-ml.so.1", "/opt/nvidia/lib/libnvidia-ml.so.1")]))
    assert find_nvml(tree.root).real == "/opt/nvidia/lib/libnvidia-ml.so.1"
    tree("usr/lib64/libnvidia-ml.so.1")
    assert find_nvml(tree.root).real == "/usr/lib64/libnvidia-ml.so.1"
