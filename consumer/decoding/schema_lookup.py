"""The look-up of writers' schemas for records, and its doubts."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from consumer.decoding import columns
from consumer.decoding.avro_container import encode_varint
from consumer.decoding.row_encoding import EncodedEvents
from consumer.decoding.schema_group import UndecodableRecord
from consumer.metrics import PipelineMetrics
from relay.avro.codec import NotAvro, SchemaRef, split_frame
from relay.kafka import Record
from relay.schema_registry.store import Missing, Unavailable
from schemas import Schema


class SchemaResolver(Protocol):
    async def resolve(self, ref: SchemaRef) -> Schema | Missing | Unavailable: ...

    async def refresh(self, ref: SchemaRef) -> Schema | Missing | Unavailable: ...

    def source(self, ref: SchemaRef) -> str: ...


@dataclass(frozen=True, slots=True)
class FoundSchemas:
    """The answers for the references of some records. A reference in none of the fields has a schema nowhere now."""

    schemas: Mapping[SchemaRef, Schema]
    confirmed: Collection[SchemaRef] = ()
    """References that were looked up anew, and whose schema is the one that decoded other records before."""
    unavailable: Mapping[SchemaRef, str] = field(default_factory=dict)
    """References whose schema is not known now, with the reason: the registry denies it, or does not answer."""


class SchemaLookup:
    """Looks up schemas for one flow, and doubts those that do not fit. It never waits for one: other records go on."""

    def __init__(self, store: SchemaResolver, metrics: PipelineMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._fitting: dict[SchemaRef, Schema] = {}
        """The schema of each reference with which a record was decoded."""
        self._substituted: set[SchemaRef] = set()

    async def schemas_for(
        self, records: Sequence[Record], doubted: Collection[SchemaRef] = ()
    ) -> FoundSchemas:
        """Return the schemas that events among these records need. A doubted reference is looked up anew."""
        schemas: dict[SchemaRef, Schema] = {}
        unavailable: dict[SchemaRef, str] = {}
        confirmed: set[SchemaRef] = set()
        for ref in _event_references(records):
            fresh = await self._store.refresh(ref) if ref in doubted else None
            answer = fresh if isinstance(fresh, dict) else await self._store.resolve(ref)
            if isinstance(answer, Unavailable):
                self._metrics.schema_unavailable(answer.reason)
                unavailable[ref] = answer.reason
            elif isinstance(answer, dict):
                schemas[ref] = answer
            if isinstance(fresh, dict) and fresh == self._fitting.get(ref):
                confirmed.add(ref)
        return FoundSchemas(schemas, confirmed, unavailable)

    def doubtful(self, encoded: EncodedEvents, found: FoundSchemas) -> Sequence[UndecodableRecord]:
        """Return the undecodable records whose schema may be wrong or is unavailable, with the reason for an operator.

        None of them may become a dead letter. Where a schema is available, the record is at fault, and the schema is right,
        1. if the schema decodes another record that is decoded with it, or is confirmed,
        2. if it is the only record with this reference, and other records that are decoded with it are events.
        """
        self._fitting.update({ref: found.schemas[ref] for ref in encoded.fitting})
        for ref in encoded.substituted - self._substituted:
            self._metrics.schema_substituted(str(ref), self._store.source(ref))
        self._substituted |= encoded.substituted
        by_ref: dict[SchemaRef, list[UndecodableRecord]] = defaultdict(list)
        for each in encoded.undecodable:
            if each.ref is not None and each.ref not in encoded.fitting and each.ref not in found.confirmed:
                by_ref[each.ref].append(each)
        others = bool(encoded.indices or encoded.skipped)
        return [
            replace(each, reason=found.unavailable.get(ref) or self._explain(ref, each.reason))
            for ref, records in by_ref.items()
            if ref in found.unavailable or len(records) > 1 or not others
            for each in records
        ]

    def _explain(self, ref: SchemaRef, fault: str) -> str:
        return (
            f"{self._store.source(ref)} has no schema for {ref} that fits them ({fault}), and the relay's own versions do not fit either."
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
