"""Rows of an archive as records of the topic that they were on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

import schemas
from consumer.decoding.event_schema import EVENT_COLUMNS, TIME_COLUMNS
from relay.avro.codec import Encoder, Unencodable, fingerprint
from relay.kafka import TopicPartition

OFFSET = "kafka_offset"
ARCHIVE_COLUMNS = pl.Schema(
    {name: pl.Int64() if name in TIME_COLUMNS else dtype for name, dtype in EVENT_COLUMNS.items()}
)
"""The columns of an event, times as ms UTC."""

_EVENT = schemas.load("audit_event")
_ENCODER = Encoder(_EVENT, fingerprint(_EVENT))


class UnrestorableEventError(Exception):
    """A row is no event of today's schema; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """A record as it was on its topic. Its value is in today's schema, by fingerprint, whatever it was written with."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    timestamp_type: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def to_records(rows: pl.DataFrame, partition: TopicPartition) -> list[ArchivedRecord]:
    """Return the records of rows with OFFSET and ARCHIVE_COLUMNS, in their order. Raises UnrestorableEventError."""
    offsets = rows[OFFSET].to_list()
    events = rows.drop(OFFSET).iter_rows(named=True)
    records = []
    for offset, event in zip(offsets, events, strict=True):
        try:
            value = _ENCODER.encode(event)
        except Unencodable as error:
            raise UnrestorableEventError(
                f"its row at offset {offset} is no event of this release ({error})"
            ) from error
        records.append(
            ArchivedRecord(
                partition.topic,
                partition.partition,
                offset,
                event["collected"],
                event["organization"].encode(),
                value,
            )
        )
    return records


def chunks_of(records: Sequence[ArchivedRecord], max_bytes: int) -> Iterator[Sequence[ArchivedRecord]]:
    """Yield the records in parts of at most `max_bytes` bytes of values, and at least one record."""
    start = size = 0
    for index, record in enumerate(records):
        if index > start and size + len(record.value) > max_bytes:
            yield records[start:index]
            start, size = index, 0
        size += len(record.value)
    if start < len(records):
        yield records[start:]
