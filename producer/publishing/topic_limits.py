"""The limits of the topics, and whether their settings would lose or refuse records, at most a minute old."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from producer.publishing.learned_limits import LearnedLimits
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.copy_report import CopyReport
from relay.kafka.size_refusals import SizeRefusal
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_comparison import DEFAULT_REREAD_MS, DataLossRisk, data_loss_risks
from relay.kafka.topic_facts import (
    TopicFacts,
    TopicLimits,
    message_limit,
    topic_limits,
    unknown_text,
    without_key_and_headers,
)
from relay.kafka.topic_risk_log import log_risk_changes, log_unknown_settings
from relay.kafka.topics import Topics

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
        raise_seconds: float = 600.0,
        copies: CopyReport | None = None,
    ) -> None:
        """`raise_seconds`: between two trials of a size that Kafka has refused before."""
        self._connection = connection
        self._topics = Topics(connection.kafka.topic_prefix)
        self._check_seconds = check_seconds
        self._reread_ms = reread_ms
        self._facts = TopicFacts({})
        self._learned = LearnedLimits(raise_seconds)
        """What Kafka has refused although the topic's settings, as far as they are known, allow it."""
        self.current = limits
        self.risks: Sequence[DataLossRisk] = ()
        self.unknown: str | None = None
        self.copies = copies or CopyReport()

    @property
    def problem(self) -> str | None:
        """The settings of topics that would lose or refuse records, and the commands that correct them. None: no known one does."""
        if not self.risks:
            return None
        found = " ".join(f"{risk.topic}: {risk.describe(self._connection.bootstrap)}" for risk in self.risks)
        return f"Kafka's settings of the topics would lose or refuse records. {found} Polling resumes within a minute after that."

    async def watch(self) -> None:
        """Look every `check_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self._check_seconds)
            self._learned.try_larger(time.monotonic())
            await self._look()

    async def size_refused(self, refusal: SizeRefusal) -> None:
        """Look at the limits, since Kafka refused a size. If they allow that size, halve the topic's largest message.

        The limit may have fallen after the producer was opened: every shard's producer is then refused once, and a new
        one makes smaller batches.
        """
        await self._look()
        topic, learned = refusal.topic, self._learned.by_topic.get(refusal.topic)
        allowed = without_key_and_headers(
            message_limit(self._facts, topic, self._connection.profile, learned)
        )
        if allowed >= refusal.sent_bytes:
            self._learned.refused(refusal, time.monotonic())
            self._set_current(self._limits(self._learned.by_topic))

    async def _look(self) -> None:
        try:
            self.update(await read_topic_facts(self._connection))
        except KAFKA_FAILURES as error:
            self.copies.unknown(describe(error))
            log.debug("Topic settings could not be read.", reason=describe(error))

    def update(self, facts: TopicFacts) -> None:
        """Take over what Kafka reports. A limit that its refusals have shown holds until an operator changes a limit."""
        if not self._facts.topics:  # The first look finds limits; nobody has changed them.
            self._facts = facts
            self.current = self._limits(self._learned.by_topic)
        before, self._facts = self._limits({}), facts
        if self._limits({}) != before:
            self._learned.forget()
        self._set_current(self._limits(self._learned.by_topic))
        self._set_risks(facts)
        self.copies.update(facts)

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
