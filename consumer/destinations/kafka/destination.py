"""The topics of one flow as a destination."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.kafka import rows
from consumer.destinations.kafka.config import TopicConfig, cluster_name, topics_of
from consumer.destinations.kafka.route_clients import RouteClients
from consumer.destinations.outcome import Outcome
from consumer.formats.encoded_rows import EncodedRows
from relay.timestamps import now_ms

IN_FLIGHT_BYTES = 16_000_000
LINGER_SECONDS = 0.02
"""A record batch costs little, so a row waits only for those that come with it."""
MAX_INLINE_BYTES = 65_536
"""Bytes of a body that the event loop takes apart itself; a thread does it with a larger one."""


class KafkaDestination:
    """Writes to the topics of one flow."""

    def __init__(
        self,
        client: RouteClients,
        name: str,
        config: TopicConfig,
        topic: str,
        routes: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._config = config
        self._topic = topic
        framing = rows.body_format(config)
        self.limits = Limits(
            framing,
            linger_seconds=LINGER_SECONDS,
            in_flight_bytes=max(IN_FLIGHT_BYTES, framing.max_bytes),
            in_flight_bodies=1,  # the next body must not overtake one that is repeated
            request_timeout_seconds=timeout_seconds,
            routes=routes,
        )
        self.address = f"{cluster_name(config)}, topic {topic}"
        self.config_hint = (
            f"Check the settings of the topic (max.message.bytes, message.timestamp.before.max.ms), destinations.{name}.max_record_bytes,"
            " and the broker's log."
        )

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events, self._config, self.limits.format)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return self.limits.format.framed(rows_to_send)

    async def send(self, body: Body) -> Outcome:
        if len(body.content) > MAX_INLINE_BYTES:
            records = await asyncio.to_thread(rows.decode_records, body.content, now_ms())
        else:
            records = rows.decode_records(body.content, now_ms())
        return await self._client.send(body.route or self._topic, records)

    async def probe(self) -> Outcome:
        return await self._client.probe()


@asynccontextmanager
async def open_kafka(
    name: str, config: TopicConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the topics of the settings. Raises RelayError for settings, files or topics that cannot be used."""
    flows: dict[Flow, tuple[str, Mapping[str, str]]] = {"live": (config.topic, config.by_organization)}
    if config.history_topic is not None:
        flows["history"] = (config.history_topic, config.history_by_organization)
    async with AsyncExitStack() as stack:
        found: dict[Flow, Destination] = {}
        for flow, (topic, routes) in flows.items():
            client = RouteClients(name, config, topics_of(config, flow), request_timeout_seconds)
            await stack.enter_async_context(client)
            found[flow] = KafkaDestination(client, name, config, topic, routes, request_timeout_seconds)
        yield found
