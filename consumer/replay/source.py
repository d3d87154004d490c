"""The source of a job: where its records come from, and the archive behind it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consumer.replay.tally import Ending
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition that are delivered together, in the order of their positions."""

    partition: TopicPartition
    """Of the ranges and places of the job: for dead letters, a partition of the dead-letter topic."""
    records: Sequence[Record]
    """`record.offset` is the position."""
    next_offset: int
    """Where reading goes on. Positions before it without a record hold none."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """The records that are not of this job: index, and the reason for the counts; empty: it needs none."""
    lost: Sequence[tuple[int, int]] = ()
    """Half-open ranges of positions before `next_offset` that nobody has any more."""
    corrupt: frozenset[tuple[int, int]] = frozenset()
    """Those of `lost` that Kafka still has, and cannot read."""


class SourceWaitsError(RelayError):
    """The source has no more records yet; the text says for what it waits. A later attempt finds them."""


class ReplaySource(Protocol):
    """Where the records of one job come from."""

    def chunks(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Chunk]:
        """Yield chunks of about 1 MB, from these positions to the ends of the job's ranges.

        Raises an error of KAFKA_FAILURES; the caller begins again from what it has delivered.
        """

    def letter_fields(self, record: Record) -> Mapping[str, str]:
        """Return further `relay.` headers of the dead letter that a record becomes."""

    def ending_of(self, record: Record) -> Ending | None:
        """Return how a record of a chunk ended before an owner of the job died, so that it is counted and not delivered again.

        None: it is to be delivered.
        """

    async def confirm(self, delivered: Sequence[Record], dead_lettered: Sequence[Record]) -> None:
        """Take note of delivered records of chunks, before the progress that covers them is written.

        After a death it may be called again with the same records. Raises an error of KAFKA_FAILURES; the caller tries again.
        """


@dataclass(frozen=True, slots=True)
class ArchivedRecords:
    """Records of one partition from an archive, with ascending offsets, as the topic had them."""

    records: Sequence[Record]
    next_offset: int
    """Everything that the archive has before it was yielded."""
    missing: Sequence[tuple[int, int]] = ()
    """Half-open ranges of offsets before `next_offset` that no object covers."""


class ArchiveReader(Protocol):
    """Reads what Kafka has deleted: `consumer.replay.archive_reader`."""

    def records(self, partition: TopicPartition, start: int, end: int) -> AsyncIterator[ArchivedRecords]:
        """Yield the records of offsets [start, end) in parts of about 1 MB; the last part ends at `end`.

        Raises RelayError for a later attempt.
        """
