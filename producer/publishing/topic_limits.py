"""The limits of the topics, and whether their settings would lose or refuse records, at most a minute old."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_comparison import DEFAULT_REREAD_MS, DataLossRisk, data_loss_risks
from relay.kafka.topic_facts import TopicFacts, TopicLimits, message_limit, topic_limits, unknown_text
from relay.kafka.topic_risk_log import log_risk_changes, log_unknown_settings
from relay.kafka.topics import MAX_EVENT_BYTES, Topics

MIN_MESSAGE_BYTES = 10_000

log = structlog.get_logger(__name__)


class TopicLimitsWatcher:
    """Limits and risks of the relay's topics, at most a minute old: an operator's change needs no restart.

    `risks`: settings with which Kafka deletes or refuses records that the relay needs. `unknown`: why some settings are not known.
    """

    def __init__(
        self,
        connection: Connection,
        limits: TopicLimits,
        check_seconds: float = 60.0,
        reread_ms: int = DEFAULT_REREAD_MS,
    ) -> None:
        self._connection = connection
        self._topics = Topics(connection.kafka.topic_prefix)
        self._check_seconds = check_seconds
        self._reread_ms = reread_ms
        self._facts = TopicFacts({})
        self._shown_bytes: dict[str, int] = {}
        """By topic, the largest message by what Kafka has refused although the topic's settings allow it."""
        self.current = limits
        self.risks: Sequence[DataLossRisk] = ()
        self.unknown: str | None = None

    @property
    def problem(self) -> str | None:
        """The settings of topics that would lose or refuse records, and the commands that correct them. None: no known one does."""
        if not self.risks:
            return None
        found = " ".join(f"{risk.topic}: {risk.describe(self._connection.bootstrap)}" for risk in self.risks)
        return f"Kafka's settings of the topics would lose or refuse records. {found} Polling resumes within a minute after that."

    async def watch(self, on_risk: Callable[[], None] = lambda: None) -> None:
        """Look every `check_seconds`, until cancelled. Call `on_risk` when a look has found a new risk."""
        while True:
            await asyncio.sleep(self._check_seconds)
            before = self.risks
            await self._look()
            if set(self.risks) - set(before):
                on_risk()

    async def size_refused(self, topic: str) -> None:
        """Look at the limits, since Kafka refused a size that they allow; if they still do, halve the topic's largest message."""
        before = self.current
        await self._look()
        if self.current == before:
            shown = self._shown_bytes.get(topic)
            allowed = min(MAX_EVENT_BYTES, message_limit(self._facts, topic, self._connection.profile, shown))
            self._shown_bytes[topic] = max(MIN_MESSAGE_BYTES, allowed // 2)
            self._set_current(self._limits(self._shown_bytes))

    async def _look(self) -> None:
        try:
            self.update(await read_topic_facts(self._connection))
        except KAFKA_FAILURES as error:
            log.debug("Topic settings could not be read.", reason=describe(error))

    def update(self, facts: TopicFacts) -> None:
        """Take over what Kafka reports. A limit that its refusals have shown holds until an operator changes a limit."""
        if not self._facts.topics:  # The first look finds limits; nobody has changed them.
            self._facts = facts
            self.current = self._limits({})
        before, self._facts = self._limits({}), facts
        if self._limits({}) != before:
            self._shown_bytes = {}
        self._set_current(self._limits(self._shown_bytes))
        self._set_risks(facts)

    def _limits(self, shown_bytes: Mapping[str, int]) -> TopicLimits:
        return topic_limits(self._facts, self._topics, self._connection.profile, shown_bytes)

    def _set_current(self, limits: TopicLimits) -> None:
        if limits != self.current:
            log.info("Topic limits changed.", largest=limits.max_event_bytes, kept_ms=limits.retention_ms)
        self.current = limits

    def _set_risks(self, facts: TopicFacts) -> None:
        configs = {name: topic.configs for name, topic in facts.topics.items()}
        risks, unknown = (
            data_loss_risks(self._topics, configs, self._reread_ms),
            unknown_text(facts, self._topics.all),
        )
        log_risk_changes(
            "A topic setting would lose or refuse records, so the shards were closed. Run the command in the field `command`.",
            self.risks,
            risks,
            self._connection.bootstrap,
        )
        log_unknown_settings(self.unknown, unknown)
        self.risks, self.unknown = tuple(risks), unknown
