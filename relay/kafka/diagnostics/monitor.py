"""Tells when Kafka does not let us in any more, and why: its clients try again and again, and say no more than that they fail."""

import asyncio
from datetime import UTC, datetime
from typing import Never

import structlog

from relay.errors import RelayError
from relay.kafka.connection import Connection

CHECK_INTERVAL_SECONDS = 20.0
REPORT_AFTER_FAILURES = 2
"""Before that it may be a restart."""
REPEAT_EVERY_FAILURES = 30

log = structlog.get_logger(__name__)


async def monitor(connection: Connection) -> Never:
    """Look until cancelled. Connections that stand may work for days after a password was changed; this tells at once."""
    failures, since, reported = 0, "", ""
    while True:
        await asyncio.sleep(CHECK_INTERVAL_SECONDS)
        reason = await _connection_problem(connection)
        if reason is None:
            if reported:
                log.info("Kafka lets us in again.", since=since)
            failures, reported = 0, ""
            continue
        failures += 1
        since = since if failures > 1 else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if failures >= REPORT_AFTER_FAILURES and (
            reason != reported or failures % REPEAT_EVERY_FAILURES == 0
        ):
            log.error("Kafka does not let us in; it is tried again and again.", reason=reason, since=since)
            reported = reason


async def _connection_problem(connection: Connection) -> str | None:
    try:
        await connection.verify()
    except RelayError as error:
        return str(error)
    return None
