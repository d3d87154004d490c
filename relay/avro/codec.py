"""Avro on the topics: a reference to the writer's schema, then the bare body.

Event topics carry `00` and a schema id (Confluent's framing) where a registry is set; otherwise, and on internal topics
always, Avro single-object encoding: `C3 01` and the fingerprint of the schema. Timestamps are int milliseconds both ways.
"""

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException, to_parsing_canonical_form
from fastavro.schema import fingerprint as fastavro_fingerprint

import schemas
from relay.avro.parsed_schema import parsed_schema
from relay.avro.writer import Unencodable, compile_writer
from schemas import Schema

__all__ = [
    "NEWER_FIELDS",
    "BadBody",
    "Encoder",
    "Fingerprint",
    "InternalCodec",
    "NotAvro",
    "SchemaId",
    "SchemaRef",
    "Unencodable",
    "UnknownSchema",
    "decode_body",
    "fingerprint",
    "frame",
    "read_schema",
    "split_frame",
]

_SINGLE_OBJECT = b"\xc3\x01"
_FINGERPRINT_HEADER = 2 + 8
_ID_HEADER = 1 + 4

# fastavro raises any of these when bytes do not fit the schema, or when a text is not a schema.
_FASTAVRO_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SchemaParseException,
    SchemaResolutionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class SchemaId:
    """The id of a schema in a schema registry."""

    value: int

    def __str__(self) -> str:
        return f"schema id {self.value}"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """CRC-64-AVRO of a schema's canonical form: 8 bytes, little-endian as in a message."""

    value: bytes

    def __str__(self) -> str:
        return f"schema fingerprint {self.value.hex()}"


SchemaRef = SchemaId | Fingerprint


class NotAvro(Exception):
    """The message begins with no reference to a schema that the relay can read. The text says why."""


class BadBody(Exception):
    """The body is not a record of its writer's schema. The text says why."""


class UnknownSchema(Exception):
    """An internal topic holds a record whose schema this version of the relay does not know."""

    def __init__(self, ref: SchemaRef) -> None:
        super().__init__(
            f"The record has {ref}, which this version does not know; a newer relay wrote it. Upgrade this relay."
        )
        self.ref = ref


def split_frame(message: bytes) -> tuple[SchemaRef, int]:
    """Return the reference to the writer's schema, and the offset of the body. Raises NotAvro."""
    if message[:1] == b"\x00":
        return _parse_schema_id(message[:_ID_HEADER]), _ID_HEADER
    if message[:2] == _SINGLE_OBJECT:
        return _parse_fingerprint(message[:_FINGERPRINT_HEADER]), _FINGERPRINT_HEADER
    raise NotAvro(f"begins with {message[:2].hex() or 'nothing'}, neither 00 nor c301")


@lru_cache(maxsize=256)
def _parse_schema_id(header: bytes) -> SchemaId:
    if len(header) < _ID_HEADER:
        raise NotAvro(f"ends after {len(header)} bytes, within its schema id")
    (value,) = struct.unpack(">i", header[1:])
    if value < 0:  # registries assign Java ints from 0 or 1 upward
        raise NotAvro(f"its schema id is {value}, and registries assign none below 0")
    return SchemaId(value)


@lru_cache(maxsize=256)
def _parse_fingerprint(header: bytes) -> Fingerprint:
    if len(header) < _FINGERPRINT_HEADER:
        raise NotAvro(f"ends after {len(header)} bytes, within its schema fingerprint")
    return Fingerprint(header[2:])


def frame(ref: SchemaRef) -> bytes:
    """Return the bytes before a body."""
    match ref:
        case SchemaId(value):
            return struct.pack(">bi", 0, value)
        case Fingerprint(value):
            return _SINGLE_OBJECT + value


def fingerprint(schema: Schema) -> Fingerprint:
    """Return the fingerprint of a schema; docs, defaults and logical types do not change it.

    It takes a millisecond, so call it once for a schema, not for each message.
    """
    return Fingerprint(bytes.fromhex(fastavro_fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")))


def read_schema(text: str | bytes) -> Schema | None:
    """Parse the schema of a record. None if the text is not such a schema."""
    try:
        schema = json.loads(text)
        if not isinstance(schema, dict) or schema.get("type") != "record":
            return None
        parsed_schema(schema)
    except _FASTAVRO_ERRORS:
        return None
    return schema


class Encoder:
    """Encode records of one schema: the frame, then the body."""

    def __init__(self, schema: Schema, ref: SchemaRef) -> None:
        self.schema = schema
        self.ref = ref
        self._write = compile_writer(parsed_schema(schema))
        self._frame = frame(ref)

    def refer_by(self, ref: SchemaRef) -> None:
        """Name the same schema by another reference in every later message."""
        self.ref = ref
        self._frame = frame(ref)

    def encode(self, record: dict[str, Any]) -> bytes:
        """Encode a record. A missing field gets its default.
        Raises Unencodable, also for a field that the schema lacks.
        """
        out = bytearray(self._frame)
        self._write(record, out)
        return bytes(out)


def decode_body(schema: Schema, body: bytes) -> dict[str, Any]:
    """Decode a body in the shape of its writer's schema. Raises BadBody, also for bytes left over.

    The schema is parsed at its first use, so it must not change later.
    """
    return _decode(parsed_schema(schema), None, body)


def _decode(writer: dict[str, Any], reader: dict[str, Any] | None, body: bytes) -> dict[str, Any]:
    source = io.BytesIO(body)
    try:
        record = schemaless_reader(source, writer, reader)
    except _FASTAVRO_ERRORS as error:
        raise BadBody(
            f"not a {_schema_name(writer)}: {type(error).__name__} at byte {source.tell()}"
        ) from error
    if left := len(body) - source.tell():
        raise BadBody(f"not a {_schema_name(writer)}: {left} bytes are left over")
    if not isinstance(record, dict):
        raise BadBody("not a record")
    return record


def _schema_name(schema: dict[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


NEWER_FIELDS = "newer_fields"
"""Key of a decoded record: what a newer release has appended to it, to be written back as it is. No schema has this name."""

_GROWING_AT_THE_END = frozenset({"organization", "checkpoint", "day_ledger", "status"})
"""Subjects whose versions only append fields to their record; tests/schemas holds them to it."""


class InternalCodec:
    """Encode and decode records of one subject on the internal topics. It reads every released version of the schema.

    During a rolling upgrade it also reads what a newer release wrote, whose schema it does not have: a newer record begins
    with the fields that it knows. It keeps the bytes behind them and writes them back, so that no newer field is lost. The
    caller proves, by the key of the message, that the record is what it claims to be.
    """

    def __init__(self, subject: str) -> None:
        self._schemas = _subject_schemas(subject)
        self._reads_newer = subject in _GROWING_AT_THE_END

    def encode(self, record: dict[str, Any]) -> bytes:
        """Encode a record with the current schema, or as the newer version that it came with. Raises Unencodable."""
        newer = record.get(NEWER_FIELDS, b"")
        known = self._schemas.encoder.encode(
            {name: value for name, value in record.items() if name != NEWER_FIELDS}
        )
        if not newer:
            return known
        return b"".join(
            (newer[:_FINGERPRINT_HEADER], known[_FINGERPRINT_HEADER:], newer[_FINGERPRINT_HEADER:])
        )

    def decode(self, message: bytes) -> dict[str, Any]:
        """Decode a message in the shape of the current schema; of a newer version, with NEWER_FIELDS.
        Raises NotAvro, UnknownSchema or BadBody.
        """
        ref, offset = split_frame(message)
        writer = self._schemas.writers.get(ref)
        if writer is None:
            return self._decode_newer(ref, message, offset)
        reader = None if ref == self._schemas.encoder.ref else self._schemas.reader
        return _decode(writer, reader, message[offset:])

    def _decode_newer(self, ref: SchemaRef, message: bytes, offset: int) -> dict[str, Any]:
        source = io.BytesIO(message)
        source.seek(offset)
        try:
            if not (self._reads_newer and isinstance(ref, Fingerprint)):
                raise UnknownSchema(ref)
            record = schemaless_reader(source, self._schemas.reader, None)
        except _FASTAVRO_ERRORS as error:
            raise UnknownSchema(ref) from error
        appended = message[source.tell() :]
        if not appended or not isinstance(record, dict):
            raise UnknownSchema(ref)
        return {**record, NEWER_FIELDS: message[:offset] + appended}


@dataclass(frozen=True, slots=True)
class _SubjectSchemas:
    encoder: Encoder
    reader: dict[str, Any]
    writers: Mapping[SchemaRef, dict[str, Any]]


@cache
def _subject_schemas(subject: str) -> _SubjectSchemas:
    current = schemas.load(subject)
    versions = [*schemas.released(subject), current]
    writers: dict[SchemaRef, dict[str, Any]] = {
        fingerprint(schema): parsed_schema(schema) for schema in versions
    }
    return _SubjectSchemas(Encoder(current, fingerprint(current)), parsed_schema(current), writers)
