import asyncio

import structlog

from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import TopicLimits, read_limits

log = structlog.get_logger(__name__)


class TopicLimitsWatcher:
    """The limits of the relay's topics, at most a minute old: an operator's change needs no restart."""

    def __init__(self, connection: Connection, limits: TopicLimits, check_seconds: float = 60.0) -> None:
        self._connection = connection
        self._check_seconds = check_seconds
        self.current = limits

    async def watch(self) -> None:
        """Read the limits every `check_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self._check_seconds)
            try:
                self._update(await read_limits(self._connection))
            except KAFKA_FAILURES as error:
                log.debug("Topic limits could not be read.", reason=describe(error))

    def _update(self, limits: TopicLimits) -> None:
        if limits != self.current:
            log.info(
                "Topic limits changed.",
                largest=limits.max_event_bytes,
                retention_ms=limits.retention_ms,
            )
        self.current = limits
