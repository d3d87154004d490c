"""The profile `event-hubs` on a Kafka that refuses what Event Hubs refuses: transactions, topics from clients, their settings."""

import asyncio
from collections import Counter

import pytest

from management.organizations.store import read_organizations
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import compare_topics, create_missing_topics
from relay.kafka.transactions import TransactionalProducer
from relay.status.reader import read_statuses
from simulators.azure.world import AzureWorld
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.authorizing_kafka import EVENT_HUBS_USER, Grant
from tests.support.kafka import connection_to
from tests.support.producer_world import ProducerWorld, count_records
from tests.support.running_consumer import RunningConsumer


@pytest.fixture
async def world(authorizing_kafka, prefix, tmp_path):
    """Topics exist. The user may read and write them and join groups, and nothing else."""
    await create_missing_topics(connection_to(authorizing_kafka, prefix, shards=2))
    rights = [
        Grant("topic", prefix, "Read", prefixed=True),
        Grant("topic", prefix, "Write", prefixed=True),
        Grant("group", prefix, "Read", prefixed=True),
    ]
    await authorizing_kafka.grant_only({EVENT_HUBS_USER: rights})
    login = {"profile": "event-hubs", **authorizing_kafka.settings(EVENT_HUBS_USER)}
    return ProducerWorld(authorizing_kafka, prefix, tmp_path, login=login)


async def test_records_pass_without_transactions_and_none_is_lost_with_a_checkpoint(world, monkeypatch):
    """Events are written before the checkpoint. Where the checkpoint is lost, the producer finds its events and goes on after them."""
    send, calls = TransactionalProducer._send, Counter()

    async def lose_one_checkpoint(self, records):
        written = await send(self, records)
        if any(each.topic == world.topics.events for each in records):
            calls["events"] += 1
        elif calls["events"] and not calls["lost"]:
            calls["lost"] += 1
            raise PublishError("the connection was cut")
        return written

    monkeypatch.setattr(TransactionalProducer, "_send", lose_one_checkpoint)
    async with JiraWorld(seed=8) as jira, AzureWorld() as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        target = {"endpoint": azure.endpoint, "rule_id": azure.rule_id, "credential": "managed-identity"}
        settings = type(world.settings).model_validate(
            {**dict(world.settings), "destinations": {"sentinel": target}}
        )
        site = await jira.add_site("acme")
        await world.add_organization(site)
        consumer = RunningConsumer(settings, world.connection)
        async with world.running():
            await wait_until(lambda: _polled(world))
            site.add_records(30)
            await wait_until(lambda: _arrived(world, jira))
            site.add_records(10)
            await wait_until(lambda: _arrived(world, jira))
            await azure.wait_until(lambda: len(azure.rows()) >= sum(count_records(jira).values()), 90)
        await consumer.stop()

        found = await world.count_events()
        assert calls["lost"] == 1
        assert found.keys() == count_records(jira).keys()
        assert {row["EventUid"] for row in azure.rows()} == {f"{name}/{number}" for name, number in found}
        assert set(await read_organizations(world.connection)) == {"acme"}
        assert not any(each.problems for each in await compare_topics(world.connection))


async def test_a_profile_with_transactions_is_refused_with_a_sentence(world):
    """An operator who forgot `kafka.profile` sees a sentence, and nothing is written."""
    config = world.connection.kafka.model_copy(update={"profile": "kafka"})
    with pytest.raises(PublishError, match="check"):
        await asyncio.wait_for(
            TransactionalProducer.open(type(world.connection)(config), f"{world.topics.prefix}.0"), 60
        )


async def _polled(world):
    status = (await read_statuses(world.connection, world.topics.status)).get("producer/acme")
    return status is not None and status.last_poll is not None


async def _arrived(world, jira):
    return (await world.count_events()).keys() >= count_records(jira).keys()
