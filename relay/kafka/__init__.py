"""Kafka: the only room that imports aiokafka.

Enters: the settings of one cluster, records to write, handlers for consumer groups.
Leaves: records, offsets and confirmed writes; failures are KAFKA_FAILURES, and every wait has a bound.
It knows no content of a record. aiokafka_patches/ mends what aiokafka 0.14 does wrong silently or without end.
"""

from collections.abc import Iterable

from aiokafka.errors import KafkaError, OffsetMetadataTooLargeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.errors import RelayError
from relay.kafka.records import (
    Record,
    have_headers,
    headers_of,
    join_records,
    keys_of,
    offsets_of,
    select_records,
    timestamp_types_of,
    timestamps_of,
    value_sizes_of,
    values_of,
)

__all__ = [
    "KAFKA_FAILURES",
    "KafkaError",
    "OffsetAndMetadata",
    "OffsetMetadataTooLargeError",
    "Record",
    "TopicPartition",
    "have_headers",
    "headers_of",
    "is_refusal",
    "join_records",
    "keys_of",
    "offsets_of",
    "partition_text",
    "partitions_text",
    "select_records",
    "timestamp_types_of",
    "timestamps_of",
    "value_sizes_of",
    "values_of",
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
