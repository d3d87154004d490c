"""What the brokers report of topics that a writer is about to use: whether they exist, and whether it may write."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest

from relay.kafka.aiokafka_patches.client import patch_client
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.authorization_protocol import TopicOperationsRequest, operations_in

_TOPIC, _POLICY, _CONFIGS_SECONDS = 2, "cleanup.policy", 3.0
_UNSUPPORTED = (NotImplementedError, IncompatibleBrokerVersion)


@dataclass(frozen=True, slots=True)
class TopicAccess:
    """One topic. `error_code`: 0, or why the broker reports nothing of it: 3 absent, 29 not visible to this user."""

    error_code: int
    operations: frozenset[str] | None = None
    """The operations that the user may do; None: the broker does not report them."""
    compacted: bool = False
    """Whether the broker keeps only the last record of a key. False also where the user may not see it (DescribeConfigs)."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The topics that were asked for, in a cluster. `cluster_id` None: the broker does not report it."""

    cluster_id: str | None
    topics: Mapping[str, TopicAccess]


async def read_access(client: AIOKafkaClient, topics: Sequence[str]) -> ClusterAccess:
    """Return the access to these topics. Creates none. Raises KafkaError."""
    node = client.get_random_node()
    try:
        answer = await client.send(node, TopicOperationsRequest(list(topics)))
        found = {
            name: TopicAccess(code, operations_in(bits)) for code, name, _internal, _, bits in answer.topics
        }
        readable = [
            name
            for name, each in found.items()
            if not each.error_code and "DescribeConfigs" in (each.operations or ())
        ]
        for name in await _compacted(client, node, readable):
            found[name] = replace(found[name], compacted=True)
    except _UNSUPPORTED:  # older than Kafka 2.3
        answer = await client.send(node, MetadataRequest(list(topics)))
        found = {name: TopicAccess(code) for code, name, *_ in answer.topics}
    return ClusterAccess(answer.cluster_id, found)


async def _compacted(client: AIOKafkaClient, node: int, topics: Sequence[str]) -> list[str]:
    """Return the compacted ones of these topics; none where the broker does not say it in time."""
    if not topics:
        return []
    question = DescribeConfigsRequest([(_TOPIC, name, [_POLICY]) for name in topics], False)
    try:
        async with asyncio.timeout(_CONFIGS_SECONDS):
            answer = await client.send(node, question)
    except (*_UNSUPPORTED, KafkaError, TimeoutError):
        return []
    return [
        name
        for _code, _message, _type, name, entries in answer.resources
        if any(key == _POLICY and "compact" in (value or "") for key, value, *_ in entries)
    ]


async def read_cluster_id(connection: Connection, seconds: float) -> str | None:
    """Return the id of a cluster; None: its brokers report none. Raises KAFKA_FAILURES."""
    client = AIOKafkaClient(**connection.options(), request_timeout_ms=int(seconds * 1000))
    patch_client(client)
    try:
        async with asyncio.timeout(seconds):
            await client.bootstrap()
            return (await read_access(client, ())).cluster_id
    finally:
        await client.close()
