"""Whole ways from a topic of a real Kafka to the rows of simulated Azure."""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from consumer.assignment.handler import AssignmentHandler
from consumer.timing import AssignmentTiming, BackoffCurve, BreakerTiming, ConsumerTiming, ReporterTiming
from embedded import EmbeddedKafka
from relay.errors import RelayError
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.connection import Connection
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.faults import Fault
from tests.support.expected_rows import expected
from tests.support.pipeline_world import (
    HISTORY,
    SHARDS,
    committed_and_ends,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)
from tests.support.running_consumer import RunningConsumer, with_limits

ITEM = {"id": "7", "name": "Zoë", "typeName": "USER", "parentId": None, "parentName": None}
CHANGE = {"fieldName": "Email", "changedFrom": None, "changedTo": "z@example.com"}
FULL = {"objectItem": ITEM, "changedValues": [CHANGE], "associatedItems": [ITEM, ITEM], "unmodeled": "{}"}


async def test_every_event_arrives_once_in_its_table_field_by_field(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        live = some_events(250, **FULL)
        history = some_events(120, first=1000, mode="backfill")
        await world.publish(live)
        await world.publish(history, world.topics.backfill)
        async with world.consuming():
            await world.wait_for_events()
            await world.wait_for_events(len(history), HISTORY)

        azure = world.azure
        assert uids(azure) == sorted(map(uid, live))
        assert uids(azure, HISTORY) == sorted(map(uid, history))
        rows = {row["EventUid"]: row for row in azure.rows()}
        for each in live:
            stored = {name: value for name, value in rows[uid(each)].items() if value is not None}
            stored.pop("TimeGenerated")
            assert stored == expected(each)
        assert azure.losses == type(azure.losses)()
        assert await world.dead_letters() == []


async def test_a_clean_stop_loses_nothing_and_repeats_nothing(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        for first in range(0, 900, 300):
            async with world.consuming() as consumer:
                await world.publish(some_events(300, first=first))
                await world.wait_for_events(first + 100)
                assert await consumer.stop() < 14
        async with world.consuming():
            await world.wait_for_events()
        found, ends = await committed_and_ends(world)

        assert uids(world.azure) == sorted(map(uid, world.published))
        assert found == ends


async def test_a_killed_process_loses_nothing(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(300))
        process = await world.start_process()
        await world.wait_for_events(100)
        await world.publish(some_events(300, first=300))
        process.kill()
        await process.wait()
        async with world.consuming():
            await world.wait_for_events()
        assert set(uids(world.azure)) == set(map(uid, world.published))


async def test_an_accepted_event_is_not_sent_again_when_its_commit_failed(kafka, prefix, monkeypatch):
    """Kafka takes no offsets for a while, and the membership is lost meanwhile: the process itself knows what it has delivered."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming() as consumer:
        await world.publish(some_events(100))
        await world.wait_for_events()
        with monkeypatch.context() as away:
            away.setattr(BoundedConsumer, "commit", refuse_commit)
            await world.publish(some_events(200, first=1000))
            await world.wait_for_events()
            lost = lose_every_membership(away)
            await wait_until(lambda: len(lost) == 2)
            await wait_until(lambda: not consumer.ready())
        await wait_until(consumer.ready)
        await world.publish(some_events(100, first=2000))
        await world.wait_for_events()
        assert world.azure.duplicates() == {}
        assert uids(world.azure) == sorted(map(uid, world.published))


async def refuse_commit(_positions, _offsets):
    raise KafkaError("the coordinator is away")


def lose_every_membership(monkeypatch):
    """Once; returns those that have lost theirs."""
    lost, records = [], AssignmentHandler.records

    async def losing(handler, batches):
        if handler not in lost:
            lost.append(handler)
            raise KafkaError("the membership is lost")
        await records(handler, batches)

    monkeypatch.setattr(AssignmentHandler, "records", losing)
    return lost


async def test_offsets_are_committed_as_soon_as_rows_are_accepted(kafka, prefix, monkeypatch):
    """Whatever is accepted and not committed comes again after a kill."""
    timing = ConsumerTiming(assignment=AssignmentTiming(idle_commit_interval_seconds=3600))
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=timing):
        for first in (0, 1000):
            await world.publish(some_events(50, organizations=1, first=first))
            await world.wait_for_events()
            last = (await world.records(world.topics.events))[-1]
            async with asyncio.timeout(60):
                while (
                    (await committed_and_ends(world))[0][TopicPartition(last.topic, last.partition)] or 0
                ) <= last.offset:
                    await asyncio.sleep(0.1)


async def test_partitions_move_without_a_repeat(kafka, prefix, monkeypatch):
    """Consumers come and go while events flow; what is under way when partitions are taken away is waited for."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming():
        await _come_and_go(world)
        assert world.azure.duplicates() == {}


async def test_partitions_move_without_a_repeat_while_the_destination_throttles(kafka, prefix, monkeypatch):
    """Some bodies are throttled again and again while those behind them are accepted; these are never sent again."""
    options = {
        "timing": ConsumerTiming(breaker=BreakerTiming(retry=BackoffCurve(0.02, 0.1))),
        "kinds": {"sentinel": with_limits(max_bytes=3000)},
    }
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(**options):
        world.azure.fault(azure_faults.throttled(), rate=0.6)
        await _come_and_go(world)
        assert world.azure.duplicates() == {}


async def _come_and_go(world):
    for first in range(0, 1200, 300):
        await world.publish(some_events(300, first=first))
        async with world.consuming() as second:
            await wait_until(second.ready)
            await world.publish(some_events(100, first=10_000 + first))
    await world.wait_for_events()
    assert set(uids(world.azure)) == set(map(uid, world.published))


async def test_a_consumer_without_partitions_waits_for_its_turn(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch, shards=1) as world, world.consuming() as first:
        await wait_until(first.ready)
        async with world.consuming() as second:
            await wait_until(second.ready)
            await world.publish(some_events(30), partitions=1)
            await world.wait_for_events()
            await first.stop()
            await world.publish(some_events(30, first=100), partitions=1)
            await world.wait_for_events()
        assert uids(world.azure) == sorted(map(uid, world.published))


async def test_a_destination_that_cannot_be_one_leaves_nothing_running(kafka, prefix, monkeypatch):
    """Other services of the process may take half a minute to stop; meanwhile a consumer that is none told that it is active."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        world.azure = SimpleNamespace(endpoint="https://example.com", rule_id=world.azure.rule_id)
        running = RunningConsumer(world.settings(), world.connection)
        with pytest.raises(RelayError, match="not a host of Azure Monitor"):
            await running.task
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"status writer", "heartbeat of the consumer"}


async def test_history_never_delays_live(kafka, prefix, monkeypatch):
    """A backfill that hangs leaves the live flow alone."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        release = asyncio.Event()

        async def hold(_request, serve_normally):
            await release.wait()
            return await serve_normally()

        world.azure.fault(Fault("held", hold), rate=1, only=lambda request: "History" in request.path)
        await world.publish(some_events(500, mode="backfill"), world.topics.backfill)
        async with world.consuming():
            await wait_until(lambda: any("History" in call.stream for call in world.azure.calls))
            await world.publish(some_events(50))
            await world.wait_for_events()
            assert uids(world.azure, HISTORY) == []
            release.set()


async def test_a_stop_waits_for_what_is_under_way_and_no_longer(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        world.azure.fault(faults.delayed_response(1.0))
        await world.publish(some_events(20, organizations=1))
        async with world.consuming() as consumer:
            await wait_until(lambda: world.azure.calls)
            assert await consumer.stop() < 14
        found, ends = await committed_and_ends(world)
        assert world.azure.accepted() == 20
        assert found == ends


async def test_a_stop_while_kafka_hangs_is_heard_at_once(kafka, prefix, monkeypatch):
    """Also before anything has begun: nobody waits until Kafka is given up, and nothing has failed."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
            hanging = Connection(world.connection.kafka.model_copy(update={"bootstrap": bootstrap}))
            running = RunningConsumer(world.settings(), hanging)
            await asyncio.sleep(1)
            assert not running.task.done()
            assert await running.stop() < 10


async def test_the_status_tells_state_lag_counts_and_offsets(kafka, prefix, monkeypatch):
    timing = ConsumerTiming(reporter=ReporterTiming(backup_seconds=1))
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        partitions = {
            (topic, number)
            for topic in (world.topics.events, world.topics.backfill)
            for number in range(SHARDS)
        }
        await world.publish(some_events(100))
        async with world.consuming(timing=timing):
            await world.wait_for_events()
            await wait_for_status(
                world,
                lambda each: (
                    (each.lag, each.state) == (0, "active")
                    and {(one.topic, one.partition) for one in each.offsets} == partitions
                ),
            )


async def test_a_kafka_that_is_killed_and_comes_back_costs_nothing(tmp_path, prefix, monkeypatch):
    """Meanwhile the health page says that nothing is heard of it."""
    async with EmbeddedKafka(tmp_path) as kafka, pipeline_world(kafka, prefix, monkeypatch) as world:
        async with world.consuming() as consumer:
            await world.publish(some_events(200))
            await world.wait_for_events(100)
            await wait_until(
                consumer.ready
            )  # a flow that has not begun says that it joins, whatever Kafka does
            kafka.kill()
            await kafka.wait_for_exit()
            await wait_until(lambda: any("Kafka" in fault for fault in consumer.health.problems()))
            await kafka.start()
            await world.close()
            await world.publish(some_events(200, first=1000))
            await world.wait_for_events()
            await wait_until(consumer.ready)
        assert uids(world.azure) == sorted(map(uid, world.published))
        assert await world.dead_letters() == []
