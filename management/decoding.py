"""Decode the relay's own Avro for people: the records of every topic, as JSON."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import schemas
from relay.avro.codec import BadBody, Fingerprint, NotAvro, SchemaRef, decode_body, fingerprint, split_frame
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.schema_registry.store import Missing, SchemaStore, Unavailable, open_schema_store
from schemas import Schema

SCHEMA_UNKNOWN = "The content was not decoded:"
"""Begin of the remark on content whose schema is not known here: it may be an event."""


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A decoded record. `subject`: the name of its schema, such as AuditEvent. Instants are ms UTC, bytes hexadecimal."""

    subject: str
    record: dict[str, Any]


class RecordDecoder:
    """Decodes records, and looks up each schema once."""

    def __init__(self, registry: SchemaRegistryConfig, connection: Connection, stack: AsyncExitStack) -> None:
        """`stack` closes the store of schemas, which is opened for the first schema that this version does not have."""
        self._registry = registry
        self._connection = connection
        self._stack = stack
        self._store: SchemaStore | None = None
        self._found: dict[SchemaRef, Schema | str] = {}
        self._with_bytes: set[SchemaRef] = set()
        """The schemas that have fields of bytes."""

    async def decode(self, content: bytes) -> tuple[DecodedRecord | None, str | None]:
        """Return the decoded record, and why there is none. Both None: the content is not Avro of the relay.

        A schema that this version does not have is looked up in the registry, or on the topic of the schemas.
        """
        try:
            ref, offset = split_frame(content)
        except NotAvro:
            return None, None
        if ref not in self._found:
            self._found[ref] = found = await self._find_schema(ref)
            if _has_bytes(found):
                self._with_bytes.add(ref)
        schema = self._found[ref]
        if isinstance(schema, str):
            return None, f"{SCHEMA_UNKNOWN} {schema}"
        try:
            record = decode_body(schema, content[offset:])
        except BadBody as error:
            return None, f"The content has {ref}, but it cannot be decoded: {error}."
        printable = _printable(record) if ref in self._with_bytes else record
        return DecodedRecord(str(schema["name"]).rpartition(".")[2], printable), None

    async def _find_schema(self, ref: SchemaRef) -> Schema | str:
        """Return the schema, or the reason why it is not known."""
        for subject in schemas.SUBJECTS if isinstance(ref, Fingerprint) else ():
            for schema in (schemas.load(subject), *schemas.released(subject)):
                if fingerprint(schema) == ref:
                    return schema
        if not isinstance(ref, Fingerprint) and self._registry.url is None:
            return f"it has {ref}, and schema_registry.url is not set."
        try:
            if self._store is None:
                store = open_schema_store(self._registry, self._connection)
                self._store = await self._stack.enter_async_context(store)
            found = await self._store.resolve(ref)
        except RelayError as error:
            return str(error)
        return f"{found.reason}." if isinstance(found, Missing | Unavailable) else found


@asynccontextmanager
async def open_decoder(
    registry: SchemaRegistryConfig, connection: Connection
) -> AsyncIterator[RecordDecoder]:
    """Yield a decoder. Sends no request."""
    async with AsyncExitStack() as stack:
        yield RecordDecoder(registry, connection, stack)


def _has_bytes(schema: Any) -> bool:
    match schema:
        case dict():
            return any(map(_has_bytes, schema.values()))
        case list():
            return any(map(_has_bytes, schema))
    return schema in ("bytes", "fixed")


def _printable(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: _printable(each) for name, each in value.items()}
        case list():
            return [_printable(each) for each in value]
    return value
