"""Everything that touches Kafka: the only importer of aiokafka.

What aiokafka 0.14 does silently wrong or without end is mended here, once: see aiokafka_patches/.
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
"""What a call of this room raises where Kafka or the way to it fails; trying again may help."""


class Record(Protocol):
    """A record as it stands on a topic."""

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
