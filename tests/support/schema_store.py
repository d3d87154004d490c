"""A schema store on a topic of schemas that is in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

from relay.avro.codec import Fingerprint, fingerprint
from relay.errors import RelayError
from relay.kafka.topics import Topics
from relay.schema_registry.client import SchemaRegistryClient
from relay.schema_registry.disk_cache import SchemaCache
from relay.schema_registry.store import SchemaStore, StoreTiming
from schemas import Schema


class FakeSchemaTopic:
    """Replaces the topic of schemas, and can be unavailable."""

    def __init__(self) -> None:
        self.texts: dict[Fingerprint, bytes] = {}
        self.away = False
        self.reads = 0

    async def get(self, fingerprint: Fingerprint) -> bytes | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise RelayError("Kafka is away.")
        return self.texts.get(fingerprint)

    async def put(self, fingerprint: Fingerprint, text: str) -> None:
        if self.away:
            raise RelayError("Kafka is away.")
        self.texts[fingerprint] = text.encode()


class SettableClock:
    """Stops until `now`, in seconds, is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def schema_store(
    directory: Path,
    schema_topic: FakeSchemaTopic | None = None,
    registry: SchemaRegistryClient | None = None,
    prefix: str = "test",
    **more: Any,
) -> SchemaStore:
    cache = SchemaCache(directory / "cache")
    return SchemaStore(
        Topics(prefix),
        schema_topic or FakeSchemaTopic(),
        registry,
        cache,
        timing=StoreTiming(retry_seconds=0),
        **more,
    )


def schema_topic_with(schema: Schema, text: bytes | None = None) -> FakeSchemaTopic:
    """Return a topic that holds `text` under the fingerprint of a schema; None: the schema itself."""
    schema_topic = FakeSchemaTopic()
    schema_topic.texts[fingerprint(schema)] = json.dumps(schema).encode() if text is None else text
    return schema_topic
