"""The producer of a process."""

import asyncio
import os

from cli.process_context import ProcessContext
from producer.service import run_producer
from relay.credentials.keyring import load_keyring
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.cache import open_stores
from relay.lifecycle import Service


def producer_service(process: ProcessContext) -> dict[str, Service]:
    keyring = load_keyring(process.settings.secrets)
    credentials = CredentialResolver(
        keyring,
        process.settings.secrets.directory,
        os.environ,
        process.redactor.add,
        open_stores(process.settings.secret_stores, os.environ),
    )

    async def service(stop: asyncio.Event) -> None:
        await run_producer(
            process.settings.producer,
            process.settings.schema_registry,
            process.connection,
            credentials,
            stop,
            process.registry,
            process.health,
            tracer=process.traces.tracer,
        )

    return {"producer": service}
