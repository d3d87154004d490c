"""Topics of a simulated broker: their records, and what the broker checks before it stores a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.kafka.records import RecordBatch, StoredRecord

KNOWN_BATCHES = 5
"""Batches of a producer that a broker remembers (ProducerStateEntry.NUM_BATCHES_TO_RETAIN)."""
TOO_LARGE, INVALID_RECORD, OUT_OF_ORDER = 10, 87, 45


@dataclass(frozen=True, slots=True)
class Verdict:
    """A broker's answer about one batch. `blamed`: the records that it names, and why."""

    code: int
    offset: int = -1
    blamed: Mapping[int, str] = field(default_factory=dict)


@dataclass
class Partition:
    """The log of one partition, and the last batches of each producer: first sequence number, records, offset."""

    records: list[StoredRecord] = field(default_factory=list)
    producers: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)

    def append(self, batch: RecordBatch) -> Verdict:
        """Store a batch, unless it is there or one before it is missing."""
        known = self.producers.setdefault(batch.producer_id, [])
        if batch.producer_id >= 0:
            for sequence, count, offset in known:
                if (sequence, count) == (batch.sequence, len(batch.records)):
                    return Verdict(0, offset)
            expected = known[-1][0] + known[-1][1] if known else 0
            if batch.sequence != expected:
                return Verdict(OUT_OF_ORDER)
        offset = len(self.records)
        self.records += batch.records
        self.producers[batch.producer_id] = [*known, (batch.sequence, len(batch.records), offset)][
            -KNOWN_BATCHES:
        ]
        return Verdict(0, offset)


@dataclass
class Topic:
    """A topic. `poisons`: uids of records that the broker refuses; `writable`: whether the user has Write."""

    partitions: list[Partition]
    max_message_bytes: int = 1_048_588
    writable: bool = True
    poisons: set[str] = field(default_factory=set)
    names_records: bool = True
    """Whether an answer names the records to blame, as since Kafka 2.4."""
    policy: str = "delete"
    """Its cleanup.policy."""
    refusal: int = 0
    """Error code of every batch; 0: none."""
    arrived: list[StoredRecord] = field(default_factory=list)
    """All records in the order of their arrival."""

    def store(self, number: int, batch: RecordBatch) -> Verdict:
        """Check a batch, and store it whole or not at all."""
        if self.refusal:
            return Verdict(self.refusal)
        if batch.size > self.max_message_bytes:
            return Verdict(TOO_LARGE)
        blamed = {
            place: "One or more records have been rejected by the broker"
            for place, record in enumerate(batch.records)
            if record.uid in self.poisons
        }
        if blamed:
            return Verdict(INVALID_RECORD, blamed=blamed if self.names_records else {})
        partition = self.partitions[number]
        before = len(partition.records)
        verdict = partition.append(batch)
        self.arrived += partition.records[before:]
        return verdict
