"""The watch over days of a process."""

import asyncio
import os

from cli.operator_context import open_all_sources
from cli.process_context import ProcessContext
from management.completeness.collect import ProofContext
from management.completeness.signature import SigningKey
from management.completeness.watch import run_day_watch
from management.completeness.watch_report import NAME, DayWatchTiming
from relay.credentials.keyring import load_keyring
from relay.credentials.resolver import CredentialResolver
from relay.credentials.stores.cache import open_stores
from relay.lifecycle import Service
from relay.telemetry.health import Health
from relay.timestamps import now_ms

LISTING_SECONDS = 60.0
"""For one listing. A site that limits requests longer is asked again in the next round."""


def proof_service(process: ProcessContext, key: SigningKey, health: Health) -> dict[str, Service]:
    """Return the service that counts and seals days, with throttles of its own. `health`: what it reports to."""
    settings = process.settings
    credentials = CredentialResolver(
        load_keyring(settings.secrets),
        settings.secrets.directory,
        os.environ,
        process.redactor.add,
        open_stores(settings.secret_stores, os.environ),
    )
    context = ProofContext(
        process.connection,
        settings.schema_registry,
        settings.destinations,
        now_ms,
        listing_seconds=LISTING_SECONDS,
    )

    async def service(stop: asyncio.Event) -> None:
        async with open_all_sources(settings, credentials) as sources:
            await run_day_watch(
                context,
                key,
                settings.producer.late_days,
                sources,
                stop,
                process.registry,
                health,
                DayWatchTiming(),
            )

    return {NAME: service}
