"""What a real broker refuses, and how it holds records up; librdkafka reads what was written."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from consumer.destinations.kafka import KAFKA
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.timestamps import now_ms
from tests.contracts.destination_case import body_of, uids
from tests.support import ecs
from tests.support.authorizing_kafka import PASSWORD, USER, Grant
from tests.support.messages import event
from tests.support.quotas import set_quota
from tests.support.topic_reader import make_topics, read_topic

DAY_MS = 86_400_000


@asynccontextmanager
async def topic_of(broker, prefix, partitions=1, settings=None, **configs):
    """A topic with these settings, and a destination that writes to it."""
    await asyncio.to_thread(make_topics, broker.bootstrap, prefix, partitions=partitions, **configs)
    config = TopicConfig(
        **{"kind": "kafka", "topic": prefix, "bootstrap_servers": broker.bootstrap} | (settings or {})
    )
    async with KAFKA.open("soc", config, KAFKA.request_timeout_seconds) as flows:
        yield flows["live"]


async def deliver(live, events):
    """Send until each event is accepted or rejected; return the places of the rejected ones."""
    places, rejected = list(range(len(events))), set()
    for _ in range(60):
        outcome = await live.send(body_of(live, [events[place] for place in places]))
        if outcome == Sent():
            return rejected
        assert isinstance(outcome, Partial), outcome
        rejected |= {places[row] for row in outcome.rejected}
        places = [places[row] for row in sorted(outcome.retry)]
        if not places:
            return rejected
    raise AssertionError("too many rounds")


def read(broker, topic):
    return read_topic(broker.bootstrap, topic)


def uids_of(records):
    return [each.headers["relay.uid"].decode() for each in records]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_another_client_reads_what_was_written(compression, kafka, prefix):
    """Key, value, time and header of each record, by each codec."""
    events = [event(number, organization=f"org{number % 5}.atlassian.net") for number in range(50)]
    async with topic_of(kafka, prefix, partitions=4, settings={"compression": compression}) as live:
        assert await live.send(body_of(live, events)) == Sent()
    found = {each.headers["relay.uid"].decode(): each for each in read(kafka, prefix)}
    assert len(found) == 50
    for each in events:
        record = found[ecs.uid(each | {"variant": None})]
        assert record.key.decode() == each["organization"]
        assert record.timestamp == each["created"]
        assert json.loads(record.value)["summary"] == "User created"


async def test_an_organization_keeps_its_partition_and_its_order(kafka, prefix):
    """Kafka's own partitioner would choose the same: the records of a key are in one log, in order."""
    async with topic_of(kafka, prefix, partitions=6) as live:
        for start in range(0, 120, 30):
            events = [event(n, organization=f"org{n % 7}.atlassian.net") for n in range(start, start + 30)]
            assert await live.send(body_of(live, events)) == Sent()
    records = read(kafka, prefix)
    for number in range(7):
        of_one = [each for each in records if each.key == f"org{number}.atlassian.net".encode()]
        assert len({each.partition for each in of_one}) == 1
        ids = [json.loads(each.value)["id"] for each in of_one]
        assert ids == sorted(ids) == list(range(number, 120, 7))


async def test_one_record_that_is_too_large_for_the_topic_is_rejected_alone(kafka, prefix):
    """Those around it arrive once, and in order."""
    noise = "".join(str(number * 7919 % 1_000_003) for number in range(3000))
    events = [event(number, description=noise if number == 20 else None) for number in range(60)]
    async with topic_of(kafka, prefix, max_message_bytes="2000") as live:
        assert await deliver(live, events) == {20}
    assert uids_of(read(kafka, prefix)) == uids(number for number in range(60) if number != 20)


async def test_a_record_that_is_too_old_for_the_topic_is_rejected_alone(kafka, prefix):
    """The broker names it, so the others need no second round."""
    old = now_ms() - 30 * DAY_MS
    events = [event(number, **({"created": old} if number == 3 else {})) for number in range(9)]
    async with topic_of(kafka, prefix, message_timestamp_before_max_ms=str(DAY_MS)) as live:
        outcome = await live.send(body_of(live, events))
        assert list(outcome.rejected) == [3]
        assert "message.timestamp.before.max.ms" in outcome.rejected[3]
        assert await live.send(body_of(live, [each for each in events if each["id"] != 3])) == Sent()
    assert uids_of(read(kafka, prefix)) == uids(number for number in range(9) if number != 3)


async def test_a_record_of_the_future_has_the_time_of_its_sending(kafka, prefix):
    """Kafka refuses a time more than an hour ahead; the event's own time is in the value."""
    future = now_ms() + 30 * DAY_MS
    async with topic_of(kafka, prefix) as live:
        assert await live.send(body_of(live, [event(1, created=future)])) == Sent()
    (record,) = read(kafka, prefix)
    assert abs(record.timestamp - now_ms()) < DAY_MS
    assert json.loads(record.value)["created"] == future


async def test_a_compacted_topic_takes_records(kafka, prefix):
    """Each record has a key; compaction keeps the last event of an organization, which the page says."""
    async with topic_of(kafka, prefix, cleanup_policy="compact") as live:
        assert await live.send(body_of(live, [event(1), event(2)])) == Sent()
        assert "is compacted" in (await live.probe()).note


async def test_write_on_the_topic_is_the_only_right_that_is_needed(authorizing_kafka, prefix):
    """Without it nothing is written and the reason names the right; a topic that the user may not see is named too."""
    settings = authorizing_kafka.settings()
    login = {
        "bootstrap_servers": settings["bootstrap"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }
    await authorizing_kafka.grant_only([])
    async with topic_of(authorizing_kafka, prefix, settings=login) as live:
        for grants in ([], [Grant("topic", prefix, "Describe")]):
            await authorizing_kafka.grant_only(grants)
            for outcome in (await live.probe(), await live.send(body_of(live, [event(1)]))):
                assert isinstance(outcome, Paused)
                assert "Write" in outcome.reason
        await authorizing_kafka.grant_only([Grant("topic", prefix, "Write")])
        assert await live.probe() == Sent()
        assert await live.send(body_of(live, [event(1)])) == Sent()
        await authorizing_kafka.grant_only([Grant("topic", prefix, "Describe")])
        outcome = await live.send(body_of(live, [event(2)]))
        assert isinstance(outcome, Paused)
        assert "TOPIC_AUTHORIZATION_FAILED" in outcome.reason


async def test_a_changed_password_in_its_file_is_used_without_a_restart(secure_kafka, prefix, tmp_path):
    """By SCRAM over TLS: the broker has another password for the user now."""
    file = tmp_path / "password"
    await secure_kafka.set_password("json-writer", "the-first-password")
    file.write_text("the-first-password")
    settings = secure_kafka.scram_settings()
    login = {
        "bootstrap_servers": settings["bootstrap"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "json-writer",
        "sasl_password_file": file,
        "ca_file": settings["ca_file"],
    }
    async with topic_of(secure_kafka, prefix, settings=login) as live:
        assert await live.send(body_of(live, [event(1)])) == Sent()
        await secure_kafka.set_password("json-writer", "the-second-password")
        outcome = await live.probe()
        assert isinstance(outcome, Paused)
        assert "destinations.soc.sasl_username" in outcome.reason
        file.write_text("the-second-password")
        assert await live.probe() == Sent()
        assert await live.send(body_of(live, [event(2)])) == Sent()


async def test_a_certificate_that_nobody_signed_pauses(secure_kafka, prefix):
    """The reason names the destination's own setting."""
    login = {"bootstrap_servers": secure_kafka.listener_address("mutual"), "security_protocol": "SSL"}
    async with topic_of(secure_kafka, prefix, settings=login) as live:
        outcome = await live.probe()
        assert isinstance(outcome, Paused)
        assert "destinations.soc.ca_file" in outcome.reason


async def test_an_absent_broker_is_a_retry(kafka, prefix):
    """It may come back: nobody has to act yet."""
    async with topic_of(kafka, prefix, settings={"bootstrap_servers": "127.0.0.1:1"}) as live:
        outcome = await live.probe()
    assert isinstance(outcome, Retry)
    assert "destinations.soc.bootstrap_servers" in outcome.reason


async def test_a_quota_is_the_reason_of_a_slow_cluster(kafka, prefix):
    """The broker takes the records, and then reads nothing for a while."""
    async with topic_of(kafka, prefix) as live:
        client = Connection(KafkaConfig(bootstrap=kafka.bootstrap), "jira-audit-relay-soc")
        await set_quota(client, producer_byte_rate=1_000.0)
        try:
            noise = [
                event(n, description="".join(str(k * n * 7919 % 1_000_003) for k in range(1500)))
                for n in range(1, 9)
            ]
            assert await live.send(body_of(live, noise)) == Sent()
            assert live._client._shared._producer.throttled_until > 0
        finally:
            await set_quota(client, producer_byte_rate=1e12)
