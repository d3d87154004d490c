"""A producer in a process of its own, to be killed, frozen and stopped: `python -m tests.support.producer`, settings on stdin."""

import asyncio
import json
import sys

from prometheus_client import CollectorRegistry

from management.settings import Settings
from producer.service import produce
from relay.credentials.keyring import Keyring
from relay.credentials.redaction import Redactor
from relay.credentials.resolver import Credentials
from relay.kafka.connection import Connection
from relay.lifecycle import run, supervised
from relay.telemetry import logs
from relay.telemetry.health import Health


async def main(settings, key):
    connection, health = Connection(settings.kafka), Health()
    credentials = Credentials(Keyring([key]), None, {})
    with supervised() as stop:

        async def service(stop):
            await produce(
                settings.producer,
                settings.schema_registry,
                connection,
                credentials,
                stop,
                CollectorRegistry(),
                health,
            )

        await run({"producer": service}, stop)


if __name__ == "__main__":
    logs.set_up("json", "info", Redactor())
    given = json.load(sys.stdin)
    asyncio.run(main(Settings.model_validate(given["settings"]), bytes.fromhex(given["key"])))
