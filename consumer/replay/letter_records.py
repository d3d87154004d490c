"""The original records of dead letters, as a consumer reads records."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from consumer.decoding.event_times import collected_ms
from consumer.decoding.row_encoding import encode
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.formats.encoded_rows import EncodedRows
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.letter import DeadLetter, Header
from relay.errors import RelayError
from relay.kafka import TopicPartition

NO_EVENT = "The bytes are no event of the relay."
INCOMPLETE = "The letter is incomplete."
IN_DOUBT = "No schema is known with which the bytes are an event."


class LetterSchemaError(RelayError):
    """A schema of letters is not available now. A later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class LetterRecord:
    """The record that a letter is about: key, value, timestamp and headers of the original, at the position of the letter.

    The position is that of the letter's last part on the dead-letter topic: the places of a job count in it, and the bodies that an
    object store names by it never meet those of the event topics.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    letter: DeadLetter
    timestamp_type: int = 0

    @property
    def tp(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


def restore(whole: WholeLetter, topic: str) -> tuple[LetterRecord, str]:
    """Return the record of a letter, and why it is no event; empty: it may be one.

    The letter does not have the timestamp of its record. An event's is its time of collection, which is among its first fields.
    """
    content, remark = whole.content()
    letter, collected = whole.letter, None
    why = INCOMPLETE if remark else ""
    if not why:
        collected = collected_ms(whole.key, content)
        why = "" if collected is not None else NO_EVENT
    record = LetterRecord(
        topic,
        letter.partition,
        whole.offsets[-1],
        letter.at if collected is None else collected,
        whole.key,
        content,
        letter.original_headers,
        letter,
    )
    return record, why


async def find_non_events(records: Sequence[LetterRecord], schemas: SchemaLookup) -> dict[int, str]:
    """Return the records that no schema decodes: index, and why. Raises LetterSchemaError while a schema is not available.

    A letter stays open for a later redrive, so a schema that may be wrong holds up no other letter.
    """
    if not records:
        return {}
    found = await schemas.schemas_for(records)
    if found.unavailable:
        ref, reason = next(iter(found.unavailable.items()))
        raise LetterSchemaError(f"The schema of dead letters ({ref}) is not available: {reason}")
    encoded = await asyncio.to_thread(partial(encode, records, found.schemas, _empty_rows))
    return {each.index: NO_EVENT if each.ref is None else IN_DOUBT for each in encoded.undecodable}


def _empty_rows(events: pl.DataFrame) -> EncodedRows:
    return EncodedRows.of([b""] * events.height, b"\n")
