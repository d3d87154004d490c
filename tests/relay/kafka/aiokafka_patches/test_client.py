"""Patches of every client."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
)
from aiokafka.protocol.metadata import MetadataResponse_v1

from relay.kafka.aiokafka_patches.client import hidden_topics, patch_admin, patch_client

BROKERS = [(number, "127.0.0.1", 9091 + number, None) for number in (1, 2, 3)]
FAULTS = (NodeNotReadyError, KafkaConnectionError, RequestTimedOutError, StaleMetadata)


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


@pytest.fixture
async def admin():
    """An admin client whose metadata names three brokers; nothing is sent to a network."""
    client = AIOKafkaAdminClient()
    patch_admin(client)
    client._client.cluster.update_metadata(MetadataResponse_v1(BROKERS, 1, []))
    yield client
    await client.close()


def answering(admin, faults):
    """Let the brokers of `faults` fail, and the others tell of no topic. Return the list of the brokers that were asked."""
    asked = []

    async def send(node, _request, **_options):
        asked.append(node)
        if node in faults:
            raise faults[node]("the broker is dead")
        return MetadataResponse_v1(BROKERS, 1, [])

    admin._client.send = send
    return asked


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_question_goes_to_another_broker_where_one_is_dead(admin, fault):
    """Metadata names a dead broker for seconds; a service that starts then must not end."""
    asked = answering(admin, {1: fault, 3: fault})
    for _ in range(20):
        assert await admin.list_topics() == []
    assert len(asked) > 20


async def test_a_question_fails_where_every_broker_is_dead(admin):
    """Each broker is asked once, and the error of the last one is raised."""
    asked = answering(admin, dict.fromkeys((1, 2, 3), NodeNotReadyError))
    with pytest.raises(NodeNotReadyError):
        await admin.describe_topics(["events"])
    assert sorted(asked) == [1, 2, 3]


async def test_another_error_of_a_broker_is_not_asked_about_again(admin):
    """What one broker refuses, the others refuse too."""
    asked = answering(admin, dict.fromkeys((1, 2, 3), KafkaError))
    with pytest.raises(KafkaError):
        await admin.list_topics()
    assert len(asked) == 1
