"""docker-compose.yml, checked without an engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from management import settings

FILE = Path(__file__).parents[2] / "docker-compose.yml"
COMPOSE = YAML(typ="safe").load(FILE)
SERVICES = COMPOSE["services"]
RELAY_SERVICES = {
    name: service for name, service in SERVICES.items() if service["image"] == "jira-audit-relay"
}
PAGES = {"console": ["127.0.0.1:8080:8080"], "grafana": ["127.0.0.1:3000:3000"]}
GIVEN = {
    "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "RELAY_DESTINATIONS__SENTINEL__RULE_ID": "dcr-0123456789abcdef0123456789abcdef",
}


def test_the_file_matches_the_schema_of_compose():
    """The file is valid by the schema of the compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]

    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", RELAY_SERVICES)
def test_the_program_accepts_its_settings(name, tmp_path, monkeypatch):
    """Each RELAY_ variable of a service is a setting with an allowed value, and each secret file is mounted."""
    monkeypatch.chdir(tmp_path)
    environ = {}
    for variable, value in RELAY_SERVICES[name]["environment"].items():
        secret = re.fullmatch(r"/run/secrets/(\w+)", value)
        if secret:
            assert secret[1] in RELAY_SERVICES[name]["secrets"]
            (tmp_path / secret[1]).write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
        environ[variable] = str(tmp_path / secret[1]) if secret else GIVEN.get(variable, value)

    loaded = settings.load(None, environ)

    assert loaded.kafka.bootstrap == "kafka:9092"
    assert loaded.schema_registry.url == "http://registry:8080/apis/ccompat/v7"


@pytest.mark.parametrize("name", RELAY_SERVICES)
def test_values_of_the_operator_come_from_the_environment(name):
    """A value that only the operator knows is a required variable with an explanation."""
    asked = {
        key: value for key, value in RELAY_SERVICES[name]["environment"].items() if value.startswith("$")
    }

    assert all(re.fullmatch(rf"\$\{{{key}:\?.+\}}", value) for key, value in asked.items())


def test_secrets_are_files():
    """No environment has a secret, only the path of its file."""
    secret = re.compile("KEY|PASSWORD|SECRET|TOKEN|CERTIFICATE")
    named = [
        (key, value)
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if secret.search(key)
    ]

    assert named
    assert all(key.endswith(("_FILE", "_PATH")) and value.startswith("/run/secrets/") for key, value in named)


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_power_than_it_needs(name):
    """A service has no capabilities, cannot gain any, publishes no port but those of its pages on loopback, and has a bounded log."""
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("ports") == PAGES.get(name)
    assert service["logging"] == {"driver": "local"}


@pytest.mark.parametrize("name", RELAY_SERVICES)
def test_containers_of_the_relay_have_a_read_only_root(name):
    """They have a read-only root, /tmp in memory, a home that leaves no volume without a name, and time to finish the requests in flight."""
    service = RELAY_SERVICES[name]
    volumes = [each.partition(":")[2] for each in service.get("volumes", [])]

    assert service["read_only"] is True
    homes = [*volumes, *(each for each in service["tmpfs"] if each != "/tmp")]
    # Docker gives a folder in memory to root, with the mode of the image: 0700 here.
    assert homes in (["/var/lib/jira-relay"], ["/var/lib/jira-relay:mode=1777"])
    assert bool(volumes) == (homes == ["/var/lib/jira-relay"])
    assert service["stop_grace_period"] == "60s"


def test_kafka_and_the_registry_are_for_the_relay_alone():
    """Kafka and the registry are in an internal network alone."""
    assert SERVICES["kafka"]["networks"] == SERVICES["registry"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_every_condition_of_a_dependency_can_be_met():
    """A dependency that must be healthy has a health check, and one that must complete is not restarted."""
    conditions = {
        (name, how["condition"])
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
    }

    for name, condition in conditions:
        if condition == "service_healthy":
            assert "test" in SERVICES[name]["healthcheck"]
        else:
            assert condition == "service_completed_successfully"
            assert SERVICES[name]["restart"] == "no"


def test_a_service_that_runs_once_says_so_itself():
    """Programs differ in which of two merged values wins, so the service itself has a value that decides."""
    assert re.findall(r"<<: \[\*once.*\n(.*?) #", FILE.read_text("utf-8")) == ['    restart: "no"'] * 3


def test_the_registry_keeps_its_schemas():
    """The registry stores schemas in Kafka, since the ids in events must never change."""
    environment = SERVICES["registry"]["environment"]

    assert environment["APICURIO_STORAGE_KIND"] == "kafkasql"
    assert environment["APICURIO_KAFKASQL_BOOTSTRAP_SERVERS"] == "kafka:9092"


def test_foreign_images_are_named_by_version():
    """The images of Kafka, the registry, Prometheus and Grafana have a version."""
    foreign = [service["image"] for service in SERVICES.values() if service["image"] != "jira-audit-relay"]

    assert sorted(foreign) == [
        "apache/kafka:4.3.1",
        "apicurio/apicurio-registry:3.3.3",
        "grafana/grafana:12.1.0",
        "prom/prometheus:v3.5.0",
    ]


def test_monitoring_runs_when_it_is_asked_for_and_finds_its_files():
    """Prometheus scrapes services of this file; each mounted file is in the repository; Grafana reads what is mounted."""
    root = FILE.parent
    mounts = {}
    for name in ("prometheus", "grafana"):
        assert SERVICES[name]["profiles"] == ["monitoring"]
        assert SERVICES[name]["read_only"] is True
        for source, target in (each.split(":")[:2] for each in SERVICES[name]["volumes"]):
            mounts[target] = source
            assert (root / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    yaml = YAML(typ="safe")
    config = yaml.load(root / mounts["/etc/prometheus/prometheus.yml"])
    (scrape,) = config["scrape_configs"]
    (targets,) = (each["targets"] for each in scrape["static_configs"])
    provisioning = root / mounts["/etc/grafana/provisioning"]
    (provider,) = yaml.load(provisioning / "dashboards/relay.yml")["providers"]
    (source,) = yaml.load(provisioning / "datasources/prometheus.yml")["datasources"]

    assert config["rule_files"] == ["alerts.yml"]
    assert "/etc/prometheus/alerts.yml" in mounts
    assert targets == ["producer:9464", "consumer:9464", "console:9464"]
    assert {each.partition(":")[0] for each in targets} <= {*RELAY_SERVICES}
    assert provider["options"]["path"] in mounts
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"] is True
