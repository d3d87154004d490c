"""A view of a running relay from outside: its topics, its status records, and the rows at the destination."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, standalone_consumer
from relay.kafka.topics import Topics
from relay.status.model import Status, from_record
from simulators.azure.world import HISTORY, LIVE, AzureWorld

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
    accepted: int
    dead_letters: int

    @property
    def lag(self) -> int:
        """Records in Jira that are neither at the destination nor among the dead letters."""
        return max(0, self.in_jira - self.accepted - self.dead_letters)

    @property
    def all_arrived(self) -> bool:
        """Whether every record is at the destination or among the dead letters, by the counts.

        Counts cannot prove it: a dead letter may hold something that is not a record of Jira.
        """
        return self.lag == 0 and self.in_kafka + self.dead_letters >= self.in_jira

    @property
    def all_accepted(self) -> bool:
        """Whether every record is in Kafka and was accepted by the destination: none is a dead letter."""
        return self.in_kafka >= self.in_jira and self.accepted >= self.in_jira


class Observer:
    """Counts events, dead letters and rows, and keeps the last status of each key.

    `record_counts` returns for each organization how many records Jira has by now.
    """

    def __init__(
        self, connection: Connection, record_counts: Mapping[str, Callable[[], int]], azure: AzureWorld
    ) -> None:
        self._connection = connection
        self._topics = Topics(connection.kafka.topic_prefix)
        self._record_counts = record_counts
        self._azure = azure
        self._codec = InternalCodec("status")
        self.statuses: dict[str, Status] = {}
        self._in_kafka: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()
        self._rows_counted: dict[str, int] = {LIVE: 0, HISTORY: 0}
        self._uids: set[str] = set()

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
        self._count_accepted()
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
            accepted=self._accepted[name],
            dead_letters=self._dead_letters[name],
        )

    def _count_accepted(self) -> None:
        """Count the new rows by organization, each EventUid once."""
        for table, seen in self._rows_counted.items():
            rows = self._azure.rows(table)
            for row in rows[seen:]:
                if row["EventUid"] not in self._uids:
                    self._uids.add(row["EventUid"])
                    self._accepted[row["Organization"]] += 1
            self._rows_counted[table] = len(rows)

    def _count_record(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if record.topic == self._topics.status:
            self._store_status(key, record.value)
        elif record.topic == self._topics.dead_letters:
            part = dict(record.headers).get("relay.part", b"1/1")
            self._dead_letters[key] += part.startswith(b"1/")
        else:
            self._in_kafka[key] += 1

    def _store_status(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.statuses.pop(key, None)
            return
        with contextlib.suppress(NotAvro, UnknownSchema, BadBody):
            self.statuses[key] = from_record(self._codec.decode(value))
