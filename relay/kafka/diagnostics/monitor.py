"""Tells when Kafka does not let us in any more, and why: its clients try again and again, and say no more than that they fail."""

import asyncio
from datetime import UTC, datetime
from typing import Never

import structlog

from relay.errors import RelayError
from relay.kafka.connection import Connection

LOOK_SECONDS = 20.0
TOLD_AT_LOOK = 2
"""Before that it may be a restart."""
TOLD_AGAIN_EACH = 30

log = structlog.get_logger(__name__)


async def watch(connection: Connection) -> Never:
    """Look until cancelled. Connections that stand may work for days after a password was changed; this tells at once."""
    looks, since, told = 0, "", ""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        reason = await _refusal(connection)
        if reason is None:
            if told:
                log.info("Kafka lets us in again.", since=since)
            looks, told = 0, ""
            continue
        looks += 1
        since = since if looks > 1 else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if looks >= TOLD_AT_LOOK and (reason != told or looks % TOLD_AGAIN_EACH == 0):
            log.error("Kafka does not let us in; it is tried again and again.", reason=reason, since=since)
            told = reason


async def _refusal(connection: Connection) -> str | None:
    try:
        await connection.verify()
    except RelayError as error:
        return str(error)
    return None
