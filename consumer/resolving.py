"""The schemas that a load of records was written with."""

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from consumer import columns
from consumer.container import varint
from consumer.telemetry import FlowMetrics
from relay.codec import NotAvro, Ref, split
from relay.kafka import Record
from relay.retry import backoff_seconds
from relay.schema_store import Missing, Unavailable
from schemas import Schema


class Store(Protocol):
    async def resolve(self, ref: Ref) -> Schema | Missing | Unavailable: ...


class Schemas:
    """Looks up schemas for one flow, and waits for those that cannot be looked up now."""

    def __init__(self, store: Store, metrics: FlowMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self.trouble: str | None = None
        """Why events wait for their schema; None while they do not."""

    async def known(self, records: Sequence[Record]) -> dict[Ref, Schema]:
        """Every schema that these records need and that exists. What is then missing is nobody's, now and for ever."""
        found = {}
        for ref in columns.references(records):
            schema = await self._resolved(ref, records)
            if schema is not None:
                found[ref] = schema
        return found

    async def _resolved(self, ref: Ref, records: Sequence[Record]) -> Schema | None:
        attempt = 0
        try:
            while isinstance(answer := await self._store.resolve(ref), Unavailable):
                if not any(_may_be_an_event(record, ref) for record in records):
                    return None
                self.trouble = answer.reason
                self._metrics.schema_waits(answer.reason)
                await asyncio.sleep(backoff_seconds(attempt, random.random(), cap=15.0))
                attempt += 1
        finally:  # also where the partitions are taken away meanwhile: then they wait somewhere else
            self.trouble = None
        return None if isinstance(answer, Missing) else answer


def _may_be_an_event(record: Record, ref: Ref) -> bool:
    """An event's first field is its organization, which is its key: other bytes are garbage, and nobody waits for them."""
    value, key = record.value, record.key
    try:
        its_ref, start = split(value or b"")
    except NotAvro:
        return False
    return its_ref == ref and key is not None and (value or b"")[start:].startswith(varint(len(key)) + key)
