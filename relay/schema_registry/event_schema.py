"""The reference that the relay's own events carry: found in the registry, or published on the topic of schemas."""

import json

import structlog

from relay.avro.codec import Fingerprint, SchemaId, fingerprint
from relay.errors import RelayError
from relay.kafka.topics import Topics
from relay.schema_registry.client import (
    Missing,
    RegistryFailure,
    SchemaRegistryClient,
    SchemaRejected,
    Unavailable,
    value_subject,
)
from relay.schema_registry.disk_cache import SchemaCache, registry_file
from relay.schema_registry.fingerprints import matching_schema
from relay.schema_registry.topic import SchemaTextStore
from schemas import Schema

log = structlog.get_logger(__name__)


class SchemaUnavailableError(RelayError):
    """The registry does not answer and no cached answer exists, or the topic of schemas cannot be read. A later attempt may succeed."""


class EventSchemaPublication:
    """Makes the schema of events resolvable for readers, before an event refers to it."""

    def __init__(
        self,
        topics: Topics,
        text_store: SchemaTextStore,
        registry: SchemaRegistryClient | None,
        cache: SchemaCache,
        *,
        auto_register: bool,
    ) -> None:
        """`registry` None: schemas are on their topic, by fingerprint."""
        self._topics = topics
        self._text_store = text_store
        self._registry = registry
        self._cache = cache
        self._auto_register = auto_register

    async def reference(self, schema: Schema) -> Fingerprint | SchemaId:
        """Return the reference by which readers find the schema; publish or register it first where that is allowed.

        Raises SchemaUnavailableError if a later attempt may succeed, else RelayError with the remedy.
        """
        if self._registry is None:
            return await self._publish_schema(schema)
        return await self._find_registered_id(self._registry, schema)

    async def _publish_schema(self, schema: Schema) -> Fingerprint:
        ref = fingerprint(schema)
        try:
            published = await self._text_store.get(ref)
        except RelayError as error:
            raise SchemaUnavailableError(str(error)) from error
        if published is None or matching_schema(ref, published) is None:
            await self._text_store.put(ref, json.dumps(schema))
        return ref

    async def _find_registered_id(self, registry: SchemaRegistryClient, schema: Schema) -> SchemaId:
        subject = value_subject(self._topics.events)
        name = registry_file(registry.url, "subject", subject, json.dumps(schema, sort_keys=True))
        answer = await registry.lookup(subject, schema)
        if isinstance(answer, Missing) and self._auto_register:
            answer = await self._register(registry, schema)
        match answer:
            case SchemaId():
                self._cache.put(name, str(answer.value))
                return answer
            case Unavailable(reason):
                return self._cached_id(name, reason)
            case Missing():
                raise RelayError(
                    f"The schema of events is not registered as {subject} at {registry.url}: "
                    "run `jira-relay schemas register`, or set schema_registry.auto_register."
                )
            case SchemaRejected(reason):
                raise RelayError(
                    f"The schema registry at {registry.url} rejects the schema "
                    f"of events: {reason} Run `jira-relay schemas check`."
                )

    async def _register(self, registry: SchemaRegistryClient, schema: Schema) -> SchemaId | RegistryFailure:
        answer = await registry.register(value_subject(self._topics.backfill), schema)
        return (
            await registry.register(value_subject(self._topics.events), schema)
            if isinstance(answer, SchemaId)
            else answer
        )

    def _cached_id(self, name: str, reason: str) -> SchemaId:
        cached = self._cache.get(name)
        if cached is None or not cached.isdecimal():
            raise SchemaUnavailableError(
                f"{reason} No cached id of the schema of events exists, "
                "so events cannot be written until the registry answers."
            )
        log.warning(
            "The id of the event schema was taken from the disk cache.", schema_id=cached, reason=reason
        )
        return SchemaId(int(cached))
