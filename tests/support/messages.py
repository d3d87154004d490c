"""Records of the event topics."""

import copy
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import fastavro
from hypothesis import strategies as st

import schemas
from relay.avro.codec import Encoder, Fingerprint, SchemaId, frame
from tests.support.generated import records

AUDIT_EVENT = schemas.load("audit_event")
REF = SchemaId(7)
WRITER_SCHEMAS = {REF: AUDIT_EVENT}

AN_HOUR_AGO = int(time.time() * 1000) - 3_600_000

event_records = records(AUDIT_EVENT)
event_lists = st.lists(event_records, min_size=1, max_size=6)


@dataclass
class Message:
    """A record with the attributes of a Kafka record."""

    value: bytes | None
    key: bytes | None
    timestamp: int
    topic: str = "events"
    partition: int = 0
    offset: int = 0
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_type: int = 0


def event(number=1, **fields):
    """Return a small event of the last hour, since Kafka soon deletes one older than the topic's retention."""
    created = AN_HOUR_AGO + number
    base = {
        "organization": "acme.atlassian.net",
        "id": number,
        "created": created,
        "collected": created + 1000,
    }
    return {**base, "mode": "live", "summary": "User created", **fields}


@lru_cache
def _encoder(ref):
    return Encoder(AUDIT_EVENT, ref)


def message(event, encoder=None, **fields):
    value = (encoder or _encoder(REF)).encode(event)
    return Message(value, event["organization"].encode(), event["collected"], **fields)


def records_at(offsets):
    """Return records without a schema at these offsets."""
    return [Message(b"%d" % offset, b"key", 1000 + offset, offset=offset) for offset in offsets]


class ForeignSchemaEncoder:
    """Encodes records of a foreign schema."""

    def __init__(self, schema, ref):
        self._schema = fastavro.parse_schema(copy.deepcopy(schema))
        self._frame = frame(ref)

    def encode(self, record):
        output = io.BytesIO(self._frame)
        output.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(output, self._schema, record)
        return output.getvalue()


def single_object(schema):
    """Return an encoder of single-object messages of a schema, and the reference of the schema."""
    ref = Fingerprint(bytes(8))
    return Encoder(schema, ref), ref
