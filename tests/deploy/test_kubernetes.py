"""The chart on a real API server with the controllers of Kubernetes; no container runs there."""

import pytest

from tests.support.helm import CHART, ODD, SMALL, render, run_helm, write_values
from tests.support.kubernetes import NEEDS_KUBERNETES, Kubelet, running_kubernetes, wait_until

NAMESPACE = "audit"
RELEASE = "app.kubernetes.io/instance=relay"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CUSTOM = {
    "ScaledObject": ("keda.sh", "v1alpha1", "scaledobjects"),
    "PodMonitor": ("monitoring.coreos.com", "v1", "podmonitors"),
    "PrometheusRule": ("monitoring.coreos.com", "v1", "prometheusrules"),
}
REGISTRY = {"settings": {**SMALL["settings"], "schema_registry": {"url": "https://registry:8081"}}}

pytestmark = [NEEDS_KUBERNETES, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory):
    """A cluster whose namespace enforces the standard "restricted" of Pod Security."""
    with running_kubernetes(tmp_path_factory.mktemp("kubernetes")) as kubernetes:
        for kind, (group, version, plural) in CUSTOM.items():
            kubernetes.apply(custom_definition(kind, group, version, plural)).raise_for_status()
        yield kubernetes


@pytest.fixture
def kubelet(kubernetes):
    """The kubelet of a namespace of its own, which is deleted with all that is in it."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    metadata = {"name": NAMESPACE, "labels": labels}
    kubernetes.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).raise_for_status()
    path = f"/api/v1/namespaces/{NAMESPACE}"
    wait_until(lambda: kubernetes.objects(f"{path}/serviceaccounts"))
    with Kubelet(kubernetes) as kubelet:
        yield kubelet
        kubelet.is_paused = False
        kubernetes.http.delete(path).raise_for_status()
        wait_until(lambda: kubernetes.http.get(path).status_code == 404)


def custom_definition(kind, group, version, plural):
    """Return a definition of a custom kind that takes every field."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    names = {"kind": kind, "plural": plural}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


@pytest.fixture
def helm(kubernetes, monkeypatch):
    """Run helm in the namespace, and return its output; it must not warn."""
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig))

    def run(*arguments, code=0):
        done = run_helm(*arguments, "--namespace", NAMESPACE)
        output = done.stdout + done.stderr
        assert done.returncode == code, output
        assert "warning" not in output.lower(), output
        return output

    return run


def upgrade(helm, folder, values, code=0):
    file = write_values(folder, values)
    return helm(
        "upgrade", "--install", "relay", CHART, "--values", file, "--wait", "--timeout", "120s", code=code
    )


def replicas(kubernetes):
    """Return the wished and the ready pods of each deployment."""
    return {
        each["metadata"]["name"]: (each["spec"]["replicas"], each["status"].get("readyReplicas"))
        for each in kubernetes.objects(DEPLOYMENTS)
    }


@pytest.mark.usefixtures("kubelet")
def test_a_release_is_installed_changed_taken_back_and_removed(kubernetes, helm, tmp_path):
    """Jobs run before the pods, each change is rolled out, and nothing is left of a release that is gone."""
    upgrade(helm, tmp_path, REGISTRY)
    first = replicas(kubernetes)
    upgrade(helm, tmp_path, REGISTRY | {"producer": {"replicas": 3}, "console": {"enabled": False}})
    second = replicas(kubernetes)
    helm("rollback", "relay", "1", "--wait", "--timeout", "120s")
    third = replicas(kubernetes)
    helm("uninstall", "relay", "--wait")

    assert first == {"relay-producer": (2, 2), "relay-consumer-all": (2, 2), "relay-console": (1, 1)}
    assert second == {"relay-producer": (3, 3), "relay-consumer-all": (2, 2)}
    assert third == first
    wait_until(lambda: not kubernetes.remains(NAMESPACE, RELEASE))


def test_pods_wait_for_the_topics(kubernetes, kubelet, helm, tmp_path):
    """A job that fails ends the installation before there is a service; the job stays, and the next try replaces it."""
    kubelet.failing.add("-topics")
    values = REGISTRY | {"jobs": {"activeDeadlineSeconds": 30}}
    upgrade(helm, tmp_path, values, code=1)
    left = {each for each in kubernetes.remains(NAMESPACE, RELEASE) if not each.startswith("Pod/")}
    kubelet.failing.clear()
    upgrade(helm, tmp_path, values)

    assert left == {"Job/relay-topics"}
    assert kubernetes.objects(JOBS) == []
    assert replicas(kubernetes)["relay-producer"] == (2, 2)


def test_a_pod_that_does_not_work_holds_the_upgrade_back(kubernetes, kubelet, helm, tmp_path):
    """While a new pod is not ready no old one ends; taken back, the release is as before."""
    upgrade(helm, tmp_path, SMALL)
    kubelet.unready.add("producer")
    file = write_values(tmp_path, SMALL | {"podAnnotations": {"new": "yes"}})
    helm("upgrade", "relay", CHART, "--values", file, "--wait", "--timeout", "15s", code=1)
    pods = kubernetes.objects(
        f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector="app.kubernetes.io/component=producer"
    )
    old = [each for each in pods if "annotations" not in each["metadata"]]
    kubelet.unready.clear()
    helm("rollback", "relay", "1", "--wait", "--timeout", "120s")

    assert (len(pods), len(old)) == (3, 2)
    assert replicas(kubernetes)["relay-producer"] == (2, 2)


def test_one_pod_of_a_service_is_evicted_at_a_time(kubernetes, kubelet, helm, tmp_path):
    """A second eviction is refused until the pod of the first one is replaced."""
    upgrade(helm, tmp_path, SMALL)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    names = [
        each["metadata"]["name"]
        for each in kubernetes.objects(path, labelSelector="app.kubernetes.io/component=producer")
    ]
    budget = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/relay-producer"
    wait_until(lambda: kubernetes.http.get(budget).json().get("status", {}).get("disruptionsAllowed") == 1)
    kubelet.is_paused = True

    codes = [
        kubernetes.http.post(
            f"{path}/{name}/eviction",
            json={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": NAMESPACE},
            },
        ).status_code
        for name in names
    ]

    kubelet.is_paused = False
    assert codes == [201, 429]


@pytest.mark.parametrize(
    "values",
    [
        SMALL,
        ODD,
        {
            "settings": {"kafka": {"bootstrap": "k:1"}},
            "networkPolicy": {"egressPorts": [], "metricsFrom": [], "consoleFrom": []},
        },
        SMALL
        | {
            "consumer": {"autoscaling": {"kind": "hpa"}},
            "producer": {"replicas": 0},
            "podDisruptionBudget": {"enabled": False},
        },
    ],
    ids=["small", "odd", "no-destination", "scaled"],
)
@pytest.mark.usefixtures("kubelet")
def test_the_server_takes_every_object(kubernetes, tmp_path, values):
    """No object is refused, none has a field that the server does not know, and none violates "restricted"."""
    answers = {
        f"{each['kind']}/{each['metadata']['name']}": kubernetes.apply(each, dry_run=True)
        for each in render(tmp_path, values)
    }

    faults = {name: answer.text for name, answer in answers.items() if answer.status_code >= 300}
    assert faults == {}
    assert {name: found for name, answer in answers.items() if (found := answer.headers.get("Warning"))} == {}
