"""A producer in a process of its own, to be killed, frozen and stopped: `python -m tests.support.producer`, settings on stdin."""

import asyncio
import json
import sys

from prometheus_client import CollectorRegistry

from producer.service import produce
from relay import logging
from relay.health import Health
from relay.kafka.connection import Connection
from relay.keyring import Keyring
from relay.lifecycle import run, supervised
from relay.redaction import Redactor
from relay.secrets import Credentials
from relay.settings import Settings


async def main(settings, key):
    connection, health = Connection(settings.kafka), Health()
    credentials = Credentials(Keyring([key]), None, {})
    with supervised() as stop:

        async def service(stop):
            await produce(settings, connection, credentials, stop, CollectorRegistry(), health)

        await run({"producer": service}, stop)


if __name__ == "__main__":
    logging.set_up("json", "info", Redactor())
    given = json.load(sys.stdin)
    asyncio.run(main(Settings.model_validate(given["settings"]), bytes.fromhex(given["key"])))
