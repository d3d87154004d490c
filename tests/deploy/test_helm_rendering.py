"""What helm makes of the chart: valid for each version of Kubernetes, and accepted by the program."""

import importlib.util
import json
import re

import pytest

from management import settings
from tests.support.helm import CHART, NEEDS_HELM, ODD, SMALL, pods_of, render, run_helm, write_values
from tests.support.prometheus import read_alerts, read_dashboards

KUBERNETES = ("1.29", "1.33", "1.37")  # the oldest that the chart takes, and the newest with schemas
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"
CONTENTS = {"RELAY_DESTINATIONS__HTTP__URL_FILE": "https://receiver.example.com/x"}
NO_SCHEMA = {"ScaledObject", "PodMonitor", "PrometheusRule"}
EACH = pytest.mark.parametrize("values", [SMALL, ODD], ids=["small", "odd"])

pytestmark = NEEDS_HELM


def environment_of(container, folder):
    """Return the variables of a container, with a file for each mounted secret."""
    environ = {}
    for each in container["env"]:
        value = each.get("value", "a value of a Secret")
        if value.startswith("/run/relay/"):
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert any(f"{value}/".startswith(f"{mount}/") for mount in mounts)
            file = folder / each["name"]
            file.write_text(CONTENTS.get(each["name"], KEY))
            value = str(file if each["name"] != "RELAY_SECRETS__DIRECTORY" else folder)
        environ[each["name"]] = value
    return environ


@EACH
def test_helm_finds_no_fault(tmp_path, values):
    """`helm lint --strict` accepts the chart."""
    done = run_helm("lint", "--strict", CHART, "--values", write_values(tmp_path, values))

    assert done.returncode == 0, done.stdout + done.stderr


@EACH
@pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None,
    reason="kubernetes-validate is not installed: pip install kubernetes-validate==1.37.0",
)
def test_every_supported_kubernetes_knows_the_fields(tmp_path, values):
    """No manifest has a field that a supported version does not know, in its strict schemas."""
    import kubernetes_validate  # noqa: PLC0415 - a tool that need not be installed

    manifests = [each for each in render(tmp_path, values) if each["kind"] not in NO_SCHEMA]

    for version in KUBERNETES:
        for manifest in manifests:
            kubernetes_validate.validate(manifest, version, strict=True)


@EACH
def test_the_program_accepts_the_environment_of_each_pod(tmp_path, values):
    """Each variable of each pod is a setting with an allowed value, and the settings are those of the values."""
    pods = pods_of(render(tmp_path, values))
    (tmp_path / "files").mkdir()

    for name, pod in pods.items():
        loaded = settings.load(None, environment_of(pod["containers"][0], tmp_path / "files"))
        assert loaded.kafka.bootstrap == values["settings"]["kafka"]["bootstrap"]
        delivers = "consumer" in name or "console" in name
        assert set(loaded.destinations) == (set(values["settings"]["destinations"]) if delivers else set())


@EACH
def test_every_pod_is_restricted_and_has_a_limit(tmp_path, values):
    """Each pod meets the standard "restricted" of Pod Security, has a read-only root and no token of the cluster."""
    for pod in pods_of(render(tmp_path, values)).values():
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


@EACH
def test_names_fit_and_are_unique(tmp_path, values):
    """No two objects of a kind have one name, and no name is longer than a label may be."""
    names = [(each["kind"], each["metadata"]["name"]) for each in render(tmp_path, values)]

    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_each_destination_has_one_consumer(tmp_path):
    """An entry without destinations has those that no other names, and a scaled consumer has no fixed number."""
    manifests = render(tmp_path, ODD)
    consumers = {
        each["metadata"]["labels"]["jira-relay/consumer"]: each["spec"]
        for each in manifests
        if each["kind"] == "Deployment" and "jira-relay/consumer" in each["metadata"]["labels"]
    }

    args = {name: spec["template"]["spec"]["containers"][0]["args"] for name, spec in consumers.items()}
    assert args == {
        name: ["consume", "--destination", destination]
        for name, destination in {"all": "kafka", "http": "http", "splunk": "splunk"}.items()
    }
    assert {name for name, spec in consumers.items() if "replicas" in spec} == {"all"}
    scalers = {
        each["kind"]: each["spec"] for each in manifests if "Scale" in each["kind"] or "Auto" in each["kind"]
    }
    assert scalers["ScaledObject"]["maxReplicaCount"] == 9
    target = scalers["HorizontalPodAutoscaler"]["metrics"][0]["external"]["target"]
    assert target == {"type": "AverageValue", "averageValue": "5000000"}


def test_without_destinations_there_is_no_consumer(tmp_path):
    """Without a destination the producer and the console run, and no consumer."""
    pods = pods_of(render(tmp_path, {"settings": {"kafka": {"bootstrap": "k:1"}}}))

    assert set(pods) == {"relay-producer", "relay-console", "relay-topics"}


@pytest.mark.parametrize(
    ("consumers", "sentence"),
    [
        ({"soc": {"destinations": ["soc"]}}, "settings.destinations does not have"),
        ({"a": {"destinations": ["sentinel"]}, "b": {"destinations": ["sentinel"]}}, "is in two entries"),
        ({"a": {}}, "only one entry can have the rest"),
        ({"all": None}, "No entry of consumers has the destinations sentinel"),
    ],
)
def test_a_destination_without_a_place_is_refused(tmp_path, consumers, sentence):
    """A destination that no consumer or two would serve ends the rendering with a sentence."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        render(tmp_path, {**SMALL, "consumers": consumers})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"nameOverride": "2nd"}, "nameOverride"),
        ({"podLabels": {"app.kubernetes.io/component": "x"}}, "app.kubernetes.io/component"),
        ({"podLabels": {"helm.sh/chart": "x"}}, "helm.sh/chart"),
        ({"console": {"ingress": {"enabled": True}}}, "publicUrl must be the https address"),
        (
            {"consumer": {"autoscaling": {"kind": "hpa", "minReplicas": 9, "maxReplicas": 3}}},
            "minReplicas is above maxReplicas",
        ),
    ],
)
def test_values_that_the_cluster_would_refuse_are_refused_before(tmp_path, values, sentence):
    """A Service's name begins with a letter, the chart's labels stay, an ingress has a host, and an autoscaler has a range."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        render(tmp_path, {**SMALL, **values})


def test_a_consumer_with_an_account_has_one_of_its_own(tmp_path):
    """An identity for one destination is no other's; names that YAML reads as true, false or a number stay texts."""
    own = {"destinations": ["no"], "serviceAccount": {"annotations": {"client-id": "a"}}}
    settings_ = {"kafka": {"bootstrap": "k:1"}, "destinations": {"no": {"a": 1}, "sentinel": {"a": 1}}}
    scaled = {"autoscaling": {"kind": "hpa"}}
    values = {
        "settings": {**settings_, "schema_registry": None},
        "consumers": {"all": {}, "1e3": own | scaled},
    }
    manifests = render(tmp_path, values)
    accounts = {
        each["metadata"]["name"]: each["metadata"].get("annotations")
        for each in manifests
        if each["kind"] == "ServiceAccount"
    }
    pods = pods_of(manifests)

    assert accounts["relay-consumer-1e3"] == {"client-id": "a"}
    assert accounts["relay-consumer"] is None
    assert pods["relay-consumer-1e3"]["serviceAccountName"] == "relay-consumer-1e3"
    assert pods["relay-consumer-all"]["serviceAccountName"] == "relay-consumer"
    (scaler,) = (each["spec"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler")
    assert scaler["metrics"][0]["external"]["metric"]["selector"]["matchLabels"] == {"destination": "no"}
    assert all(
        isinstance(value, str) for each in manifests for value in each["metadata"].get("labels", {}).values()
    )


def test_a_variable_comes_once(tmp_path):
    """The variable of a service wins over that of all, and both over a setting: an API server refuses a name that comes twice."""
    given = [{"name": "A", "value": "1"}, {"name": "RELAY_KAFKA__BOOTSTRAP", "value": "own:1"}]
    own = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    for name, pod in pods_of(render(tmp_path, {**SMALL, "env": given, "consumer": {"env": own}})).items():
        variables = {each["name"]: each for each in pod["containers"][0]["env"]}
        assert len(variables) == len(pod["containers"][0]["env"])
        assert variables["RELAY_KAFKA__BOOTSTRAP"]["value"] == "own:1"
        assert variables["A"] == (own[0] if "consumer" in name else given[0])


def test_a_group_left_blank_is_empty(tmp_path):
    """Helm takes a key without a value away, such as `env:` above lines that are comments."""
    blank = dict.fromkeys(("env", "podLabels", "podAnnotations"))
    values = {**SMALL, **blank, "producer": blank, "consumer": blank, "console": blank}

    assert pods_of(render(tmp_path, values)) == pods_of(render(tmp_path, SMALL))


def test_the_names_of_openshift_are_reached(tmp_path):
    """A policy sees the port of the pods behind a Service: 5353 of OpenShift's DNS."""
    policies = [each for each in render(tmp_path, SMALL) if each["kind"] == "NetworkPolicy"]

    assert policies
    for policy in policies:
        open_ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert {53, 5353} <= open_ports


def test_kafka_is_needed(tmp_path):
    """Without brokers the rendering ends with the name of the value."""
    with pytest.raises(ValueError, match=r"settings\.kafka\.bootstrap is needed"):
        render(tmp_path, {})


def test_alerts_and_dashboards_are_those_of_the_repository(tmp_path):
    """The rules lead to the page of the operator, and the ConfigMap has every dashboard as it is."""
    manifests = render(tmp_path, ODD)
    (rule_file,) = (each for each in manifests if each["kind"] == "PrometheusRule")
    (boards,) = (each["data"] for each in manifests if each["metadata"]["name"].endswith("-dashboards"))
    rules = [rule for group in rule_file["spec"]["groups"] for rule in group["rules"]]
    pages = {rule["annotations"].pop("runbook_url").partition("#")[0] for rule in rules}
    expected = read_alerts()
    for rule in expected:
        rule["annotations"].pop("runbook_url")

    assert rules == expected
    assert pages == {"https://docs.example.com/alerts/"}
    assert {name: json.loads(text) for name, text in boards.items()} == {
        f"jira-relay-{name}.json": board for name, board in read_dashboards().items()
    }
