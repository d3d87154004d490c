"""A destination is away while retention deletes its events: archive and source bring each of them back, for it alone."""

import asyncio
import json
from collections import Counter

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumer.losses.store import LossStore
from consumer.timing import ConsumerTiming, LossTiming, ReplayTiming
from management.lost_ranges import dismiss
from management.replay.jobs import read_replay, submit
from management.replay.lost import plan_lost, plan_refill
from management.replay.request import ReplayRequest
from management.replay.texts import counts_text, result_text
from management.settings import Settings
from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import partition_of
from relay.timestamps import now_ms, parse_iso
from simulators.azure.world import HISTORY, LIVE
from simulators.faults import respond_with
from simulators.jira_cloud.world import JiraWorld
from tests.support.pipeline_world import pipeline_world, uids
from tests.support.producer_world import ProducerWorld
from tests.support.replay_world import ReplayWorld

SHARDS = 2
QUICK = ConsumerTiming(
    replay=ReplayTiming(record_seconds=0.2, watch_seconds=0.1),
    losses=LossTiming(refresh_seconds=1.0, refilled_seconds=0.2),
)
SITES = ("acme", "globex")


@pytest.mark.timeout(600)
async def test_each_event_of_three_days_arrives_once_though_retention_ate_two(
    kafka, prefix, tmp_path, monkeypatch
):
    """Only the archive has the first day whole, and only Jira the second; Kafka still has the third.

    Each number that a command prints is compared with Kafka and with the table. Live events and rows of others stay as they are.
    """
    assert {partition_of(name, SHARDS) for name in SITES} == {0, 1}
    async with pipeline_world(kafka, prefix, monkeypatch, shards=SHARDS) as world, JiraWorld(seed=7) as jira:
        (tmp_path / "lake").mkdir()
        settings = with_archive(world.settings(), tmp_path / "lake")
        monkeypatch.setattr(world, "settings", lambda **_: settings, raising=False)
        producers, days = ProducerWorld(kafka, prefix, tmp_path), Days(world, jira)
        sites = [await jira.add_site(name) for name in SITES]
        for site in sites:
            await producers.add_organization(site)
        async with producers.running():
            before = records(sites, 4)
            async with world.consuming(timing=QUICK):
                await days.arrived(before)
                away = world.azure.fault(respond_with(503), rate=1.0)
                first = records(sites, 5)
                await in_kafka(producers, before + first)
                archived = await days.archived()
            start = await pause_between()
            second = records(sites, 6)
            await in_kafka(producers, before + first + second)
            end = await pause_between()
            deleted = await days.delete_all()
            third = records(sites, 3)
            away.cancel()
            async with world.consuming(timing=QUICK):
                await days.arrived(before + third)
                acme, globex = [await days.lost_range(partition_of(name, SHARDS)) for name in SITES]
                for lost in (acme, globex):
                    assert (lost.stop, lost.lost) == (deleted[lost.partition], lost.stop - lost.start)

                asked = ReplayRequest("sentinel", archive="lake")
                view = await days.play(await plan_lost(*days.plan_for(asked), acme.name, now_ms()))
                missing = acme.stop - archived[acme.partition]
                assert (view.state, view.complete, missing > 6) == ("done", False, True)
                assert counts_text(view) == f"5 sent, {missing} offsets lost"
                assert days.replayed(view) == of("acme", first)
                assert (await days.lost_range(acme.partition)).name == acme.name

                asked = ReplayRequest("sentinel", from_ms=start, to_ms=end, organizations=("acme",))
                view = await days.play(await plan_refill(*days.plan_for(asked), now_ms()))
                assert (view.state, view.complete, counts_text(view)) == ("done", True, "6 sent")
                assert days.replayed(view) == of("acme", second)
                assert world.azure.duplicates() == {}

                planned = await plan_lost(*days.plan_for(ReplayRequest("sentinel")), globex.name, now_ms())
                window = days.created_in("globex", planned.request.from_ms, planned.request.to_ms)
                view = await days.play(planned)
                assert (view.state, view.complete) == ("done", True)
                assert f"{len(window)} sent, in" in result_text(view)
                assert days.replayed(view) == Counter(window)
                assert set(window) >= set(of("globex", first + second))
                change = await days.wait_for_change("loss brought back")
                assert (change["before"]["start"], change["after"]["replay"]) == (globex.start, view.job.id)
                assert change["after"]["sent"] == len(window)

                await dismiss(world.connection, settings.destinations, "sentinel", acme.name, "ann", now_ms())
                await days.no_range_is_left()
        assert Counter(uids(world.azure, LIVE)) == Counter(before + third)
        history = Counter(uids(world.azure, HISTORY))
        assert history == of("acme", first + second) + Counter(window)
        assert set(history) | set(uids(world.azure, LIVE)) == set(before + first + second + third)


class Days:
    """The topics, the table and the replays of the history."""

    def __init__(self, world, jira):
        self.world, self.jira = world, jira
        self.replays = ReplayWorld(world)
        self.partitions = [TopicPartition(world.topics.events, number) for number in range(SHARDS)]

    def plan_for(self, asked):
        return self.world.connection, self.world.settings().destinations, asked

    async def play(self, planned):
        """Start a replay as the command does; return how it ended."""
        job = planned.job("ann", now_ms())
        assert await submit(self.world.connection, job) is None
        await self.replays.done(job.id, 180)
        return await read_replay(self.world.connection, job.id, now_ms())

    def replayed(self, view):
        rows = self.replays.replayed(view.job.id)
        assert {row["EventMode"] for row in rows} == {"replay"}
        return Counter(row["EventUid"] for row in rows)

    def created_in(self, name, start, end):
        """Return the records of a site that were created in a window, as Jira has them."""
        (truth,) = (found for site, found in self.jira.truth().items() if site == name)
        return [f"{name}/{each['id']}" for each in truth if start <= parse_iso(each["created"]).ms < end]

    async def arrived(self, wanted):
        await self.world.azure.wait_until(lambda: set(uids(self.world.azure, LIVE)) >= set(wanted), 120)

    async def archived(self):
        """Wait until the archive has all of the topic; return up to which offset, by partition."""
        async with asyncio.timeout(120):
            while True:
                group = f"{self.world.topics.prefix}.lake"
                async with standalone_consumer(self.world.connection, group_id=group) as consumer:
                    committed = {tp.partition: await consumer.committed(tp) for tp in self.partitions}
                    bounds = await stable_bounds(consumer, self.partitions)
                if committed == {tp.partition: each.last_stable_offset for tp, each in bounds.items()}:
                    return committed
                await asyncio.sleep(0.2)

    async def delete_all(self):
        """Delete all live events, as retention does; return the end of each partition."""
        async with standalone_consumer(self.world.connection) as consumer:
            bounds = await stable_bounds(consumer, self.partitions)
        ends = {tp: each.last_stable_offset for tp, each in bounds.items()}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.world.connection.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({tp: RecordsToDelete(before_offset=end) for tp, end in ends.items()})
        finally:
            await admin.close()
        return {tp.partition: end for tp, end in ends.items()}

    async def lost_ranges(self):
        async with RecordWriter(self.world.connection) as writer:
            store = LossStore(self.world.connection, self.world.topics.destinations, writer)
            return list((await store.read("sentinel")).ranges.values())

    async def no_range_is_left(self):
        """Wait until the list is empty: a range is taken off after its change is recorded."""
        async with asyncio.timeout(90):
            while await self.lost_ranges():
                await asyncio.sleep(0.2)

    async def lost_range(self, partition):
        """Return the lost range of a partition, once it has a date."""
        async with asyncio.timeout(90):
            while True:
                for each in await self.lost_ranges():
                    if each.partition == partition and each.collected_until is not None:
                        return each
                await asyncio.sleep(0.2)

    async def wait_for_change(self, what):
        """Return the only change of this kind, once it is there."""
        async with asyncio.timeout(90):
            while True:
                codec = InternalCodec("change")
                changes = [
                    codec.decode(each.value) for each in await self.world.records(self.world.topics.changes)
                ]
                found = [each for each in changes if each["what"] == what]
                if found:
                    (change,) = found
                    return {**change, **{name: json.loads(change[name]) for name in ("before", "after")}}
                await asyncio.sleep(0.2)


def with_archive(base, directory):
    """Return the settings with an object store beside Sentinel."""
    lake = {"kind": "object-store", "location": f"file://{directory}", "window_seconds": 1}
    destinations = {**base.model_dump(mode="json")["destinations"], "lake": lake}
    return Settings.model_validate(
        {"kafka": base.kafka, "consumer": base.consumer, "destinations": destinations}
    )


def records(sites, count):
    """Add records to each site; return their uids."""
    return [f"{site.name}/{record['id']}" for site in sites for record in site.add_records(count)]


def of(name, wanted):
    return Counter(each for each in wanted if each.startswith(f"{name}/"))


async def pause_between():
    """Return an instant that no record has."""
    await asyncio.sleep(0.05)
    found = now_ms()
    await asyncio.sleep(0.05)
    return found


async def in_kafka(producers, wanted):
    async with asyncio.timeout(90):
        while len(await producers.read_events()) < len(wanted):
            await asyncio.sleep(0.2)
