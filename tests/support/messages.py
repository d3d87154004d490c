"""Records of the event topics."""

import copy
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import fastavro
from hypothesis import strategies as st

import schemas
from relay.avro.codec import Encoder, Fingerprint, SchemaId, SchemaRef, frame
from schemas import Schema
from tests.support.generated import records

AUDIT_EVENT = schemas.load("audit_event")
REF = SchemaId(7)
WRITER_SCHEMAS = {REF: AUDIT_EVENT}

AN_HOUR_AGO = int(time.time() * 1000) - 3_600_000

event_records = records(AUDIT_EVENT)
event_lists = st.lists(event_records, min_size=1, max_size=6)


@dataclass
class Message:
    """A record as a consumer reads it, made without Kafka."""

    value: bytes | None
    key: bytes | None
    timestamp: int
    topic: str = "events"
    partition: int = 0
    offset: int = 0
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a small event of the last hour: Kafka soon deletes one that is older than the retention of its topic."""
    created = AN_HOUR_AGO + number
    base = {
        "organization": "acme.atlassian.net",
        "id": number,
        "created": created,
        "collected": created + 1000,
    }
    return {**base, "mode": "live", "summary": "User created", **fields}


@lru_cache
def _encoder(ref: SchemaRef) -> Encoder:
    return Encoder(AUDIT_EVENT, ref)


class _Encodes(Protocol):
    def encode(self, record: dict[str, Any]) -> bytes: ...


def message(event: dict[str, Any], encoder: _Encodes | None = None, **fields: Any) -> Message:
    value = (encoder or _encoder(REF)).encode(event)
    return Message(value, event["organization"].encode(), event["collected"], **fields)


def records_at(offsets: Sequence[int]) -> list[Message]:
    """Return records without a schema at these offsets."""
    return [Message(b"%d" % offset, b"key", 1000 + offset, offset=offset) for offset in offsets]


class ForeignSchemaEncoder:
    """Encodes records of a schema that another program wrote."""

    def __init__(self, schema: Schema, ref: SchemaRef) -> None:
        self._schema = fastavro.parse_schema(copy.deepcopy(schema))
        self._frame = frame(ref)

    def encode(self, record: dict[str, Any]) -> bytes:
        output = io.BytesIO(self._frame)
        output.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(output, self._schema, record)
        return output.getvalue()


def single_object(schema: Schema) -> tuple[Encoder, Fingerprint]:
    """Return an encoder of this schema in single-object encoding, and its reference."""
    ref = Fingerprint(bytes(8))
    return Encoder(schema, ref), ref
