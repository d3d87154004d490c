"""Faults of records, of Azure and of the rule, on the way from a real Kafka to simulated Azure."""

import asyncio
import copy
import os

from relay.avro.codec import Encoder, SchemaId
from simulators import faults
from simulators.azure import faults as azure_faults
from tests.support.messages import AUDIT_EVENT, ForeignSchemaEncoder, event
from tests.support.pipeline_world import (
    committed_and_ends,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_until,
)
from tests.support.topics import alter_topic


async def test_garbage_becomes_dead_letters_and_holds_up_nobody(kafka, prefix, monkeypatch):
    garbage = [b"", b"{}", b"\x00\x00\x00\x00\x01garbage", b"\xc3\x01" + bytes(30), b"\xff" * 3000]
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming() as consumer:
        await world.publish(some_events(50))
        positions_of_garbage = [await world.publish_bytes(each, timestamp=1000) for each in garbage]
        positions_of_garbage.append(await world.publish_bytes(None))
        await world.publish(some_events(50, first=100))
        await world.wait_for_events()
        await wait_until(lambda: dead_letter_count(consumer) == 6)
        found = await world.dead_letters()

        assert sorted(value or b"" for value, _ in found) == sorted([*garbage, b""])
        for _, headers in found:
            assert headers["relay.service"] == "consumer"
            assert headers["relay.destination"] == "sentinel"
            assert headers["relay.topic"] == world.topics.events
            assert (int(headers["relay.partition"]), int(headers["relay.offset"])) in positions_of_garbage
            assert headers["relay.reason"]
            assert headers["relay.status"] == ""
            assert int(headers["relay.at"]) > 1_700_000_000_000
        await consumer.stop()
        positions, ends = await committed_and_ends(world)
        assert positions == ends


def dead_letter_count(consumer, reason="unreadable"):
    return consumer.metric("jira_relay_consumer_events_dead_lettered_total", reason=reason)


async def test_a_record_too_large_for_the_dead_letter_topic_is_written_in_parts(kafka, prefix, monkeypatch):
    """An operator gave that topic a smaller limit than the events have."""
    value, small = os.urandom(90_000), os.urandom(3_000)
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await alter_topic(world.connection, world.topics.dead_letters, max_message_bytes="20000")
        async with world.consuming() as consumer:
            await world.publish_bytes(small, timestamp=1000)
            await world.publish_bytes(value, timestamp=1000)
            await world.publish(some_events(50))
            await world.wait_for_events()
            await wait_until(lambda: dead_letter_count(consumer) == 2)
            found = await world.dead_letters()
            await consumer.stop()
            positions, ends = await committed_and_ends(world)
    assert positions == ends
    parts = {headers["relay.part"]: part for part, headers in found if "relay.part" in headers}
    assert b"".join(parts[f"{number}/{len(parts)}"] for number in range(1, len(parts) + 1)) == value
    assert small in [part for part, headers in found if "relay.part" not in headers]


async def test_a_flood_of_garbage_drowns_nobody(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming() as consumer:
        await world.publish(some_events(20))
        await world.publish_garbage(2000)
        await world.publish(some_events(20, first=100))
        await world.wait_for_events()
        await wait_until(lambda: dead_letter_count(consumer) == 2000)
        assert len(await world.dead_letters()) == 2000


async def test_passing_faults_cost_time_alone(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        azure = world.azure
        for fault in (
            azure_faults.throttled(0.2),
            azure_faults.unauthorized(),
            azure_faults.gateway_page(502),
            faults.reset(),
        ):
            azure.fault(fault)
        async with world.consuming() as consumer:
            await world.publish(some_events(200))
            await world.wait_for_events()
            assert consumer.metric("jira_relay_consumer_retries_total", reason="retry") >= 3

        assert azure.duplicates() == {}
        assert await world.dead_letters() == []


async def test_a_request_whose_answer_was_lost_is_repeated_and_identified(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        world.azure.fault(faults.reset(after_processing=True))
        await world.publish(some_events(20, organizations=1))
        async with world.consuming():
            await world.wait_for_events()
            await world.azure.wait_until(lambda: world.azure.accepted() > 20)
        assert set(uids(world.azure)) == set(map(uid, world.published))
        assert set(world.azure.duplicates()) <= set(map(uid, world.published))


async def test_a_poison_row_is_rejected_alone(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(300))
        bad = [world.published[number] for number in (17, 18, 200)]
        for each in bad:
            world.azure.poison(uid(each))
        async with world.consuming() as consumer:
            await world.wait_for_events(297)
            await world.publish(some_events(5, first=1000))
            await world.wait_for_events(302)
            await wait_until(lambda: dead_letter_count(consumer, "rejected") == 3)
        found = await world.dead_letters()

        assert uids(world.azure) == sorted(uid(each) for each in world.published if each not in bad)
        assert {headers["relay.status"] for _, headers in found} == {"400"}
        assert all("InvalidData" in headers["relay.reason"] for _, headers in found)
        assert len(found) == 3
        positions, ends = await committed_and_ends(world)
        assert positions == ends


async def test_a_broken_rule_dead_letters_nothing(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        broken = world.azure.fault(azure_faults.broken_rule(), rate=1)
        await world.publish(some_events(300))
        async with world.consuming() as consumer:
            await wait_until(lambda: any("deploy/azure" in each for each in consumer.health.problems()))
            await world.publish(some_events(50, first=1000))
            await wait_until(lambda: broken.played > 20)
            broken.cancel()
            await world.wait_for_events()
            await wait_until(consumer.ready)

        assert uids(world.azure) == sorted(map(uid, world.published))
        assert await world.dead_letters() == []


async def test_a_missing_role_pauses_says_what_to_do_and_heals_by_itself(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        publishers = set(world.azure.identity.publishers)
        world.azure.identity.publishers.clear()
        await world.publish(some_events(100))
        async with world.consuming() as consumer:
            await wait_until(lambda: any("Monitoring Metrics" in each for each in consumer.health.problems()))
            await wait_until(
                lambda: consumer.metric("jira_relay_consumer_destination_state", state="paused") == 1
            )
            world.azure.identity.publishers |= publishers
            await world.wait_for_events()
            await wait_until(consumer.ready)
            assert consumer.metric("jira_relay_consumer_destination_state", state="paused") == 0
        assert world.azure.duplicates() == {}
        assert await world.dead_letters() == []


async def test_events_wait_for_a_schema_that_cannot_be_looked_up(kafka, prefix, monkeypatch):
    """Messages of a newer release and of a registry arrive, and no registry is set: nothing is dropped, and the status says so."""
    newer = copy.deepcopy(AUDIT_EVENT)
    newer["fields"].append({"name": "automated", "type": ["null", "boolean"], "default": None})
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        each = event(1)
        encoded = ForeignSchemaEncoder(newer, SchemaId(5)).encode(each | {"automated": True})
        await world.publish_bytes(encoded, timestamp=each["collected"])
        async with world.consuming() as consumer:
            await wait_until(
                lambda: any("schema_registry.url" in fault for fault in consumer.health.problems())
            )
        assert await world.dead_letters() == []
        assert world.azure.accepted() == 0


async def test_events_of_a_known_version_need_no_registry(kafka, prefix, monkeypatch):
    """No registry is set, and key, timestamp and length of a message prove which of the relay's own versions it has."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        each = event(1)
        await world.publish_bytes(Encoder(AUDIT_EVENT, SchemaId(5)).encode(each), timestamp=each["collected"])
        async with world.consuming(start="earliest"):
            await wait_until(world.azure.accepted)
        assert await world.dead_letters() == []


async def test_a_slow_destination_bounds_what_is_read(kafka, prefix, monkeypatch):
    """While Azure does not answer, only so much is taken from Kafka, and the membership lives on."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        hanging = world.azure.fault(faults.hang(3), rate=1)
        large = some_events(6000, description="x" * 10_000)
        for start in range(0, len(large), 500):
            await world.publish(large[start : start + 500], size=50)
        async with world.consuming(start="earliest") as consumer:
            await wait_until(lambda: len(world.azure.calls) >= 6)
            await asyncio.sleep(3)
            assert consumer.metric("jira_relay_consumer_events_accepted_total") == 0
            hanging.cancel()
            world.azure.clear_faults()
            await world.wait_for_events()
        assert set(uids(world.azure)) == set(map(uid, world.published))
