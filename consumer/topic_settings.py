"""Settings of the topics that a consumer depends on, at most a minute old."""

import asyncio
from collections.abc import Sequence

import structlog

from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.copy_report import CopyReport
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_comparison import DataLossRisk, delivery_risks
from relay.kafka.topic_facts import TopicFacts, retention_ms, unknown_text
from relay.kafka.topic_risk_log import log_risk_changes, log_unknown_settings
from relay.kafka.topics import NOT_VISIBLE, Topics

DEFAULT_RETENTION_SECONDS = 30 * 86_400.0
"""Retention of an event topic that the relay creates; assumed while Kafka does not report it."""

log = structlog.get_logger(__name__)


class TopicSettings:
    """What Kafka reports about the topics: risks for events and dead letters, and how long events are kept.

    1. Kafka deletes events of a compacted or short-lived topic whether they are delivered or not. Only delivery saves
       them, so its flow goes on, and is not ready.
    2. A dead letter that is compacted away is lost, and its offset is committed. So none is written until the setting is corrected.
    """

    def __init__(
        self,
        connection: Connection,
        facts: TopicFacts,
        check_seconds: float = 60.0,
        copies: CopyReport | None = None,
    ) -> None:
        self._connection = connection
        self._topics = Topics(connection.kafka.topic_prefix)
        self._check_seconds = check_seconds
        self._facts = TopicFacts({})
        self._risks: Sequence[DataLossRisk] = ()
        self.unknown: str | None = None
        """Which settings Kafka did not report, and the reason; None: it reported all."""
        self.copies = copies or CopyReport()
        self.update(facts)

    def problem(self, topic: str) -> str | None:
        """Return the setting of a topic that causes data loss, and the command that corrects it; None: no reported one does."""
        found = [risk for risk in self._risks if risk.topic == topic]
        return f"{topic}: {found[0].describe(self._connection.bootstrap)}" if found else None

    @property
    def dead_letter_problem(self) -> str | None:
        """Why no dead letter may be written now; None: it may."""
        return self.problem(self._topics.dead_letters)

    def absence(self, topic: str) -> str | None:
        """Return why a topic cannot be used: it is missing, or not visible to this user; None: it was there at the last look."""
        if topic in self._facts.hidden:
            return f"{topic}: {NOT_VISIBLE}"
        return (
            None
            if topic in self._facts.topics
            else f"Kafka has no topic {topic}: run `jira-relay topics create`."
        )

    def retention_seconds(self, topic: str) -> float:
        """Return how long Kafka keeps events; infinite without a retention."""
        kept = retention_ms(self._facts.config(topic))
        return DEFAULT_RETENTION_SECONDS if kept is None else kept / 1000

    async def watch(self) -> None:
        """Look every `check_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self._check_seconds)
            try:
                self.update(await read_topic_facts(self._connection))
            except KAFKA_FAILURES as error:
                self.copies.unknown(describe(error))
                log.debug("Topic settings could not be read.", reason=describe(error))

    def update(self, facts: TopicFacts) -> None:
        """Take over the reported settings and copies, and log the changes."""
        self.copies.update(facts)
        configs = {name: topic.configs for name, topic in facts.topics.items()}
        read = (self._topics.events, self._topics.backfill, self._topics.dead_letters)
        risks, unknown = delivery_risks(self._topics, configs), unknown_text(facts, read)
        message = "A topic setting causes data loss. Run the command."
        log_risk_changes(message, self._risks, risks, self._connection.bootstrap)
        log_unknown_settings(self.unknown, unknown)
        self._facts, self._risks, self.unknown = facts, tuple(risks), unknown
