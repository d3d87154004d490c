"""Resolve the schema of a message, and provide the encoder of events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

import schemas
from relay.avro.codec import Encoder, Fingerprint, SchemaId, SchemaRef, read_schema
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import KafkaError
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.schema_registry.client import (
    Missing,
    RegistryFailure,
    SchemaRegistryClient,
    SchemaRejected,
    Unavailable,
    open_schema_registry,
)
from relay.schema_registry.disk_cache import SchemaCache, registry_file
from relay.schema_registry.event_schema import EventSchemaPublication, SchemaUnavailableError
from relay.schema_registry.fingerprints import matching_schema, released_schemas
from relay.schema_registry.topic import SchemaTextStore, SchemaTopic
from schemas import Schema

__all__ = [
    "Missing",
    "SchemaStore",
    "SchemaUnavailableError",
    "Unavailable",
    "open_schema_store",
]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreTiming:
    """Waits of a schema store, in seconds: before asking again for a missing id, and how long a failure is remembered."""

    retry_seconds: float = 1.0
    failure_cache_seconds: float = 5.0


DEFAULT_TIMING = StoreTiming()


class SchemaStore:
    """Resolve references to schemas, and find the reference of the relay's own.

    A found schema is kept for good, in memory and on disk; a failure for `timing.failure_cache_seconds`.
    Concurrent callers share one request.
    The disk is used only when the registry does not answer: a registry that was set up anew may assign an id again.
    """

    def __init__(
        self,
        topics: Topics,
        text_store: SchemaTextStore,
        registry: SchemaRegistryClient | None,
        cache: SchemaCache,
        *,
        auto_register: bool = False,
        timing: StoreTiming = DEFAULT_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._text_store = text_store
        self._registry = registry
        self._cache = cache
        self._publication = EventSchemaPublication(
            topics, text_store, registry, cache, auto_register=auto_register
        )
        self._timing = timing
        self._clock = clock
        self._known = released_schemas()
        self._failed: dict[SchemaRef, tuple[float, Missing | Unavailable]] = {}
        self._encoder: Encoder | None = None
        self._by_id_lock = asyncio.Lock()
        self._by_fingerprint_lock = asyncio.Lock()
        self._encoder_lock = asyncio.Lock()

    async def resolve(self, ref: SchemaRef) -> Schema | Missing | Unavailable:
        """Return the schema of a reference. Missing: it exists nowhere. Unavailable: a later attempt may succeed."""
        known = self._cached_answer(ref)
        if known is not None:
            return known
        async with self._by_id_lock if isinstance(ref, SchemaId) else self._by_fingerprint_lock:
            known = self._cached_answer(ref)
            return known if known is not None else await self._look_up(ref)

    def _cached_answer(self, ref: SchemaRef) -> Schema | Missing | Unavailable | None:
        schema = self._known.get(ref)
        if schema is not None:
            return schema
        until, failure = self._failed.get(ref, (0.0, None))
        return failure if self._clock() < until else None

    async def _look_up(self, ref: SchemaRef) -> Schema | Missing | Unavailable:
        found = await (self._look_up_id(ref) if isinstance(ref, SchemaId) else self._look_up_fingerprint(ref))
        now = self._clock()
        if isinstance(found, Missing | Unavailable):
            self._failed = {ref: entry for ref, entry in self._failed.items() if now < entry[0]}
            self._failed[ref] = (now + self._timing.failure_cache_seconds, found)
        else:
            self._known[ref] = found
        return found

    async def refresh(self, ref: SchemaRef) -> Schema | Missing | Unavailable:
        """Ask for a schema again, though one is known: a registry that was set up anew may have given its id to another.

        The disk is not used. A fingerprint stays what it is, so its schema is asked for only where none is known.
        """
        if self._registry is None or not isinstance(ref, SchemaId):
            return await self.resolve(ref)
        async with self._by_id_lock:
            answer = await self._fetch(self._registry, ref)
            if isinstance(answer, dict):
                self._known[ref] = answer
                self._cache.put(registry_file(self._registry.url, "id", str(ref.value)), json.dumps(answer))
                return answer
            return answer if isinstance(answer, Missing) else Unavailable(answer.reason)

    def source(self, ref: SchemaRef) -> str:
        """Return the place that has the schema of a reference, for messages."""
        if isinstance(ref, SchemaId) and self._registry is not None:
            return f"The schema registry at {self._registry.url}"
        return f"The topic {self._topics.schemas}"

    async def _look_up_id(self, ref: SchemaId) -> Schema | Missing | Unavailable:
        if self._registry is None:
            return Unavailable(
                f"Messages carry {ref} of a schema registry, but schema_registry.url is not set: set it."
            )
        name = registry_file(self._registry.url, "id", str(ref.value))
        answer = await self._fetch(self._registry, ref)
        if isinstance(answer, dict):
            self._cache.put(name, json.dumps(answer))
            return answer
        cached = self._read_cached(name)
        if cached is not None:
            log.warning("A schema was taken from the disk cache.", schema_id=ref.value, reason=answer.reason)
            return cached
        return Unavailable(answer.reason) if isinstance(answer, SchemaRejected) else answer

    async def _fetch(self, registry: SchemaRegistryClient, ref: SchemaId) -> Schema | RegistryFailure:
        answer = await registry.by_id(ref)
        if isinstance(answer, Missing):
            # In a cluster of registries, a follower may learn of a new id a moment later.
            await asyncio.sleep(self._timing.retry_seconds)
            answer = await registry.by_id(ref)
        return answer

    async def _look_up_fingerprint(self, ref: Fingerprint) -> Schema | Missing | Unavailable:
        name = f"fingerprint-{ref.value.hex()}"
        cached = self._cache.get(name)
        if cached is not None and (schema := matching_schema(ref, cached)) is not None:
            return schema
        try:
            text = await self._text_store.get(ref)
        except RelayError as error:
            return Unavailable(str(error))
        if text is None:
            return Missing(f"{self._topics.schemas} has no schema with the fingerprint {ref.value.hex()}")
        schema = matching_schema(ref, text)
        if schema is None:
            return Missing(
                f"{self._topics.schemas} holds another schema under the fingerprint {ref.value.hex()}"
            )
        self._cache.put(name, json.dumps(schema))
        return schema

    async def event_encoder(self) -> Encoder:
        """Return the encoder for both event topics. Readers can already resolve its schema.

        Raises SchemaUnavailableError if a later attempt may succeed, else RelayError with the remedy.
        """
        async with self._encoder_lock:
            if self._encoder is None:
                schema = schemas.load("audit_event")
                ref = await self._publication.reference(schema)
                self._known[ref] = schema
                self._encoder = Encoder(schema, ref)
            return self._encoder

    async def verify_encoder(self) -> str | None:
        """Ask whether readers can still resolve the schema of events, and publish it again where that is allowed.

        A registry, or the topic of schemas, may have been emptied while a producer runs. If the registry has given the schema
        another id, later events carry that one. Return what an operator must do; None: nothing, or nothing is known now.
        """
        encoder = self._encoder
        if encoder is None:
            return None
        try:
            ref = await self._publication.reference(encoder.schema)
        except (SchemaUnavailableError, KafkaError, TimeoutError, OSError):
            return None
        except RelayError as error:
            return str(error)
        if ref != encoder.ref:
            log.warning("The schema of events has another id now.", former=str(encoder.ref), schema=str(ref))
            self._known[ref] = encoder.schema
            encoder.refer_by(ref)
        return None

    def _read_cached(self, name: str) -> Schema | None:
        text = self._cache.get(name)
        return None if text is None else read_schema(text)


@asynccontextmanager
async def open_schema_store(
    settings: SchemaRegistryConfig, connection: Connection
) -> AsyncIterator[SchemaStore]:
    """Yield the store of a service. Sends no request."""
    topics = Topics(connection.kafka.topic_prefix)
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(open_schema_registry(settings)) if settings.url else None
        yield SchemaStore(
            topics,
            SchemaTopic(connection, topics.schemas),
            registry,
            SchemaCache(settings.cache_directory),
            auto_register=settings.auto_register,
        )
