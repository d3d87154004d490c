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

# fastavro raises any of these when bytes do not fit the schema, or when a text is no schema.
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
    """Parse the schema of a record. None if the text is no such schema."""
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


class InternalCodec:
    """Encode and decode records of one subject on the internal topics. It reads every released version of the schema."""

    def __init__(self, subject: str) -> None:
        self._schemas = _subject_schemas(subject)

    def encode(self, record: dict[str, Any]) -> bytes:
        """Encode a record with the current schema. Raises Unencodable."""
        return self._schemas.encoder.encode(record)

    def decode(self, message: bytes) -> dict[str, Any]:
        """Decode a message of any released version, in the shape of the current schema.
        Raises NotAvro, UnknownSchema or BadBody.
        """
        ref, offset = split_frame(message)
        writer = self._schemas.writers.get(ref)
        if writer is None:
            raise UnknownSchema(ref)
        reader = None if ref == self._schemas.encoder.ref else self._schemas.reader
        return _decode(writer, reader, message[offset:])


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
