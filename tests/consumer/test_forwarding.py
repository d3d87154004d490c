"""Whole ways from a topic of a real Kafka to the rows of simulated Azure."""

import asyncio
import os
import socket
from types import SimpleNamespace

import pytest

from consumer.assignment import assignment
from consumer.assignment.handler import Forwarder
from consumer.delivery import circuit_breaker
from consumer.destinations.outcome import Retry
from embedded import EmbeddedKafka
from relay.avro.codec import Encoder, SchemaId
from relay.errors import RelayError
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.positions import Positions
from simulators import faults
from simulators.azure import faults as azure_faults
from tests.support.expected_rows import expected
from tests.support.messages import AUDIT_EVENT, event
from tests.support.pipeline_world import (
    HISTORY,
    SHARDS,
    Running,
    committed,
    some_events,
    uid,
    uids,
    until,
    until_told,
    world,
)
from tests.support.topics import alter

ITEM = {"id": "7", "name": "Zoë", "typeName": "USER", "parentId": None, "parentName": None}
CHANGE = {"fieldName": "Email", "changedFrom": None, "changedTo": "z@example.com"}
FULL = {"objectItem": ITEM, "changedValues": [CHANGE], "associatedItems": [ITEM, ITEM], "unmodeled": "{}"}


async def test_every_event_arrives_once_in_its_table_field_by_field(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        live = some_events(250, **FULL)
        history = some_events(120, first=1000, mode="backfill")
        await there.publish(live)
        await there.publish(history, there.topics.backfill)
        async with there.consuming():
            await there.arrive()
            await there.arrive(len(history), HISTORY)

        azure = there.azure
        assert uids(azure) == sorted(map(uid, live))
        assert uids(azure, HISTORY) == sorted(map(uid, history))
        rows = {row["EventUid"]: row for row in azure.rows()}
        for each in live:
            stored = {name: value for name, value in rows[uid(each)].items() if value is not None}
            stored.pop("TimeGenerated")
            assert stored == expected(each)
        assert azure.losses == type(azure.losses)()
        assert await there.dead_letters() == []


async def test_a_clean_stop_loses_nothing_and_repeats_nothing(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        for first in range(0, 900, 300):
            async with there.consuming() as consumer:
                await there.publish(some_events(300, first=first))
                await there.arrive(first + 100)
                assert await consumer.stop() < 5
        async with there.consuming():
            await there.arrive()
        found, ends = await committed(there)

        assert uids(there.azure) == sorted(map(uid, there.published))
        assert found == ends


async def test_a_killed_process_loses_nothing(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(300))
        process = await there.process()
        await there.arrive(100)
        await there.publish(some_events(300, first=300))
        process.kill()
        await process.wait()
        async with there.consuming():
            await there.arrive()
        assert set(uids(there.azure)) == set(map(uid, there.published))


async def test_what_was_accepted_is_not_sent_again_when_its_commit_failed(kafka, prefix, monkeypatch):
    """Kafka takes no offsets for a while, and the membership is lost meanwhile: the process itself knows what it has delivered."""
    async with world(kafka, prefix, monkeypatch) as there, there.consuming() as consumer:
        await there.publish(some_events(100))
        await there.arrive()
        with monkeypatch.context() as away:
            away.setattr(Positions, "commit", refused)
            await there.publish(some_events(200, first=1000))
            await there.arrive()
            lost = lose_every_membership(away)
            await until(lambda: len(lost) == 2)
            await until(lambda: not consumer.ready())
        await until(consumer.ready)
        await there.publish(some_events(100, first=2000))
        await there.arrive()
        assert there.azure.duplicates() == {}
        assert uids(there.azure) == sorted(map(uid, there.published))


async def refused(_positions, _offsets):
    raise KafkaError("the coordinator is away")


def lose_every_membership(monkeypatch):
    """Once; returns those that have lost theirs."""
    lost, records = [], Forwarder.records

    async def losing(forwarder, batches):
        if forwarder not in lost:
            lost.append(forwarder)
            raise KafkaError("the membership is lost")
        await records(forwarder, batches)

    monkeypatch.setattr(Forwarder, "records", losing)
    return lost


async def test_offsets_are_committed_as_soon_as_rows_are_accepted(kafka, prefix, monkeypatch):
    """Whatever is accepted and not committed comes again after a kill."""
    monkeypatch.setattr(assignment, "QUIET_SECONDS", 3600)
    async with world(kafka, prefix, monkeypatch) as there, there.consuming():
        for first in (0, 1000):
            await there.publish(some_events(50, organizations=1, first=first))
            await there.arrive()
            last = (await there.records(there.topics.events))[-1]
            async with asyncio.timeout(20):
                while (
                    (await committed(there))[0][TopicPartition(last.topic, last.partition)] or 0
                ) <= last.offset:
                    await asyncio.sleep(0.1)


async def test_partitions_move_without_a_repeat(kafka, prefix, monkeypatch):
    """Consumers come and go while events flow; what is under way when partitions are taken away is waited for."""
    async with world(kafka, prefix, monkeypatch) as there, there.consuming():
        await _come_and_go(there)
        assert there.azure.duplicates() == {}


async def test_partitions_move_without_a_repeat_while_the_destination_throttles(kafka, prefix, monkeypatch):
    """Some bodies are refused again and again while those behind them are accepted; these are never sent again."""
    monkeypatch.setattr("consumer.destinations.sentinel.rows.LARGEST_BODY", 3000)
    monkeypatch.setitem(circuit_breaker._WAITS, Retry, (0.02, 0.1))
    async with world(kafka, prefix, monkeypatch) as there, there.consuming():
        there.azure.fault(azure_faults.throttled(), rate=0.6)
        await _come_and_go(there)
        assert there.azure.duplicates() == {}


async def _come_and_go(there):
    for first in range(0, 1200, 300):
        await there.publish(some_events(300, first=first))
        async with there.consuming() as second:
            await until(second.ready)
            await there.publish(some_events(100, first=10_000 + first))
    await there.arrive(seconds=60)
    assert set(uids(there.azure)) == set(map(uid, there.published))


async def test_a_consumer_without_partitions_waits_for_its_turn(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch, shards=1) as there, there.consuming() as first:
        await until(first.ready)
        async with there.consuming() as second:
            await until(second.ready)
            await there.publish(some_events(30), partitions=1)
            await there.arrive()
            await first.stop()
            await there.publish(some_events(30, first=100), partitions=1)
            await there.arrive()
        assert uids(there.azure) == sorted(map(uid, there.published))


async def test_garbage_becomes_dead_letters_and_holds_up_nobody(kafka, prefix, monkeypatch):
    garbage = [b"", b"{}", b"\x00\x00\x00\x00\x01garbage", b"\xc3\x01" + bytes(30), b"\xff" * 3000]
    async with world(kafka, prefix, monkeypatch) as there, there.consuming() as consumer:
        await there.publish(some_events(50))
        places = [await there.put(each, timestamp=1000) for each in garbage]
        places.append(await there.put(None))
        await there.publish(some_events(50, first=100))
        await there.arrive()
        await until(lambda: letters(consumer) == 6)
        found = await there.dead_letters()

        assert sorted(value or b"" for value, _ in found) == sorted([*garbage, b""])
        for _, headers in found:
            assert headers["relay.service"] == "consumer"
            assert headers["relay.destination"] == "sentinel"
            assert headers["relay.topic"] == there.topics.events
            assert (int(headers["relay.partition"]), int(headers["relay.offset"])) in places
            assert headers["relay.reason"]
            assert headers["relay.status"] == ""
            assert int(headers["relay.at"]) > 1_700_000_000_000
        await consumer.stop()
        positions, ends = await committed(there)
        assert positions == ends


def letters(consumer, why="unreadable"):
    return consumer.metric("jira_relay_events_dead_lettered_total", why=why)


async def test_a_record_too_large_for_the_dead_letter_topic_stands_there_in_parts(kafka, prefix, monkeypatch):
    """An operator gave that topic a smaller limit than the events have."""
    value, small = os.urandom(90_000), os.urandom(3_000)
    async with world(kafka, prefix, monkeypatch) as there:
        await alter(there.connection, there.topics.dead_letters, max_message_bytes="20000")
        async with there.consuming() as consumer:
            await there.put(small, timestamp=1000)
            await there.put(value, timestamp=1000)
            await there.publish(some_events(50))
            await there.arrive()
            await until(lambda: letters(consumer) == 2)
            found = await there.dead_letters()
            await consumer.stop()
            positions, ends = await committed(there)
    assert positions == ends
    parts = {headers["relay.part"]: part for part, headers in found if "relay.part" in headers}
    assert b"".join(parts[f"{number}/{len(parts)}"] for number in range(1, len(parts) + 1)) == value
    assert small in [part for part, headers in found if "relay.part" not in headers]


async def test_a_destination_that_cannot_be_one_leaves_nothing_running(kafka, prefix, monkeypatch):
    """Other services of the process may take half a minute to stop; meanwhile a consumer that is none told that it is active."""
    async with world(kafka, prefix, monkeypatch) as there:
        there.azure = SimpleNamespace(endpoint="https://example.com", rule_id=there.azure.rule_id)
        running = Running(there.settings(), there.connection)
        with pytest.raises(RelayError, match="no host of Azure Monitor"):
            await running.task
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"status board", "beat of the consumer"}


async def test_a_flood_of_garbage_drowns_nobody(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there, there.consuming() as consumer:
        await there.publish(some_events(20))
        await there.flood(2000)
        await there.publish(some_events(20, first=100))
        await there.arrive()
        await until(lambda: letters(consumer) == 2000)
        assert len(await there.dead_letters()) == 2000


async def test_passing_faults_cost_time_alone(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        azure = there.azure
        for fault in (
            azure_faults.throttled(0.2),
            azure_faults.unauthorized(),
            azure_faults.gateway_page(502),
            faults.reset(),
        ):
            azure.fault(fault)
        async with there.consuming() as consumer:
            await there.publish(some_events(200))
            await there.arrive()
            assert consumer.metric("jira_relay_destination_retries_total", why="retry") >= 3

        assert azure.duplicates() == {}
        assert await there.dead_letters() == []


async def test_a_request_whose_answer_was_lost_is_repeated_and_can_be_told(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        there.azure.fault(faults.reset(effective=True))
        await there.publish(some_events(20, organizations=1))
        async with there.consuming():
            await there.arrive()
            await there.azure.until(lambda: there.azure.accepted() > 20)
        assert set(uids(there.azure)) == set(map(uid, there.published))
        assert set(there.azure.duplicates()) <= set(map(uid, there.published))


async def test_a_poison_row_is_refused_alone(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(300))
        bad = [there.published[number] for number in (17, 18, 200)]
        for each in bad:
            there.azure.poison(uid(each))
        async with there.consuming() as consumer:
            await there.arrive(297)
            await there.publish(some_events(5, first=1000))
            await there.arrive(302)
            await until(lambda: letters(consumer, "refused") == 3)
        found = await there.dead_letters()

        assert uids(there.azure) == sorted(uid(each) for each in there.published if each not in bad)
        assert {headers["relay.status"] for _, headers in found} == {"400"}
        assert all("InvalidData" in headers["relay.reason"] for _, headers in found)
        assert len(found) == 3
        positions, ends = await committed(there)
        assert positions == ends


async def test_a_broken_rule_dead_letters_nothing(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        broken = there.azure.fault(azure_faults.broken_rule(), rate=1)
        await there.publish(some_events(300))
        async with there.consuming() as consumer:
            await until(lambda: any("deploy/azure" in each for each in consumer.health.problems()))
            await there.publish(some_events(50, first=1000))
            await until(lambda: broken.played > 20)
            broken.cancel()
            await there.arrive()
            await until(consumer.ready)

        assert uids(there.azure) == sorted(map(uid, there.published))
        assert await there.dead_letters() == []


async def test_a_missing_role_pauses_says_what_to_do_and_heals_by_itself(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        publishers = set(there.azure.identity.publishers)
        there.azure.identity.publishers.clear()
        await there.publish(some_events(100))
        async with there.consuming() as consumer:
            await until(lambda: any("Monitoring Metrics" in each for each in consumer.health.problems()))
            await until(lambda: consumer.metric("jira_relay_destination_paused") == 1)
            there.azure.identity.publishers |= publishers
            await there.arrive()
            await until(consumer.ready)
            assert consumer.metric("jira_relay_destination_paused") == 0
        assert there.azure.duplicates() == {}
        assert await there.dead_letters() == []


async def test_history_never_delays_live(kafka, prefix, monkeypatch):
    """A backfill that hangs leaves the live flow alone."""
    async with world(kafka, prefix, monkeypatch) as there:
        there.azure.fault(faults.hang(3), rate=1, only=lambda request: "History" in request.path)
        await there.publish(some_events(500, mode="backfill"), there.topics.backfill)
        async with there.consuming():
            await until(lambda: any("History" in call.stream for call in there.azure.calls))
            await there.publish(some_events(50))
            await there.arrive(seconds=2.5)
            there.azure.clear_faults()


async def test_a_stop_waits_for_what_is_under_way_and_no_longer(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        there.azure.fault(faults.delayed(1.0))
        await there.publish(some_events(20, organizations=1))
        async with there.consuming() as consumer:
            await until(lambda: there.azure.calls)
            assert await consumer.stop() < 5
        found, ends = await committed(there)
        assert there.azure.accepted() == 20
        assert found == ends


async def test_a_stop_while_kafka_hangs_is_heard_at_once(kafka, prefix, monkeypatch):
    """Also before anything has begun: nobody waits until Kafka is given up, and nothing has failed."""
    async with world(kafka, prefix, monkeypatch) as there:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
            hanging = Connection(there.connection.kafka.model_copy(update={"bootstrap": bootstrap}))
            running = Running(there.settings(), hanging)
            await asyncio.sleep(1)
            assert not running.task.done()
            assert await running.stop() < 2


async def test_the_status_tells_state_lag_counts_and_offsets(kafka, prefix, monkeypatch):
    async with world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(100))
        async with there.consuming():
            await there.arrive()
            status = await until_told(there, lambda each: each.lag == 0 and each.state == "active")
            assert sum(count.events for count in status.counts) == 100
            assert {(each.topic, each.partition) for each in status.offsets} == {
                (topic, number)
                for topic in (there.topics.events, there.topics.backfill)
                for number in range(SHARDS)
            }


async def test_events_wait_for_a_schema_that_cannot_be_looked_up(kafka, prefix, monkeypatch):
    """Messages of a registry arrive, and none is set: nothing is dropped, and the operator is told."""
    async with world(kafka, prefix, monkeypatch) as there:
        of_registry = Encoder(AUDIT_EVENT, SchemaId(5))
        each = event(1)
        await there.put(of_registry.encode(each), timestamp=each["collected"])
        async with there.consuming() as consumer:
            await until(lambda: any("schema_registry.url" in fault for fault in consumer.health.problems()))
        assert await there.dead_letters() == []
        assert there.azure.accepted() == 0


async def test_a_slow_destination_bounds_what_is_read(kafka, prefix, monkeypatch):
    """While Azure does not answer, only so much is taken from Kafka, and the membership lives on."""
    async with world(kafka, prefix, monkeypatch) as there:
        hanging = there.azure.fault(faults.hang(3), rate=1)
        large = some_events(6000, description="x" * 10_000)
        for start in range(0, len(large), 500):
            await there.publish(large[start : start + 500], size=50)
        async with there.consuming(start="earliest") as consumer:
            await until(lambda: len(there.azure.calls) >= 6)
            await asyncio.sleep(3)
            assert consumer.metric("jira_relay_events_accepted_total") == 0
            hanging.cancel()
            there.azure.clear_faults()
            await there.arrive(seconds=60)
        assert set(uids(there.azure)) == set(map(uid, there.published))


async def test_a_kafka_that_is_killed_and_comes_back_costs_nothing(tmp_path, prefix, monkeypatch):
    """Meanwhile the health page says that nothing is heard of it."""
    async with EmbeddedKafka(tmp_path) as kafka, world(kafka, prefix, monkeypatch) as there:
        async with there.consuming() as consumer:
            await there.publish(some_events(200))
            await there.arrive(100)
            kafka.kill()
            await kafka.wait_for_exit()
            await until(lambda: any("Kafka" in fault for fault in consumer.health.problems()))
            await kafka.start()
            await there.close()
            await there.publish(some_events(200, first=1000))
            await there.arrive(seconds=60)
            await until(consumer.ready)
        assert uids(there.azure) == sorted(map(uid, there.published))
        assert await there.dead_letters() == []
