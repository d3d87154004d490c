"""Kafka: the only room that imports aiokafka.

Enters: the settings of one cluster, records to write, handlers for consumer groups.
Leaves: records, offsets and confirmed writes; failures are KAFKA_FAILURES, and every wait has a bound.
It knows no content of a record. aiokafka_patches/ mends what aiokafka 0.14 does wrong silently or without end.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from aiokafka.errors import KafkaError, OffsetMetadataTooLargeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.errors import RelayError

__all__ = [
    "KAFKA_FAILURES",
    "KafkaError",
    "OffsetAndMetadata",
    "OffsetMetadataTooLargeError",
    "Record",
    "TopicPartition",
    "is_refusal",
    "partition_text",
    "partitions_text",
]


KAFKA_FAILURES: tuple[type[Exception], ...] = (RelayError, KafkaError, TimeoutError, OSError)
"""The errors of this room's calls if Kafka, or the connection to it, fails. A later attempt may succeed."""


def partition_text(tp: TopicPartition) -> str:
    """Return a partition as messages name it: `topic/3`."""
    return f"{tp.topic}/{tp.partition}"


def partitions_text(partitions: Iterable[TopicPartition]) -> str:
    """Return partitions as messages name them, in order: `topic/0, topic/3`."""
    return ", ".join(map(partition_text, sorted(partitions)))


def is_refusal(error: BaseException | None) -> bool:
    """Return whether Kafka refused a request for a missing right: on a topic, a group, the cluster, a transactional id.

    Errors of aiokafka itself have no code.
    """
    return isinstance(error, KafkaError) and getattr(error, "errno", None) in {29, 30, 31, 53}


class Record(Protocol):
    """A record of a topic. `timestamp` is ms since 1970 UTC."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...
