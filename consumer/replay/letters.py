"""The dead letters of one job."""

from collections.abc import Sequence

from consumer.delivery.dead_letters import DeadLetterTopic
from relay.kafka import Record


class ReplayLetters:
    """Writes dead letters, and knows which records became one.

    The sender reports accepted records and dead letters alike as delivered; the counts of a job tell them apart.
    """

    def __init__(self, writer: DeadLetterTopic) -> None:
        self._writer = writer
        self._written: dict[int, Record] = {}
        """By the id of the object, which the entry keeps alive."""

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:
        await self._writer.put(record, reason, status)
        self._written[id(record)] = record

    def took(self, records: Sequence[Record]) -> bool:
        """Return whether these records, which ended together, became dead letters; they are forgotten then."""
        found = [self._written.pop(id(each), None) for each in records] if self._written else []
        return any(each is not None for each in found)
