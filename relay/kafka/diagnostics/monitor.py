"""Log when Kafka no longer accepts connections, and why. Its clients only repeat that they fail."""

import asyncio
from dataclasses import dataclass, field
from typing import Never

import structlog

from relay.condition_log import ConditionLog, ConditionTiming
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import now_ms, to_iso_seconds

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MonitorTiming:
    """How often the monitor checks, after how many failures in a row it logs, and how often it reminds."""

    check_interval_seconds: float = 20.0
    report_after_failures: int = 2
    """One failure may be a restart of the broker."""
    conditions: ConditionTiming = field(default_factory=ConditionTiming)


DEFAULT_TIMING = MonitorTiming()


async def monitor(connection: Connection, timing: MonitorTiming = DEFAULT_TIMING) -> Never:
    """Check until cancelled. Existing connections may work for days after a password change; this reports it at once."""
    conditions, failures, since = ConditionLog(log, timing=timing.conditions), 0, ""
    while True:
        await asyncio.sleep(timing.check_interval_seconds)
        reason = await _connection_problem(connection)
        if reason is None:
            conditions.ended("kafka", "Kafka accepts connections again; it had not", {"since": since})
            failures = 0
            continue
        failures += 1
        since = since if failures > 1 else to_iso_seconds(now_ms())
        if failures >= timing.report_after_failures:
            conditions.failed(
                "kafka",
                reason,
                "Kafka did not accept a connection; the relay tries again.",
                {"reason": reason, "since": since},
                level="error",
            )


async def _connection_problem(connection: Connection) -> str | None:
    try:
        await connection.verify()
    except RelayError as error:
        return str(error)
    return None
