"""The topics of one flow, of which none holds up another."""

import asyncio
from collections.abc import Sequence
from typing import Self

from consumer.destinations.kafka.client import TopicClient
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.kafka.rows import Record
from consumer.destinations.outcome import Outcome, Partial, Paused, Retry

MAX_APART = 16
"""Topics with a producer of their own, each with a connection to every broker. If more have a problem, the cluster has."""


class RouteClients:
    """Topics that accept records share a client, so that a thousand organizations need one producer.

    Its calls wait for one another, and a failed one costs it the producer.
    So a topic with a problem has a client of its own until it accepts records again.
    """

    def __init__(
        self,
        name: str,
        config: TopicConfig,
        topics: Sequence[str],
        timeout_seconds: float,
        max_apart: int = MAX_APART,
    ) -> None:
        """Raises RelayError for settings that cannot work, among them a topic of the relay's own."""
        self._shared = TopicClient(name, config, topics, timeout_seconds)
        self._max_apart = max_apart if len(topics) > 1 else 0
        self._own: dict[str, TopicClient] = {}
        self._apart: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(each.close() for each in (self._shared, *self._own.values())))

    async def send(self, topic: str, records: Sequence[Record]) -> Outcome:
        """Write records to a topic, in order. After a Retry they may be there nevertheless.

        Calls for a topic follow one another, except those of organizations that an operator gave the topic of all others.
        """
        if topic not in self._apart:
            outcome = await self._shared.send(topic, records)
            if _is_problem(outcome) and self._shared.connected and len(self._apart) < self._max_apart:
                self._apart.add(topic)
            return outcome
        if topic not in self._own:
            self._own[topic] = self._shared.apart(topic)
        outcome = await self._own[topic].send(topic, records)
        if not _is_problem(outcome):
            self._apart.discard(topic)
            self._own[topic].disconnect()
        return outcome

    async def probe(self) -> Outcome:
        """Log in with a producer of its own, and ask for topics and rights. Nothing is written."""
        return await self._shared.probe()


def _is_problem(outcome: Outcome) -> bool:
    return isinstance(outcome, Retry | Paused) or (
        isinstance(outcome, Partial) and outcome.as_retry() is not None
    )
