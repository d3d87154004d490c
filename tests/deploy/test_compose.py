"""docker-compose.yml, as far as it can be judged where no engine is at hand."""

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
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "jira-audit-relay"}
GIVEN = {
    "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "RELAY_DESTINATIONS__SENTINEL__RULE_ID": "dcr-0123456789abcdef0123456789abcdef",
}


def test_the_file_is_what_compose_expects():
    """The file agrees with the schema of the compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OURS)
def test_the_program_accepts_its_settings(name, tmp_path, monkeypatch):
    """Every RELAY_ variable of a service is a setting with a value that is allowed, and each secret is mounted for it."""
    monkeypatch.chdir(tmp_path)
    environ = {}
    for variable, value in OURS[name]["environment"].items():
        secret = re.fullmatch(r"/run/secrets/(\w+)", value)
        if secret:
            assert secret[1] in OURS[name]["secrets"]
            (tmp_path / secret[1]).write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
        environ[variable] = str(tmp_path / secret[1]) if secret else GIVEN.get(variable, value)

    loaded = settings.load(None, environ)

    assert loaded.kafka.bootstrap == "kafka:9092"
    assert loaded.schema_registry.url == "http://registry:8080/apis/ccompat/v7"


@pytest.mark.parametrize("name", OURS)
def test_what_differs_between_sites_is_asked_for(name):
    """A value that only the operator can know is taken from the environment, and its absence is explained."""
    asked = {key: value for key, value in OURS[name]["environment"].items() if value.startswith("$")}

    assert all(re.fullmatch(rf"\$\{{{key}:\?.+\}}", value) for key, value in asked.items())


def test_secrets_are_files():
    """No environment holds a secret: what is secret is named by the path it is mounted at."""
    secret = re.compile("KEY|PASSWORD|SECRET|TOKEN|CERTIFICATE")
    named = [
        (key, value)
        for service in SERVICES.values()
        for key, value in service["environment"].items()
        if secret.search(key)
    ]

    assert named
    assert all(key.endswith(("_FILE", "_PATH")) and value.startswith("/run/secrets/") for key, value in named)


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_power_than_it_needs(name):
    """No capabilities, no way to gain any, no port open to the outside, and a bound on what its log takes up."""
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service
    assert service["logging"] == {"driver": "local"}


@pytest.mark.parametrize("name", OURS)
def test_ours_write_nowhere_but_where_they_may(name):
    """Our containers have a read-only root, /tmp in memory, and time to finish what is in flight."""
    service = OURS[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["stop_grace_period"] == "60s"


def test_kafka_and_the_registry_are_for_the_relay_alone():
    """Kafka and the registry stand in a network without a way out or in."""
    assert SERVICES["kafka"]["networks"] == SERVICES["registry"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_what_is_waited_for_can_come():
    """Who is waited for until healthy has a health check; who is waited for until done ends."""
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


def test_the_registry_remembers():
    """The registry keeps its schemas in Kafka, not in memory: ids that were written into events must never change."""
    environment = SERVICES["registry"]["environment"]

    assert environment["APICURIO_STORAGE_KIND"] == "kafkasql"
    assert environment["APICURIO_KAFKASQL_BOOTSTRAP_SERVERS"] == "kafka:9092"


def test_foreign_images_are_named_by_version():
    """Nobody gets another Kafka or registry than the one that was tried."""
    foreign = [service["image"] for service in SERVICES.values() if service["image"] != "jira-audit-relay"]

    assert sorted(foreign) == ["apache/kafka:4.3.1", "apicurio/apicurio-registry:3.3.3"]
