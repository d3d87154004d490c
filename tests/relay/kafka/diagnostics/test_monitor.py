import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from relay.condition_log import ConditionTiming
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.monitor import MonitorTiming, monitor
from tests.support.kafka import PATIENCE
from tests.support.waiting import wait_until


@pytest.fixture
async def monitor_log(secure_kafka, prefix):
    """The log lines of a monitor whose connection has a user of its own."""
    timing = MonitorTiming(check_interval_seconds=0.1, conditions=ConditionTiming(remind_seconds=1.0))
    await secure_kafka.set_password(prefix, "the-first-password")
    login = {"sasl_username": prefix, "sasl_password": "the-first-password"}
    connection = Connection(KafkaConfig(**{**secure_kafka.scram_settings(), **login}), patience=PATIENCE)
    with capture_logs() as lines:
        task = asyncio.create_task(monitor(connection, timing))
        yield lines
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_changed_password_is_logged_until_it_works_again(secure_kafka, monitor_log, prefix):
    """The cause is logged, repeated while it lasts, and followed by its end; each line has the time of its start."""
    await secure_kafka.set_password(prefix, "the-second-password")
    await wait_until(lambda: len(logged(monitor_log)) >= 2)
    await secure_kafka.set_password(prefix, "the-first-password")
    ended = "Kafka accepts connections again"
    await wait_until(lambda: any(ended in line["event"] for line in monitor_log))

    first, second = logged(monitor_log)[:2]
    last = next(line for line in monitor_log if ended in line["event"])
    assert first["log_level"] == "error"
    assert f"rejects the user {prefix} or its password" in first["reason"]
    assert first["since"] == second["since"] == last["since"]
    assert "first-password" not in str(monitor_log)


def logged(lines):
    return [line for line in lines if line["log_level"] != "debug"]


class ScriptedConnection:
    """A connection with scripted checks: a reason, or None for an accepted connection."""

    def __init__(self, *reasons):
        self._reasons = iter(reasons)
        self.over = asyncio.Event()

    async def verify(self):
        try:
            reason = next(self._reasons)
        except StopIteration:
            self.over.set()
            await asyncio.Event().wait()
        if reason:
            raise RelayError(reason)


async def reported_reasons(*reasons):
    connection = ScriptedConnection(*reasons)
    with capture_logs() as lines:
        task = asyncio.create_task(monitor(connection, MonitorTiming(check_interval_seconds=0)))
        async with asyncio.timeout(60):
            await connection.over.wait()
        task.cancel()
        await asyncio.wait({task})
    return [line.get("reason", "in") for line in logged(lines)]


async def test_a_single_failed_check_is_not_logged():
    """One failed check may be a restart of the broker, so neither it nor its end is logged."""
    assert await reported_reasons(None, "away", None, None, "away", None) == []


async def test_a_cause_is_logged_once_and_another_one_at_once():
    """A cause that lasts is logged once, another cause at once, and then the end."""
    assert await reported_reasons("a", "a", "a", "b", "b", None, None) == ["a", "b", "in"]
