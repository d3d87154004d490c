"""The state of one flow that the status shows."""

from collections.abc import Hashable, Sequence

from consumer.delivery.defects import open_rejections_text
from consumer.destinations.outcome import Paused, Retry
from relay.kafka import TopicPartition
from relay.status.model import RetriedRequest


class FlowState:
    """Counters and named problems of one flow, across assignments.

    A problem has a key: the delivery that found it clears it. Holds no lock and no client; only the status reads it.
    """

    def __init__(self) -> None:
        self.accepted = 0
        """Events that the destination accepted."""
        self.dead_lettered = 0
        self.skipped = 0
        """Events that the filter of the destination left out."""
        self.retries = 0
        """Requests whose events had to be sent again."""
        self.last_retry: RetriedRequest | None = None
        self._open_rejections: dict[Hashable, tuple[int, int, str]] = {}
        self._defects: dict[Hashable, str] = {}
        self._unconfirmed: dict[Hashable, str] = {}
        self._dead_letter_failures: dict[Hashable, str] = {}
        self._doubted_schemas: dict[TopicPartition, str] = {}
        self._corrupt_batches: dict[TopicPartition, str] = {}
        self._drop: str | None = None
        self._mismatch: str | None = None
        self._held_partitions: dict[TopicPartition, str] = {}

    @property
    def problem(self) -> Paused | Retry | None:
        """A Paused that an operator must solve, or a Retry that may pass; None: there is none, or a route has it."""
        found = (
            *self._defects.values(),
            *self._dead_letter_failures.values(),
            *self._doubted_schemas.values(),
        )
        if found:
            return Paused(found[0])
        return next((Retry(text) for text in self._unconfirmed.values()), None)

    @property
    def corrupt_batches(self) -> Sequence[str]:
        """Batches that cannot be read; their partitions wait, others do not."""
        return tuple(self._corrupt_batches.values())

    @property
    def held_partitions(self) -> Sequence[str]:
        """Partitions in which all organizations wait for the route of one."""
        return tuple(self._held_partitions.values())

    @property
    def open_rejections(self) -> Sequence[str]:
        """The rejected events that wait for the acceptance of others, if there are any."""
        found = [*self._open_rejections.values()]
        if not found:
            return ()
        since_ms, reason = min((since_ms, reason) for _, since_ms, reason in found)
        return (open_rejections_text(sum(count for count, *_ in found), since_ms, reason),)

    @property
    def drops(self) -> Sequence[str]:
        """The last body of which the destination dropped rows without naming them, if there was one."""
        return () if self._drop is None else (self._drop,)

    @property
    def mismatches(self) -> Sequence[str]:
        """The last offset that did not fit the log, and where delivery went on, if there was one."""
        return () if self._mismatch is None else (self._mismatch,)

    def request_repeated(self, at_ms: int, reason: str) -> None:
        """Count a request whose events have to be sent again. `at_ms`: UTC."""
        self.retries += 1
        self.last_retry = RetriedRequest(at_ms, reason)

    def record_dead_lettered(self) -> None:
        self.dead_lettered += 1

    def rows_dropped(self, text: str) -> None:
        """Report that the destination accepted a body but for rows that it does not name: its configuration is not suspected."""
        self._drop = text

    def rejections_open(self, key: Hashable, count: int, since_ms: int, reason: str) -> None:
        """Report that rejected events have waited in vain for the acceptance of others. `since_ms`: of their first rejection, UTC."""
        self._open_rejections[key] = count, since_ms, reason

    def rejections_closed(self, key: Hashable) -> None:
        self._open_rejections.pop(key, None)

    def defect_found(self, key: Hashable, text: str) -> None:
        """Report that the relay's own code failed; its caller tries again."""
        self._defects[key] = text

    def defect_cleared(self, key: Hashable) -> None:
        self._defects.pop(key, None)

    def body_unconfirmed(self, key: Hashable, text: str) -> None:
        """The destination took a body, and did not confirm it."""
        self._unconfirmed[key] = text

    def body_ended(self, key: Hashable) -> None:
        """A body is delivered, or given up with its assignment."""
        self._unconfirmed.pop(key, None)

    def dead_letters_failing(self, key: Hashable, text: str) -> None:
        """Report that Kafka does not confirm dead letters."""
        self._dead_letter_failures[key] = text

    def dead_letters_written(self, key: Hashable) -> None:
        self._dead_letter_failures.pop(key, None)

    def schema_doubted(self, partition: TopicPartition, text: str) -> None:
        """Report that the events of a partition wait: the schema that they name is nowhere, or does not fit them."""
        self._doubted_schemas[partition] = text

    def schema_found(self, partition: TopicPartition) -> None:
        self._doubted_schemas.pop(partition, None)

    def batch_corrupt(self, partition: TopicPartition, text: str) -> None:
        """Report that a partition is not read beyond a corrupt batch."""
        self._corrupt_batches[partition] = text

    def batch_readable(self, partition: TopicPartition) -> None:
        self._corrupt_batches.pop(partition, None)

    def partition_held(self, partition: TopicPartition, text: str) -> None:
        """Report that a partition is not read on, since a route of events in it is not accepted."""
        self._held_partitions[partition] = text

    def partition_released(self, partition: TopicPartition) -> None:
        self._held_partitions.pop(partition, None)

    def offset_mismatched(self, text: str) -> None:
        """Report a known offset that did not fit the log. The last one is kept."""
        self._mismatch = text
