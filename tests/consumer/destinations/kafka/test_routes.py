"""Topics of organizations, against a simulated broker: a topic with a problem holds up no other."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumer.decoding.columns import decode
from consumer.destinations.kafka import KAFKA
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.kafka.route_clients import RouteClients
from consumer.destinations.kafka.rows import body_format, decode_records, encode_rows
from consumer.destinations.outcome import Paused, Retry, Sent
from relay.timestamps import now_ms
from simulators.kafka.broker import SimulatedKafka
from tests.contracts.destination_case import body_of
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.sending import sent_at_last

ACME = "jira-acme"
NOT_ENOUGH_REPLICAS = 19


@asynccontextmanager
async def world(seconds=KAFKA.request_timeout_seconds):
    """A broker with the topic of acme and that of the others, and the live flow of a destination."""
    async with SimulatedKafka(("jira", ACME)) as broker:
        config = TopicConfig(
            kind="kafka",
            topic="jira",
            by_organization={"acme.atlassian.net": ACME},
            bootstrap_servers=broker.bootstrap,
            compression="none",
        )
        async with KAFKA.open("soc", config, seconds) as flows:
            yield broker, flows["live"]


def send(live, number, topic=None):
    organization = "acme.atlassian.net" if topic == ACME else "globex.atlassian.net"
    return live.send(replace(body_of(live, [event(number, organization=organization)]), route=topic))


def rows_of(number):
    """One row, as a body has it."""
    config = TopicConfig(kind="kafka", topic="jira")
    frame = decode([message(event(number))], WRITER_SCHEMAS).frame
    return bytes(encode_rows(frame, config, body_format(config)).view)


def remove(broker):
    return broker.topics.pop(ACME)


def lock(broker):
    broker.topics[ACME].writable = False
    return broker.topics[ACME]


def repair(broker, topic):
    topic.writable = True
    broker.topics[ACME] = topic


@pytest.mark.parametrize("damage", [remove, lock])
@pytest.mark.parametrize("first", [ACME, None], ids=["it is the first", "another is the first"])
async def test_a_topic_of_an_organization_that_is_absent_or_read_only_pauses_that_organization_alone(
    damage, first
):
    """The others are delivered, and the organization is once its topic is there."""
    async with world() as (broker, live):
        topic = damage(broker)
        if first is None:
            assert await send(live, 1) == Sent()
        outcome = await send(live, 2, ACME)
        assert isinstance(outcome, Paused)
        assert f"the topic {ACME}" in outcome.reason
        assert await send(live, 3) == Sent()
        assert isinstance(await live.probe(), Paused)
        repair(broker, topic)
        assert await send(live, 2, ACME) == Sent()
        assert await send(live, 4, ACME) == Sent()
        assert await send(live, 5) == Sent()
        assert [each.uid for each in broker.stored(ACME)] == [f"acme.atlassian.net/{n}" for n in (2, 4)]


async def sent(live, number, topic=None):
    """Send until the event is accepted: on a busy machine a short time passes before a producer has started."""
    await sent_at_last(lambda: send(live, number, topic))


async def test_a_topic_without_an_answer_costs_the_others_one_wait_and_no_more():
    """From its first failure on it has a producer of its own, so the others neither wait for it nor lose theirs."""
    async with world(seconds=6.0) as (broker, live):
        await sent(live, 1)
        broker.topics[ACME].refusal = NOT_ENOUGH_REPLICAS
        assert isinstance(await send(live, 2, ACME), Retry)
        again = asyncio.create_task(send(live, 2, ACME))
        await sent(live, 3)
        assert not again.done()
        broker.topics[ACME].refusal = 0
        await again
        await sent(live, 2, ACME)
        await sent(live, 13, ACME)
        found = [each.uid for each in broker.stored(ACME)]
        assert list(dict.fromkeys(found)) == [f"acme.atlassian.net/{number}" for number in (2, 13)]


async def test_two_calls_of_a_topic_with_a_producer_of_its_own_both_end():
    """An operator may give an organization the topic of all others; the first answer ends no call behind it."""
    async with world() as (broker, live):
        topic = remove(broker)
        assert isinstance(await send(live, 1, ACME), Paused)
        repair(broker, topic)
        both = await asyncio.gather(send(live, 1, ACME), send(live, 2, ACME))
        assert both == [Sent(), Sent()]
        assert [each.uid for each in broker.stored(ACME)] == [f"acme.atlassian.net/{n}" for n in (1, 2)]
        assert await send(live, 3, ACME) == Sent()


async def test_topics_with_a_producer_of_their_own_have_a_bound():
    """The others share one, and fail and recover there."""
    topics = ("jira", "jira-a", "jira-b", "jira-c")
    records = decode_records(rows_of(1), now_ms())
    async with SimulatedKafka(topics) as broker:
        config = TopicConfig(
            kind="kafka", topic="jira", bootstrap_servers=broker.bootstrap, compression="none"
        )
        async with RouteClients("soc", config, topics, 40.0, max_apart=1) as clients:
            for topic in topics[1:]:
                broker.topics[topic].writable = False
            for topic in topics[1:] * 2:
                outcome = await clients.send(topic, records)
                assert isinstance(outcome, Paused)
                assert f"the topic {topic}" in outcome.reason
            assert clients._own.keys() == {"jira-a"}
            assert await clients.send("jira", records) == Sent()
            for topic in topics[1:]:
                broker.topics[topic].writable = True
                assert await clients.send(topic, records) == Sent()
