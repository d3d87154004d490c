"""A Kafka with a password and the settings of a relay, with secrets that are easy to find."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from embedded import EmbeddedKafka, ports
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.support.kafka import STEADY

KAFKA = "kafka-canary/5f1c9e00+a1b2c3d4e5f6"
REGISTRY = "registry-canary&5f1c9e00=0123456789ab"


@asynccontextmanager
async def kafka_with_password(directory: Path) -> AsyncIterator[str]:
    """Run a Kafka; yield the address of its listener with a login."""
    port, controller, guarded = (ports.pick_free_port() for _ in range(3))
    own = f"PLAINTEXT://127.0.0.1:{port}"
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_relay="{KAFKA}";'
    properties = {
        "listeners": f"{own},CONTROLLER://127.0.0.1:{controller},GUARDED://127.0.0.1:{guarded}",
        "advertised.listeners": f"{own},GUARDED://127.0.0.1:{guarded}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": login,
        **STEADY,
    }
    async with EmbeddedKafka(
        directory, port, heap="384m", flush_each_write=False, extra_properties=properties
    ):
        yield f"127.0.0.1:{guarded}"


def kafka_settings(bootstrap: str) -> dict[str, str | int]:
    """Return the settings of group kafka for that listener."""
    return {
        "bootstrap": bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "relay",
        "sasl_password": KAFKA,
        "replication_factor": 1,
        "shards": 2,
        "group_session_timeout_seconds": 6,
    }


def relay_environment(
    directory: Path, bootstrap: str, registry: str, jira: JiraWorld, azure: AzureWorld
) -> dict[str, str]:
    """Return the settings of the relay as environment variables."""
    groups: dict[str, dict[str, object]] = {
        "kafka": dict(kafka_settings(bootstrap)),
        "schema_registry": {
            "url": registry,
            "username": "relay",
            "password": REGISTRY,
            "cache_directory": directory / "schemas",
        },
        "producer": {"interval_seconds": 1, "settle_seconds": 0.2, "gateway_url": jira.gateway_url},
        "destinations__sentinel": {
            "endpoint": azure.endpoint,
            "rule_id": azure.rule_id,
            "credential": "client-secret",
        },
        "secrets": {"key_file": directory / "secrets.key"},
        "telemetry": {"log_format": "json", "log_level": "debug"},
    }
    return {
        f"RELAY_{group}__{name}".upper(): str(value)
        for group, values in groups.items()
        for name, value in values.items()
    }
