"""What a process reports about missing copies of the relay's topics: a text, a log line at each change, and counts."""

from collections.abc import Callable, Mapping

import structlog

from relay.kafka.topic_copies import CopyState, copy_problem, count_states, join_by_text
from relay.kafka.topic_facts import TopicFacts

log = structlog.get_logger(__name__)


class CopyReport:
    """The copies at the last look. `text`: what is missing and what to do; None: every copy was in sync.

    Without an answer of Kafka nothing is known, so the text says that, and there are no counts.
    """

    def __init__(self, count: Callable[[Mapping[CopyState, int] | None], None] = lambda _: None) -> None:
        """`count`: gets the number of partitions in each state; None: unknown."""
        self._count = count
        self._missing: str | None = None
        self.text: str | None = None

    def update(self, facts: TopicFacts) -> None:
        """Take over what Kafka reports."""
        topics = {name: (topic.copies, topic.min_in_sync) for name, topic in facts.topics.items()}
        self._count(count_states(topics.values()))
        found = {name: copy_problem(*topic) for name, topic in topics.items()}
        missing = " ".join(join_by_text((name, text) for name, text in found.items() if text)) or None
        if missing is not None and missing != self._missing:
            log.warning("Kafka lacks copies of partitions. Start the missing brokers.", reason=missing)
        elif missing is None and self._missing is not None:
            log.info("Every copy of the topics is in sync again.", before=self._missing)
        self.text = self._missing = missing

    def unknown(self, reason: str) -> None:
        """Report that Kafka did not answer. `reason`: its error."""
        self._count(None)
        self.text = f"Whether copies of the topics are missing is unknown: {reason}"
