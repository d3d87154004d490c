"""Decode the relay's own Avro for people: the records of every topic, as JSON."""

from dataclasses import dataclass
from typing import Any

import schemas
from relay.avro.codec import BadBody, Fingerprint, NotAvro, SchemaRef, decode_body, fingerprint, split_frame
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.schema_registry.store import Missing, Unavailable, open_schema_store
from schemas import Schema


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A decoded record. `subject`: the name of its schema, such as AuditEvent. Instants are ms UTC, bytes hexadecimal."""

    subject: str
    record: dict[str, Any]


async def decode_record(
    content: bytes, registry: SchemaRegistryConfig, connection: Connection
) -> tuple[DecodedRecord | None, str | None]:
    """Return the decoded record, and why there is none. Both None: the content is not Avro of the relay.

    A schema that this version does not have is looked up in the registry, or on the topic of the schemas.
    """
    try:
        ref, offset = split_frame(content)
    except NotAvro:
        return None, None
    schema = await _find_schema(ref, registry, connection)
    if isinstance(schema, str):
        return None, f"The content was not decoded: {schema}"
    try:
        record = decode_body(schema, content[offset:])
    except BadBody as error:
        return None, f"The content has {ref}, but it cannot be decoded: {error}."
    return DecodedRecord(str(schema["name"]).rpartition(".")[2], _printable(record)), None


async def _find_schema(
    ref: SchemaRef, registry: SchemaRegistryConfig, connection: Connection
) -> Schema | str:
    """Return the schema, or the reason why it is not known."""
    for subject in schemas.SUBJECTS if isinstance(ref, Fingerprint) else ():
        for schema in (schemas.load(subject), *schemas.released(subject)):
            if fingerprint(schema) == ref:
                return schema
    if not isinstance(ref, Fingerprint) and registry.url is None:
        return f"it has {ref}, and schema_registry.url is not set."
    try:
        async with open_schema_store(registry, connection) as store:
            found = await store.resolve(ref)
    except RelayError as error:
        return str(error)
    return f"{found.reason}." if isinstance(found, Missing | Unavailable) else found


def _printable(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: _printable(each) for name, each in value.items()}
        case list():
            return [_printable(each) for each in value]
    return value
