"""A producer process for tests that kill, freeze and stop it: `python -m tests.support.producer_process`, settings on stdin.

`die_at` of the settings names a step (`tests.support.deaths`) at which the process kills itself.
"""

import asyncio
import json
import sys

from prometheus_client import CollectorRegistry

from management.settings import Settings
from producer.service import run_producer
from relay.credentials.keyring import Keyring
from relay.credentials.redaction import Redactor
from relay.credentials.resolver import CredentialResolver
from relay.kafka.connection import Connection
from relay.lifecycle import run_services, stop_on_signals
from relay.telemetry import logs
from relay.telemetry.health import Health
from tests.support.deaths import die_at


async def main(settings: Settings, key: bytes) -> None:
    connection, health = Connection(settings.kafka), Health()
    credentials = CredentialResolver(Keyring([key]), None, {})
    with stop_on_signals() as stop:

        async def service(stop: asyncio.Event) -> None:
            await run_producer(
                settings.producer,
                settings.schema_registry,
                connection,
                credentials,
                stop,
                CollectorRegistry(),
                health,
            )

        await run_services({"producer": service}, stop)


if __name__ == "__main__":
    logs.configure_logging("json", "info", Redactor())
    given = json.load(sys.stdin)
    if given.get("die_at"):
        die_at(given["die_at"])
    asyncio.run(main(Settings.model_validate(given["settings"]), bytes.fromhex(given["key"])))
