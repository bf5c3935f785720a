"""What containerd and the kubelet of one node are told."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

from .binaries import Binaries
from .image import PAUSE


def containerd_config(folder: Path, cdi: Path, wrapper: Path) -> str:
    """containerd 2 without cgroups, AppArmor and NRI, which not every machine lets a test have."""
    return textwrap.dedent(f"""\
        version = 3
        root = '{folder}/root'
        state = '{folder}/state'
        disabled_plugins = ['io.containerd.nri.v1.nri']

        [grpc]
        address = '{folder}/containerd.sock'

        [plugins.'io.containerd.internal.v1.opt']
        path = '{folder}/opt'

        [plugins.'io.containerd.cri.v1.images']
        snapshotter = 'native'
        [plugins.'io.containerd.cri.v1.images'.pinned_images]
        sandbox = '{PAUSE}'

        [plugins.'io.containerd.cri.v1.runtime']
        disable_cgroup = true
        disable_apparmor = true
        restrict_oom_score_adj = true
        enable_cdi = true
        cdi_spec_dirs = ['{cdi}']
        [plugins.'io.containerd.cri.v1.runtime'.cni]
        bin_dirs = ['{folder}/cni/bin']
        conf_dir = '{folder}/cni/conf'
        [plugins.'io.containerd.cri.v1.runtime'.containerd]
        default_runtime_name = 'crun'
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]
        runtime_type = 'io.containerd.runc.v2'
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]
        BinaryName = '{wrapper}'
        """)


def write_containerd(folder: Path, cdi: Path, binaries: Binaries) -> Path:
    """Writes everything that a containerd needs below `folder`; the path of its configuration."""
    for part in ("root", "state", "opt", "cni/bin", "cni/conf", "bin"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    loopback = folder / "cni/bin/loopback"
    loopback.unlink(missing_ok=True)
    loopback.symlink_to(binaries["loopback"])
    network = {"cniVersion": "1.0.0", "name": "none", "plugins": [{"type": "loopback"}]}
    (folder / "cni/conf/10-none.conflist").write_text(json.dumps(network))
    wrapper = folder / "bin/crun"
    wrapper.write_text(_wrapper(shutil.which("crun") or "crun"))
    wrapper.chmod(0o755)
    config = folder / "config.toml"
    config.write_text(containerd_config(folder, cdi, wrapper))
    return config


def _wrapper(crun: str) -> str:
    """crun before 1.9 refuses specs newer than 1.0; what containerd writes here needs nothing newer."""
    return textwrap.dedent(f"""\
        #!/bin/sh
        previous=
        for argument do
            if [ "$previous" = --bundle ]; then
                sed -i 's/"ociVersion":"[^"]*"/"ociVersion":"1.0.2"/' "$argument/config.json"
            fi
            previous=$argument
        done
        exec {crun} --cgroup-manager=disabled "$@"
        """)


def kubelet_config(folder: Path, socket: Path) -> dict[str, object]:
    """A kubelet without cgroups. syncFrequency decides how soon a failed prepare is tried again."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupsPerQOS": False,
        "containerRuntimeEndpoint": f"unix://{socket}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "10Mi"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "nodeStatusUpdateFrequency": "5s",
        "oomScoreAdj": 0,
        "podLogsDir": str(folder / "log" / "pods"),
        "resolvConf": "",
        "syncFrequency": "2s",
        "volumePluginDir": str(folder / "volume-plugins"),
    }
