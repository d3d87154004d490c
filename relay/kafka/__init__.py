"""Kafka: the only room that imports aiokafka.

Enters: the settings of one cluster, records to write, handlers for consumer groups.
Leaves: records, offsets and confirmed writes; failures are KAFKA_FAILURES, and every wait has a bound.
It knows no content of a record. aiokafka_patches/ mends what aiokafka 0.14 does wrong silently or without end.
"""

from collections.abc import Sequence
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
]


KAFKA_FAILURES: tuple[type[Exception], ...] = (RelayError, KafkaError, TimeoutError, OSError)
"""The errors of this room's calls if Kafka, or the connection to it, fails. A later attempt may succeed."""


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
