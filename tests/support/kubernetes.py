"""A real API server and real controllers of Kubernetes, and a kubelet that runs no container."""

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from embedded.ports import pick_free_port

FOLDER = os.environ.get("RELAY_KUBERNETES")
NEEDS_KUBERNETES = pytest.mark.skipif(
    FOLDER is None or shutil.which("etcd") is None or shutil.which("helm") is None,
    reason="needs helm, etcd and the programs of Kubernetes: go install helm.sh/helm/v4/cmd/helm@v4.3.1 && "
    "apt-get install etcd-server && .venv/bin/python -m tests.support.kubernetes_programs dist/kubernetes && "
    "RELAY_KUBERNETES=dist/kubernetes .venv/bin/python -m pytest tests/deploy/test_kubernetes.py",
)
START_SECONDS = 240
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
)
_TOKEN = "the-token-of-an-administrator"
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}


class Kubernetes:
    """Calls the API as an administrator; `kubeconfig` is for helm."""

    def __init__(self, url: str, folder: Path) -> None:
        authority = folder / "certificates" / "apiserver.crt"
        wait_until(authority.exists)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(url, authority)))
        self.http = httpx.Client(
            base_url=url,
            verify=ssl.create_default_context(cafile=str(authority)),
            headers={"Authorization": f"Bearer {_TOKEN}"},
            timeout=60,
            trust_env=False,
        )

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> httpx.Response:
        """Apply a manifest as `kubectl apply --server-side` does; a field that the server does not know is refused."""
        options = {"fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            options["dryRun"] = "All"
        return self.http.patch(_path(manifest), params=options, headers=_APPLY, content=json.dumps(manifest))

    def objects(self, path: str, **options: str) -> list[dict[str, Any]]:
        answer = self.http.get(path, params=options)
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def remains(self, namespace: str, selector: str) -> set[str]:
        """Return kind/name of each object of a namespace that has these labels, whatever its kind."""
        found = set()
        groups = [
            each["preferredVersion"]["groupVersion"] for each in self.http.get("/apis").json()["groups"]
        ]
        for base in ("/api/v1", *(f"/apis/{each}" for each in groups)):
            for kind in self.http.get(base).json()["resources"]:
                if kind["namespaced"] and "list" in kind["verbs"]:
                    path = f"{base}/namespaces/{namespace}/{kind['name']}"
                    found |= {
                        f"{kind['kind']}/{each['metadata']['name']}"
                        for each in self.objects(path, labelSelector=selector)
                    }
        return found


def _kubeconfig(url: str, authority: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(authority)}}],
        "users": [{"name": "test", "user": {"token": _TOKEN}}],
    }


def _path(manifest: Mapping[str, Any]) -> str:
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{base}{namespace}/{_PLURALS.get(kind, kind.lower() + 's')}/{metadata['name']}"


class Kubelet:
    """Tells the API server that each pod runs and is ready, and that each pod of a job has succeeded, at once.

    New pods of the services in `unready` do not get ready, and jobs whose names end with one of `failing` fail. While `is_paused`
    the server hears nothing.
    """

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.unready: set[str] = set()
        self.failing: set[str] = set()
        self.is_paused = False
        self._kubernetes = kubernetes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            if not self.is_paused:
                for pod in self._kubernetes.objects("/api/v1/pods"):
                    self._tell(pod)

    def _tell(self, pod: dict[str, Any]) -> None:
        http, metadata = self._kubernetes.http, pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if "deletionTimestamp" in metadata:
            http.request("DELETE", path, json={"gracePeriodSeconds": 0})
            return
        if "nodeName" not in pod["spec"]:
            target = {"apiVersion": "v1", "kind": "Node", "name": "node"}
            http.post(f"{path}/binding", json={"metadata": {"name": metadata["name"]}, "target": target})
        status = self._status(metadata)
        if pod.get("status", {}).get("phase") != status["phase"]:
            patch = {"Content-Type": "application/strategic-merge-patch+json"}
            http.patch(f"{path}/status", headers=patch, content=json.dumps({"status": status}))

    def _status(self, metadata: dict[str, Any]) -> dict[str, Any]:
        job = metadata["labels"].get("batch.kubernetes.io/job-name")
        if job is not None:
            return {"phase": "Failed" if any(map(job.endswith, self.failing)) else "Succeeded"}
        ready = metadata["labels"]["app.kubernetes.io/component"] not in self.unready
        conditions = [{"type": each, "status": str(ready)} for each in ("Ready", "ContainersReady")]
        return {"phase": "Running", "conditions": conditions}


@contextmanager
def running_kubernetes(folder: Path) -> Iterator[Kubernetes]:
    """Run etcd, the API server and the controllers that the chart needs, until all of them answer."""
    client, peer, port = (pick_free_port() for _ in range(3))
    _write_account_key(folder)
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n')
    etcd, url = f"http://127.0.0.1:{client}", f"https://127.0.0.1:{port}"
    programs = Path(FOLDER or "").absolute()
    with ExitStack() as stack:
        start = stack.enter_context(_Programs(folder)).start
        start(
            "etcd",
            data_dir="etcd",
            unsafe_no_fsync="true",
            listen_client_urls=etcd,
            advertise_client_urls=etcd,
            listen_peer_urls=f"http://127.0.0.1:{peer}",
        )
        start(
            programs / "kube-apiserver",
            etcd_servers=etcd,
            bind_address="127.0.0.1",
            secure_port=str(port),
            cert_dir="certificates",
            token_auth_file="tokens.csv",
            authorization_mode="RBAC",
            service_account_issuer=url,
            service_account_key_file="account.pub",
            service_account_signing_key_file="account.key",
            service_cluster_ip_range="10.96.0.0/16",
        )
        kubernetes = Kubernetes(url, folder)
        stack.enter_context(kubernetes.http)
        wait_until(lambda: _is_ready(kubernetes))
        start(
            programs / "kube-controller-manager",
            kubeconfig="kubeconfig",
            leader_elect="false",
            secure_port="0",
            controllers=",".join(CONTROLLERS),
        )
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}}
        kubernetes.apply(node).raise_for_status()
        yield kubernetes


class _Programs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def start(self, program: str | Path, **options: str) -> None:
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        with (self._folder / f"{Path(program).name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen([program, *flags], cwd=self._folder, stdout=log, stderr=log)
            )

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.kill()
            process.wait()


def _write_account_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "account.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "account.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def _is_ready(kubernetes: Kubernetes) -> bool:
    try:
        return kubernetes.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Any, seconds: float = START_SECONDS) -> None:
    """Ask until the answer is true; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.1)
