"""A producer between simulated Jira sites and a real Kafka."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from embedded import EmbeddedKafka
from management.organizations.editor import edit_organization
from management.settings import Settings
from producer.service import TIMING, ProducerServiceTiming, run_producer
from producer.sources.catalogue import ProducerSettings
from relay.avro.codec import InternalCodec
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.keyring import CredentialOwner, Keyring
from relay.credentials.resolver import CredentialResolver
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.telemetry.health import Health
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer
from relay.timestamps import now_ms
from simulators.jira_cloud.site import SimulatedSite
from simulators.jira_cloud.world import JiraWorld


class ProducerWorld:
    """A producer with its own topics, and readers of them."""

    def __init__(
        self,
        kafka: EmbeddedKafka,
        prefix: str,
        tmp_path: Path,
        *,
        login: Mapping[str, Any] = MappingProxyType({}),
        **producer: Any,
    ) -> None:
        """`login`: settings of the group kafka, which replace those of a broker without users."""
        self.settings = Settings(
            kafka=KafkaConfig(
                **{
                    "bootstrap": kafka.bootstrap,
                    "topic_prefix": prefix,
                    "replication_factor": 1,
                    "shards": 2,
                    "group_session_timeout_seconds": 6,
                    **login,
                }
            ),
            schema_registry=SchemaRegistryConfig(cache_directory=tmp_path),
            producer=ProducerSettings(**({"interval_seconds": 1, "settle_seconds": 0.2} | producer)),
        )
        self.connection = Connection(self.settings.kafka)
        self.topics = Topics(prefix)
        self.keyring = Keyring([b"k" * 32])

    async def add_organization(self, site: SimulatedSite, **fields: Any) -> None:
        owner = CredentialOwner(site.name, site.url, site.user)
        now = now_ms()
        organization = Organization(
            name=site.name,
            url=site.url,
            user=site.user,
            added=now,
            modified=now,
            revision=0,
            credential_ciphertext=self.keyring.seal(SecretStr(site.token), owner),
            **fields,
        )
        await edit_organization(
            self.connection, site.name, lambda _: organization, action="added", author="test", now_ms=now
        )

    @contextlib.asynccontextmanager
    async def running(
        self,
        health: Health | None = None,
        timing: ProducerServiceTiming = TIMING,
        tracer: Tracer = NOT_TRACED,
    ) -> AsyncIterator["asyncio.Task[None]"]:
        stop = asyncio.Event()
        credentials = CredentialResolver(self.keyring, None, {})
        task = asyncio.create_task(
            run_producer(
                self.settings.producer,
                self.settings.schema_registry,
                self.connection,
                credentials,
                stop,
                CollectorRegistry(),
                health or Health(),
                timing,
                tracer,
            )
        )
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait_for(task, 60)

    async def read_events(self, topic: str | None = None, seconds: float = 60) -> list[dict[str, Any]]:
        """Read the topic to its end, again while a Kafka that has just started does not answer in time."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(KafkaTimeoutError):
                    return await self._read_events(topic)

    async def _read_events(self, topic: str | None) -> list[dict[str, Any]]:
        codec = InternalCodec("audit_event")
        found: list[Record] = []
        tps = [TopicPartition(topic or self.topics.events, number) for number in range(2)]
        async with standalone_consumer(self.connection) as reader:
            spans = await stable_bounds(reader, tps)
            await read_to_end(
                reader, dict.fromkeys(tps, 0), {tp: spans[tp].last_stable_offset for tp in tps}, found.append
            )
        return [codec.decode(record.value or b"") for record in found]

    async def count_events(self, topic: str | None = None) -> Counter[tuple[str, int]]:
        return Counter((event["organization"], event["id"]) for event in await self.read_events(topic))


def count_records(jira: JiraWorld) -> Counter[tuple[str, int]]:
    return Counter((name, record["id"]) for name, records in jira.truth().items() for record in records)
