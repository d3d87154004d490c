"""A view of a running relay from outside: its topics, its status records, and the rows at the destinations."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, standalone_consumer
from relay.kafka.topics import Topics
from relay.status.model import Status, from_record
from sandbox.destinations.contract import DestinationPeer

POLL_MS = 250
PRODUCER_KEY_PREFIX = "producer/"


@dataclass(frozen=True, slots=True)
class OrganizationSnapshot:
    """One organization at one moment; instants in ms UTC."""

    organization: str
    state: str
    reason: str | None
    last_event: int | None
    complete_up_to: int | None
    in_jira: int
    in_kafka: int
    accepted: Mapping[str, int]
    """Records by destination that accepted them."""
    unreadable: int = 0
    """Dead letters of the producer."""
    undeliverable: Mapping[str, int] = field(default_factory=dict)
    """Dead letters of the consumer, by destination."""

    @property
    def lag(self) -> int:
        """Records in Jira that are neither at the slowest destination nor among the dead letters."""
        settled = (count + self.undeliverable.get(name, 0) for name, count in self.accepted.items())
        return max(0, self.in_jira - self.unreadable - min(settled))

    @property
    def all_arrived(self) -> bool:
        """Whether every record is at each destination or among the dead letters, by the counts.

        Counts cannot prove it: a dead letter may hold something that is not a record of Jira.
        """
        return self.lag == 0 and self.in_kafka + self.unreadable >= self.in_jira

    @property
    def all_accepted(self) -> bool:
        """Whether every record is in Kafka and was accepted by each destination: none is a dead letter."""
        return min(self.in_kafka, *self.accepted.values()) >= self.in_jira


class AcceptedRecords:
    """Counts the records that a destination accepted by organization, each once."""

    def __init__(self, peer: DestinationPeer) -> None:
        self.counts: Counter[str] = Counter()
        self._peer = peer
        self._rows_seen = {True: 0, False: 0}
        """Rows counted already, by whether they are history."""
        self._records: set[tuple[str, int]] = set()

    def count_new(self) -> None:
        """Count the rows that came since the last call."""
        for history, seen in self._rows_seen.items():
            rows = self._peer.rows(history=history, start=seen)
            self._rows_seen[history] += len(rows)
            for row in rows:
                if (record := (row.organization, row.record_id)) not in self._records:
                    self._records.add(record)
                    self.counts[row.organization] += 1


class Observer:
    """Counts events, dead letters and rows, and keeps the last status of each key.

    `record_counts` returns for each organization how many records Jira has by now.
    """

    def __init__(
        self,
        connection: Connection,
        record_counts: Mapping[str, Callable[[], int]],
        destinations: Mapping[str, DestinationPeer],
    ) -> None:
        self._connection = connection
        self._topics = Topics(connection.kafka.topic_prefix)
        self._record_counts = record_counts
        self._codec = InternalCodec("status")
        self.statuses: dict[str, Status] = {}
        self._in_kafka: Counter[str] = Counter()
        self._unreadable: Counter[str] = Counter()
        self._undeliverable: dict[str, Counter[str]] = {name: Counter() for name in destinations}
        self._accepted = {name: AcceptedRecords(peer) for name, peer in destinations.items()}

    async def run(self) -> None:
        """Follow the topics until cancelled. Raises RelayError when Kafka is gone."""
        names = self._topics
        topics = (names.events, names.backfill, names.dead_letters, names.status)
        async with standalone_consumer(self._connection, fetch_max_wait_ms=POLL_MS) as consumer:
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in await partitions_of(consumer, topic)
            ]
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, 0)
            while True:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self._count_record(record)

    def take_snapshots(self) -> list[OrganizationSnapshot]:
        """Return the present counts of each organization, by name."""
        for records in self._accepted.values():
            records.count_new()
        return [self._take_snapshot(name) for name in sorted(self._record_counts)]

    def _take_snapshot(self, name: str) -> OrganizationSnapshot:
        status = self.statuses.get(f"{PRODUCER_KEY_PREFIX}{name}")
        return OrganizationSnapshot(
            organization=name,
            state=status.state if status else "starting",
            reason=status.reason if status else None,
            last_event=status.last_event if status else None,
            complete_up_to=status.complete_up_to if status else None,
            in_jira=self._record_counts[name](),
            in_kafka=self._in_kafka[name],
            accepted={key: records.counts[name] for key, records in self._accepted.items()},
            unreadable=self._unreadable[name],
            undeliverable={key: counts[name] for key, counts in self._undeliverable.items()},
        )

    def _count_record(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if record.topic == self._topics.status:
            self._store_status(key, record.value)
        elif record.topic == self._topics.dead_letters:
            self._count_dead_letter(key, dict(record.headers))
        else:
            self._in_kafka[key] += 1

    def _count_dead_letter(self, organization: str, headers: Mapping[str, bytes]) -> None:
        if "relay.redriven" in headers:  # a mark on a letter that was redriven
            return
        destination = headers.get("relay.destination", b"").decode(errors="replace")
        counts = self._undeliverable.get(destination, self._unreadable)
        counts[organization] += headers.get("relay.part", b"1/1").startswith(b"1/")

    def _store_status(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.statuses.pop(key, None)
            return
        with contextlib.suppress(NotAvro, UnknownSchema, BadBody):
            self.statuses[key] = from_record(self._codec.decode(value))
