"""The embedded Kafka of `jira-relay up`: started with its topics, restarted when it dies, stopped with the command."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from cli.context import connection_from
from management.settings import Settings
from relay.aio import run_unless_stopped
from relay.credentials.encryption_keys import make_encryption_key_file
from relay.credentials.keyring import load_keyring
from relay.errors import RelayError, SettingsError
from relay.kafka.connection import NO_CLUSTER, Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.lifecycle import Service
from relay.telemetry.health import Health

if TYPE_CHECKING:
    from embedded import EmbeddedKafka

MAX_STARTS = 6
_NAME = "embedded Kafka"

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_kafka(settings: Settings, stop: asyncio.Event) -> AsyncIterator["EmbeddedKafka | None"]:
    """Yield the running Kafka with all topics. None: `stop` was set before it was ready. Raises RelayError when it cannot start."""
    kafka = _build_kafka(settings)
    try:
        ready = await run_unless_stopped(stop, _start_with_retries(kafka, connection_from(settings)))
        yield kafka if ready else None
    finally:
        await kafka.stop()


def _build_kafka(settings: Settings) -> "EmbeddedKafka":
    try:
        from embedded import EmbeddedKafka  # noqa: PLC0415 - an image for outside clusters lacks the package
    except ImportError as error:
        raise SettingsError(
            f"{NO_CLUSTER}, or install jira-audit-relay[embedded]: this installation has no embedded Kafka."
        ) from error
    return EmbeddedKafka(
        settings.embedded.data_dir / "kafka",
        settings.embedded.port,
        maven_repository=settings.embedded.maven_repository,
        progress=_DownloadProgress(),
    )


async def _start_with_retries(kafka: "EmbeddedKafka", kafka_connection: Connection) -> bool:
    """Start Kafka, and start it again when it was killed meanwhile. Any other failure is raised: only an operator can mend it."""
    for _ in range(MAX_STARTS - 1):
        try:
            return await _start_with_topics(kafka, kafka_connection)
        except RelayError as error:
            if not await kafka.was_killed():
                raise
            log.error("Embedded Kafka was killed while it started; starting it again.", reason=str(error))
    return await _start_with_topics(kafka, kafka_connection)


async def _start_with_topics(kafka: "EmbeddedKafka", kafka_connection: Connection) -> bool:
    await kafka.start()
    log.info("Embedded Kafka is ready.", bootstrap=kafka.bootstrap, data=str(kafka.directory))
    await create_missing_topics(kafka_connection)
    return True


class _DownloadProgress:
    """Logs the progress of the download, at each tenth."""

    def __init__(self) -> None:
        self._last_tenth = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > self._last_tenth:
            self._last_tenth = tenth
            log.info("Kafka is being downloaded.", megabytes=round(done / 1e6), of=round(total / 1e6))


def keep_alive(kafka: "EmbeddedKafka", health: Health) -> Service:
    """Return a service that restarts embedded Kafka when it dies. Acknowledged records survive; until then `/readyz` fails."""

    async def service(stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                died = asyncio.create_task(kafka.wait_for_exit())
                await asyncio.wait({died, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    died.cancel()
                    return
                log.error("Embedded Kafka died; starting it again.", reason=str(died.result()))
                health.report(
                    _NAME, ok=False, reason="it died and is being restarted; see the log for the reason"
                )
                await _restart(kafka, stop)
                health.report(_NAME, ok=True)
        finally:
            stopping.cancel()

    return service


async def _restart(kafka: "EmbeddedKafka", stop: asyncio.Event) -> None:
    for attempt in range(MAX_STARTS):
        try:
            await kafka.start()
        except RelayError as error:
            log.error("Embedded Kafka could not be started; trying again.", reason=str(error))
            if attempt == MAX_STARTS - 1:
                raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0**attempt):
                    await stop.wait()
        else:
            log.info("Embedded Kafka is ready again.")
            return
        if stop.is_set():
            return


def settings_with(kafka: "EmbeddedKafka", settings: Settings) -> Settings:
    """Return the settings with the embedded Kafka's address, and with the key file of its directory when no key is set."""
    kafka_settings = settings.kafka.model_copy(update={"bootstrap": kafka.bootstrap, "replication_factor": 1})
    secrets = settings.secrets
    if load_keyring(secrets) is None:
        secrets = secrets.model_copy(
            update={"key_file": make_encryption_key_file(settings.embedded.data_dir)}
        )
    return settings.model_copy(update={"kafka": kafka_settings, "secrets": secrets})
