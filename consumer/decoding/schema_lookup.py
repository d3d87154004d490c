"""The writers' schemas of a batch of records."""

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from consumer.decoding import columns
from consumer.decoding.avro_container import encode_varint
from consumer.metrics import PipelineMetrics
from consumer.timing import BackoffCurve, ConsumerTiming
from relay.avro.codec import NotAvro, SchemaRef, split_frame
from relay.kafka import Record
from relay.schema_registry.store import Missing, Unavailable
from schemas import Schema


class SchemaResolver(Protocol):
    async def resolve(self, ref: SchemaRef) -> Schema | Missing | Unavailable: ...


class SchemaLookup:
    """Looks up schemas for one flow, and waits for those that are unavailable."""

    def __init__(
        self, store: SchemaResolver, metrics: PipelineMetrics, backoff: BackoffCurve | None = None
    ) -> None:
        self._backoff = backoff or ConsumerTiming().schema_lookup
        self._store = store
        self._metrics = metrics
        self.problem: str | None = None
        """Why events wait for their schema; None: no event waits."""

    async def schemas_for(self, records: Sequence[Record]) -> dict[SchemaRef, Schema]:
        """Return the existing schemas that events among these records need. A schema that is left out will never exist."""
        found = {}
        for ref in _event_references(records):
            schema = await self._resolve(ref)
            if schema is not None:
                found[ref] = schema
        return found

    async def _resolve(self, ref: SchemaRef) -> Schema | None:
        attempt = 0
        try:
            while isinstance(answer := await self._store.resolve(ref), Unavailable):
                self.problem = answer.reason
                self._metrics.schema_unavailable(answer.reason)
                await asyncio.sleep(self._backoff.wait(attempt, random.random()))
                attempt += 1
        finally:  # also when the partitions are revoked meanwhile: then their events wait elsewhere
            self.problem = None
        return None if isinstance(answer, Missing) else answer


def _event_references(records: Sequence[Record]) -> set[SchemaRef]:
    """Return the schema references of records that can be events.

    An event holds its organization, which is its key. Other bytes are garbage, and their schema is not looked up: a flood of
    them may refer to thousands of schemas, and each request takes time.
    """
    referenced, found = columns.schema_references(records), set[SchemaRef]()
    for record in records:
        if len(found) == len(referenced):
            break
        if (ref := _event_reference(record)) is not None:
            found.add(ref)
    return found


def _event_reference(record: Record) -> SchemaRef | None:
    value, key = record.value or b"", record.key
    try:
        ref, start = split_frame(value)
    except NotAvro:
        return None
    return ref if key is not None and value[start:].startswith(encode_varint(len(key)) + key) else None
