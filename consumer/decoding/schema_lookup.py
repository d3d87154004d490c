"""The look-up of writers' schemas for records, and its doubts."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from consumer.decoding import columns
from consumer.decoding.avro_container import encode_varint
from consumer.decoding.isolate import EncodedEvents
from consumer.decoding.schema_group import UndecodableRecord
from consumer.metrics import PipelineMetrics
from consumer.timing import BackoffCurve, ConsumerTiming
from relay.avro.codec import NotAvro, SchemaRef, split_frame
from relay.kafka import Record
from relay.schema_registry.store import Missing, Unavailable
from schemas import Schema


class SchemaResolver(Protocol):
    async def resolve(self, ref: SchemaRef) -> Schema | Missing | Unavailable: ...

    async def refresh(self, ref: SchemaRef) -> Schema | Missing | Unavailable: ...

    def source(self, ref: SchemaRef) -> str: ...


class SchemaLookup:
    """Looks up schemas for one flow, waits for those that are unavailable, and doubts those that do not fit."""

    def __init__(
        self, store: SchemaResolver, metrics: PipelineMetrics, backoff: BackoffCurve | None = None
    ) -> None:
        self._backoff = backoff or ConsumerTiming().schema_lookup
        self._store = store
        self._metrics = metrics
        self._fitting: dict[SchemaRef, Schema] = {}
        """The schema of each reference with which a record was decoded."""
        self._substituted: set[SchemaRef] = set()
        self.problem: str | None = None
        """Why events wait for their schema; None: no event waits."""

    async def schemas_for(
        self, records: Sequence[Record], doubted: Collection[SchemaRef] = ()
    ) -> tuple[dict[SchemaRef, Schema], set[SchemaRef]]:
        """Return the existing schemas that events among these records need, and the confirmed references.

        A schema that is left out exists nowhere now. A doubted reference is looked up anew; it is confirmed if its schema is
        the one with which other records were decoded before.
        """
        found, confirmed = {}, set()
        for ref in _event_references(records):
            fresh = await self._store.refresh(ref) if ref in doubted else None
            schema = fresh if isinstance(fresh, dict) else await self._resolve(ref)
            if schema is not None:
                found[ref] = schema
            if isinstance(fresh, dict) and fresh == self._fitting.get(ref):
                confirmed.add(ref)
        return found, confirmed

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

    def doubtful(
        self, encoded: EncodedEvents, schemas: Mapping[SchemaRef, Schema], confirmed: Collection[SchemaRef]
    ) -> Sequence[UndecodableRecord]:
        """Return the undecodable records whose schema may be wrong. None of them may become a dead letter.

        The record is at fault, and the schema is right:
        1. if the schema decodes another record that is decoded with it, or is confirmed,
        2. if it is the only record with this reference, and other records that are decoded with it are events.
        """
        self._fitting.update({ref: schemas[ref] for ref in encoded.fitting})
        for ref in encoded.substituted - self._substituted:
            self._metrics.schema_substituted(str(ref), self._store.source(ref))
        self._substituted |= encoded.substituted
        by_ref: dict[SchemaRef, list[UndecodableRecord]] = defaultdict(list)
        for each in encoded.undecodable:
            if each.ref is not None and each.ref not in encoded.fitting and each.ref not in confirmed:
                by_ref[each.ref].append(each)
        others = bool(encoded.indices or encoded.skipped)
        return [each for found in by_ref.values() if len(found) > 1 or not others for each in found]

    def explain(self, doubtful: UndecodableRecord) -> str:
        """Return the cause of a wrong schema of a record, and the remedy, for an operator."""
        ref, source = doubtful.ref, self._store.source(doubtful.ref) if doubtful.ref else "nothing"
        return (
            f"{source} has no schema for {ref} that fits them ({doubtful.reason}), and the relay's own versions do not fit either."
            " If it was emptied or restored, put its former content back; if a newer relay wrote the events, upgrade this one."
        )


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
    value, key = record.value or b"", record.key or b""
    try:
        ref, start = split_frame(value)
    except NotAvro:
        return None
    return ref if key and value.find(encode_varint(len(key)) + key, start) >= 0 else None
