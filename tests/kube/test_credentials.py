"""The official client's credentials over real TLS, with certificates made by openssl."""

from __future__ import annotations

import shutil
import ssl
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from dracore.errors import ConfigError, Forbidden, Unreachable
from dracore.kube.client import KubeClient
from dracore.kube.credentials import Authorization

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture
def tls_server(certificate):
    """Answers /version to who brings the token that `server.token` names."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.server.seen.append(self.headers.get("Authorization"))
            good = self.headers.get("Authorization", "").lower() == f"bearer {self.server.token}"
            data = b'{"gitVersion":"v1.37.0"}' if good else b'{"message":"who?","reason":"Unauthorized"}'
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.block_on_close = False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.token, server.seen = "secret", []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def kubeconfig(tmp_path, tls_server, certificate):
    def write(user, ca=certificate[0]):
        path = tmp_path / "kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{tls_server.server_address[1]}"}
        if ca:
            cluster["certificate-authority"] = str(ca)
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                    "clusters": [{"name": "k", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                }
            )
        )
        return path

    return write


@needs_openssl
def test_a_kubeconfig_with_a_token(kubeconfig, monkeypatch):
    path = kubeconfig({"token": "secret"})
    client = KubeClient.connect(path)
    assert client.server_version()["gitVersion"] == "v1.37.0"
    client.close()
    monkeypatch.setenv("KUBECONFIG", str(path))
    client = KubeClient.connect(None)
    assert client.server_version()["gitVersion"] == "v1.37.0"
    client.close()


@needs_openssl
def test_a_wrong_token_is_refused_with_a_cure(kubeconfig):
    client = KubeClient.connect(kubeconfig({"token": "wrong"}))
    with pytest.raises(Forbidden, match="check the credentials"):
        client.server_version()
    client.close()


@needs_openssl
def test_an_unknown_authority_is_no_traceback(kubeconfig):
    client = KubeClient.connect(kubeconfig({"token": "secret"}, ca=None))
    with pytest.raises(Unreachable, match="certificate verify failed"):
        client.server_version()
    client.close()


@needs_openssl
def test_an_exec_plugin_is_asked_again_when_its_token_has_expired(kubeconfig, tmp_path, tls_server):
    tokens, plugin = tmp_path / "token", tmp_path / "plugin"
    tokens.write_text("secret")
    plugin.write_text(
        "#!/bin/sh\n"
        """printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'\n"""
        """printf '"status":{"expirationTimestamp":"2020-01-01T00:00:00Z","token":"%s"}}' """
        f"$(cat {tokens})\n"
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    client = KubeClient.connect(kubeconfig(user))
    client.server_version()
    tokens.write_text("rotated")
    tls_server.token = "rotated"
    # The header is still remembered: the server says 401, and the plugin is asked at once.
    assert client.server_version()["gitVersion"] == "v1.37.0"
    assert [value.split()[-1] for value in tls_server.seen] == ["secret", "secret", "rotated"]
    client.close()


@needs_openssl
def test_the_service_account_of_a_pod_follows_its_token_file(tmp_path, monkeypatch, tls_server, certificate):
    from kubernetes.config import incluster_config

    token = tmp_path / "token"
    token.write_text("secret\n")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(tls_server.server_address[1]))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate[0]))
    client = KubeClient.connect(None)
    assert client.server_version()["gitVersion"] == "v1.37.0"
    client.close()


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        KubeClient.connect(tmp_path / "nothing")


def test_a_broken_file_says_so(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(ConfigError, match="cannot be used"):
        KubeClient.connect(path)


def test_no_kubeconfig_and_no_pod(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match=r"set kube\.kubeconfig or \$KUBECONFIG"):
        KubeClient.connect(None)


def test_the_authorization_is_read_anew_after_its_time_or_on_demand():
    now, values = [0.0], iter("abc")
    authorization = Authorization(lambda: next(values), clock=lambda: now[0])
    assert [authorization.header(), authorization.header()] == ["a", "a"]
    now[0] = 6
    assert authorization.header() == "b"
    authorization.forget()
    assert authorization.header() == "c"
