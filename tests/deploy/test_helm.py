"""The chart deploy/helm/jira-audit-relay, checked without helm."""

import json
import re
import tomllib
from copy import deepcopy
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from management.settings import Settings
from relay.config.names import is_secret, known_names, setting_fields, variable
from tests.support.helm import CHART, ODD, SMALL

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
META = YAML(typ="safe").load(CHART / "Chart.yaml")
VALUES = YAML(typ="safe").load(CHART / "values.yaml")
TEMPLATES = {path.name: path.read_text("utf-8") for path in sorted((CHART / "templates").iterdir())}
SET_BY_THE_CHART = {("telemetry", "listen"), ("console", "listen"), ("console", "public_url")}


def merged(values, changes):
    """Return values with changes, as helm merges a file of values: a null takes a key away."""
    result = deepcopy(values)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = deepcopy(value)
    return result


def faults(changes):
    """Return the paths of the values that the schema refuses."""
    found = Draft7Validator(SCHEMA).iter_errors(merged(VALUES, changes))
    return sorted(".".join(map(str, error.absolute_path)) for error in found)


def at(path, value):
    """Return the value below a dotted path."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def test_chart_and_program_have_one_version():
    """Chart, program and image have the version of pyproject.toml."""
    assert META["version"] == META["appVersion"] == PROJECT["version"]
    assert META["name"] == PROJECT["name"] == VALUES["image"]["repository"]


@pytest.mark.parametrize("values", [{}, SMALL, ODD], ids=["default", "small", "odd"])
def test_the_schema_is_valid_and_takes_the_values(values):
    """values.schema.json is a schema, and accepts the defaults and the values that the tests render."""
    Draft7Validator.check_schema(SCHEMA)

    assert faults(values) == []


def test_the_values_of_the_page_are_accepted():
    """The values that docs/operations/install.md shows are valid, and their settings exist."""
    page = (ROOT / "docs" / "operations" / "install.md").read_text("utf-8")
    blocks = [YAML(typ="safe").load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    (values,) = [block for block in blocks if "settings" in block]

    assert faults(values) == []
    named = {("kafka", name) for name in values["settings"]["kafka"]}
    assert named <= known_names(setting_fields(Settings))


def test_values_and_schema_have_the_same_groups():
    """values.yaml has no group at its top level that values.schema.json does not know, and the reverse."""
    assert set(VALUES) | {"global"} == set(SCHEMA["properties"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", 2),
        ("settings.kafka.sasl_password", "p"),
        ("settings.destinations.soc.token", "t"),
        ("settings.destinations.Soc", {}),
        ("settings.destinations.soc_", {}),
        ("settings.destinations.soc__a", {}),
        ("env", [{"value": "no name"}]),
        ("producer.env", [{"name": "PORT", "value": 8080}]),
        ("podAnnotations.a", 1),
        ("nodeSelector.gpu", True),
        ("metrics.podMonitor.labels.a", 1),
        ("settings.telemetry.listen", "0.0.0.0:1"),
        ("settings.kafka.Bootstrap", "a:1"),
        ("settings.kafka.bootstrap", "no port"),
        ("settings.embedded", {"port": 1}),
        ("console.publicUrl", "http://relay.example.com"),
        ("console.publicUrl", "https://relay.example.com/path"),
        ("terminationGracePeriodSeconds", 30),
        ("secrets.relay-keys.configMapName", "both"),
        ("secrets.relay-keys.services", ["producers"]),
        ("secrets.relay-keys.value", "in clear"),
        ("secrets.other", {"secretProviderClass": "c", "services": ["jobs"], "variables": {"A": "b"}}),
        ("consumers.a-name-that-is-too-long-for-a-pod", {}),
        ("consumers.soc.autoscaling", {"kind": "lag"}),
        ("image.digest", "sha256:abc"),
        ("runAsUser", 0),
        ("networkPolicy.egressPorts", [70000]),
    ],
)
def test_a_wrong_value_is_refused(path, value):
    """A misspelt, unsafe or impossible value is a fault of the schema, so helm names it before anything is installed."""
    found = faults(merged(SMALL, at(path, value)))

    assert found
    assert all(path.startswith(fault) or fault.startswith(path) for fault in found)


def test_the_schema_refuses_every_secret_in_settings():
    """Each setting that is a secret, and each that the chart sets itself, cannot be among the settings."""
    fields = setting_fields(Settings)
    refused = {
        group: set(schema.get("propertyNames", {}).get("not", {}).get("enum", []))
        for group, schema in SCHEMA["properties"]["settings"]["properties"].items()
    }
    inner = SCHEMA["properties"]["settings"]["properties"]["destinations"]["additionalProperties"]
    refused["destinations"] = set(inner["propertyNames"]["not"]["enum"])

    expected = {group: set() for group in Settings.model_fields if group != "embedded"}
    for name, field in fields.items():
        if is_secret(field) or name in SET_BY_THE_CHART:
            expected[name[0]].add(name[-1])

    assert refused == expected
    assert set(VALUES["settings"]) == set(expected)


def test_the_chart_names_settings_that_exist():
    """Each RELAY_ variable that values and templates name is one of the program."""
    texts = [(CHART / "values.yaml").read_text("utf-8"), *TEMPLATES.values()]
    named = set(re.findall(r"\bRELAY_[A-Z]+__[A-Z][A-Z_]*\b", "".join(texts)))

    assert named - {variable(name) for name in known_names(setting_fields(Settings))} == set()
    assert {"RELAY_TELEMETRY__LISTEN", "RELAY_SECRETS__KEY_FILE", "RELAY_CONSOLE__TOKEN_FILE"} <= named


def test_each_service_gets_the_groups_that_it_reads():
    """The groups of the templates are groups of the settings, and a consumer gets the destinations."""
    groups = {
        name: set(json.loads(f"[{', '.join(found.split())}]"))
        for name, text in TEMPLATES.items()
        for found in re.findall(r'\(list ((?:"[a-z_]+" ?)+)\)', text)
        if '"kafka"' in found
    }
    consumer = re.search(r"\$groups := list ([^}]+) }}", TEMPLATES["consumers.yaml"])

    assert all(found <= set(Settings.model_fields) for found in groups.values())
    assert set(groups) == {"console.yaml", "jobs.yaml", "producer.yaml"}
    assert '"destinations"' in consumer[1]
    assert '"consumer"' in consumer[1]


def test_the_pods_fit_the_image():
    """User, port, writable folder and time to stop are those of the image and of docker-compose.yml."""
    pod, deployment = TEMPLATES["_pod.tpl"], TEMPLATES["_deployment.tpl"]

    assert f"USER {VALUES['runAsUser']}:{VALUES['runAsUser']}\n" in DOCKERFILE
    assert 'VOLUME ["/var/lib/jira-relay"]' in DOCKERFILE
    assert "{name: home, mountPath: /var/lib/jira-relay}" in pod
    assert "EXPOSE 9464" in DOCKERFILE
    assert "containerPort: 9464" in deployment
    assert 'value: "0.0.0.0:9464"' in pod
    assert f"stop_grace_period: {VALUES['terminationGracePeriodSeconds']}s" in (
        ROOT / "docker-compose.yml"
    ).read_text("utf-8")


def test_no_probe_that_kills_asks_about_kafka():
    """Liveness and start-up ask /healthz, which says nothing about Kafka; only readiness asks /readyz."""
    probes = dict(
        re.findall(r"(\w+)Probe:\n +httpGet: {path: (/\w+), port: telemetry}", TEMPLATES["_deployment.tpl"])
    )

    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
