"""etcd, API server, scheduler and controller manager."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import subprocess
from pathlib import Path

import yaml

from .api import Access, Api, Object
from .binaries import Binaries
from .process import Component

# Who may ask: names of their own, so that the audit log tells who wrote what. All may do everything.
USERS = ("admin", "scheduler", "controller-manager", "kubelet", "driver-a", "driver-b", "driver-c")

CONTROLLERS = (
    "resourceclaim-controller",
    "serviceaccount-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "daemonset-controller",
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "device-taint-eviction-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
)

# Writes to what the driver writes; everything else stays out of the log.
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Request",  # what was written, to tell whose node it is about
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [
                {"group": "resource.k8s.io", "resources": ["resourceslices", "resourceclaims/status"]}
            ],
        },
        {"level": "None"},
    ],
}


def free_port(host: str) -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def tied(command: list[str]) -> list[str]:
    """Dies with the process that starts it, also when that one is killed."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


class ApiServer:
    """etcd and kube-apiserver on one address, ready about 3 s after the start.

    folder: state, certificates and kubeconfigs; logs: one file a component.
    emulate: the minor release whose gates and API versions it shows ("1.34"); None for its own.
    Needs no root on loopback.
    """

    def __init__(
        self,
        binaries: Binaries,
        folder: Path,
        logs: Path,
        host: str = "127.0.0.1",
        emulate: str | None = None,
    ) -> None:
        self.binaries = binaries
        self.folder = folder
        self.logs = logs
        self.host = host
        self.emulate = emulate
        self.tokens = {user: secrets.token_hex(16) for user in USERS}
        self.port = 0
        self._etcd: Component | None = None
        self._server: Component | None = None
        self._api: Api | None = None

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def api(self) -> Api:
        assert self._api is not None, "the API server is not started"
        return self._api

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_keys()
        etcd_url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        self._etcd = Component("etcd", tied(self._etcd_command(etcd_url)), self.logs / "etcd.log")
        self._etcd.start()
        self.port = free_port(self.host)
        self._server = Component(
            "kube-apiserver", tied(self._command(etcd_url)), self.logs / "kube-apiserver.log"
        )
        self._server.start()
        ca = self.certificates / "apiserver.crt"
        self._server.wait_ready(ca.exists)
        self._api = Api(Access(self.url, ca, self.tokens["admin"]))
        self._server.wait_ready(self._api.reachable)

    def stop(self) -> None:
        for component in (self._server, self._etcd):
            if component is not None:
                component.kill()  # nothing of it is kept, so it need not be asked

    def restart_server(self) -> None:
        """The API server alone, on its old port with its old state: what a client sees of an upgrade."""
        assert self._server is not None
        self._server.stop()
        self._server.start()
        self._server.wait_ready(self.api.reachable)

    def kubeconfig(self, user: str = "admin") -> Path:
        """A file that lets `user` in, with the server's certificate checked."""
        path = self.folder / f"{user}.kubeconfig"
        ca = base64.b64encode((self.certificates / "apiserver.crt").read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": user}}],
            "current-context": "it",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def writes(self, user: str | None = None, resource: str = "resourceslices") -> list[Object]:
        """Audit records of writes that the server let through, oldest first."""
        records = []
        for line in (self.folder / "audit.log").read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last line may be half written
                record = json.loads(line)
                if (
                    record["objectRef"]["resource"] != resource
                    or record["responseStatus"].get("code", 500) >= 300
                ):
                    continue
                if "dryRun" in record["requestURI"] or (user and record["user"]["username"] != user):
                    continue
                records.append(record)
        return records

    def _make_keys(self) -> None:
        self.certificates.mkdir(exist_ok=True)
        key = self.folder / "service-accounts.key"
        if not key.exists():
            command = ["openssl", "genrsa", "-out", str(key), "2048"]
            subprocess.run(command, check=True, capture_output=True)
        users = [f'{token},{user},{user},"system:masters"' for user, token in self.tokens.items()]
        (self.folder / "tokens.csv").write_text("\n".join(users) + "\n")
        (self.folder / "tokens.csv").chmod(0o600)
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(AUDIT))

    def _etcd_command(self, url: str) -> list[str]:
        peer = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        return [
            str(self.binaries["etcd"]),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _command(self, etcd_url: str) -> list[str]:
        key = self.folder / "service-accounts.key"
        return [
            str(self.binaries["kube-apiserver"]),
            f"--etcd-servers={etcd_url}",
            f"--cert-dir={self.certificates}",
            f"--bind-address={self.host}",
            f"--advertise-address={self.host}",
            f"--secure-port={self.port}",
            f"--service-account-issuer={self.url}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--allow-privileged=true",
            "--disable-admission-plugins=ServiceAccount",  # pods without token or account
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",  # node names do not resolve
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
            "--audit-log-mode=blocking",  # a write that was answered is in the log
            *([f"--emulated-version={self.emulate}"] if self.emulate else []),
        ]


class ControlPlane(ApiServer):
    """An API server with scheduler and controller manager: pods get claims, claims get devices."""

    def __init__(
        self,
        binaries: Binaries,
        folder: Path,
        logs: Path,
        host: str = "127.0.0.1",
        emulate: str | None = None,
    ) -> None:
        super().__init__(binaries, folder, logs, host, emulate)
        self._others: list[Component] = []

    def start(self) -> None:
        super().start()
        emulation = [f"--emulated-version={self.emulate}"] if self.emulate else []
        common = ["--leader-elect=false", "--secure-port=0", *emulation]
        scheduler = [f"--kubeconfig={self.kubeconfig('scheduler')}"]
        manager = [
            f"--kubeconfig={self.kubeconfig('controller-manager')}",
            f"--service-account-private-key-file={self.folder / 'service-accounts.key'}",
            f"--controllers={','.join(CONTROLLERS)}",
        ]
        for name, flags in (("kube-scheduler", scheduler), ("kube-controller-manager", manager)):
            command = tied([str(self.binaries[name]), *flags, *common])
            self._others.append(Component(name, command, self.logs / f"{name}.log"))
            self._others[-1].start()

    def stop(self) -> None:
        for component in self._others:
            component.kill()
        super().stop()
