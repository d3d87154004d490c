"""Patches of every client."""

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError

from relay.kafka.aiokafka_patches.client import hidden_topics, patch_client


async def test_a_cluster_without_a_ready_broker_can_be_asked_again():
    """Metadata without brokers is an error of Kafka that can be retried, rather than a failed assertion."""
    client = AIOKafkaClient()
    patch_client(client)
    for request in (
        client.coordinator_lookup(CoordinationType.TRANSACTION, "relay.0"),
        client.coordinator_lookup(CoordinationType.GROUP, "relay"),
        hidden_topics(client, ["events"]),
    ):
        with pytest.raises(KafkaError, match="names no broker") as raised:
            await request
        assert raised.value.retriable
