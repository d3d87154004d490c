import asyncio

import structlog

from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import TopicLimits, read_limits

CHECK_SECONDS = 60.0

log = structlog.get_logger(__name__)


class TopicLimitsWatcher:
    """The limits of our topics, as they were a minute ago: what an operator changes there needs no restart."""

    def __init__(self, connection: Connection, limits: TopicLimits) -> None:
        self._connection = connection
        self.current = limits

    async def watch(self) -> None:
        """Look at them again and again, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                self._update(await read_limits(self._connection))
            except KAFKA_FAILURES as error:
                log.debug("The limits of the topics cannot be looked at.", reason=describe(error))

    def _update(self, limits: TopicLimits) -> None:
        if limits != self.current:
            log.info(
                "The limits of the topics have changed.",
                largest=limits.max_event_bytes,
                retention_ms=limits.retention_ms,
            )
        self.current = limits
