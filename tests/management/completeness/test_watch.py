"""The watch over days on a real Kafka: what differs is shown, sealed days stay whole, and no kill forks a chain."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from management.completeness import collect
from management.completeness.calendar import calendar_of
from management.completeness.findings import STATUS_PREFIX, completeness_findings
from management.completeness.seal_store import read_chains
from management.completeness.seal_view import PATIENT, SealView
from management.completeness.sealing import open_sealer
from management.completeness.watch import DayWatch, run_day_watch
from management.completeness.watch_report import DayWatchTiming, WatchReport
from management.organizations.editor import edit_organization
from producer.events import UnreadableRecord
from producer.state.ledger import record_hash
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, day_of, day_start, now_ms
from tests.support.day_seals import KEY
from tests.support.kafka import connection_to
from tests.support.kafka_log import flip_a_bit
from tests.support.proof_world import LATE_DAYS, ORGANIZATION, SHARDS, ProofWorld, days_from, some_event
from tests.support.views import organization
from tests.support.waiting import wait_until

FIRST = day_of(now_ms() - 12 * DAY_MS)
DAYS = days_from(FIRST, 12)
NOON = day_start(FIRST) + 3 * DAY_MS + DAY_MS // 2
ADDED = {ORGANIZATION: organization(ORGANIZATION, added=day_start(FIRST))}


@pytest.fixture
async def world(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    return ProofWorld(connection, NOON, FIRST)


def watch_of(world, writer=None, registry=None):
    sources = SimpleNamespace(source_for=lambda _: world.log.source)
    parts = (writer, "status", registry or CollectorRegistry(), Health(), DayWatchTiming())
    report = WatchReport(world.context.now_ms, *parts)
    return DayWatch(world.context, KEY, LATE_DAYS, sources, report, DayWatchTiming())


async def words(world):
    view = SealView(world.connection, world.context.now_ms, PATIENT)
    assert (await view.refresh()).failure is None
    found = calendar_of(view.of(ORGANIZATION), ADDED[ORGANIZATION], DAYS, world.now, LATE_DAYS)
    assert found.fault is None
    return [each.word for each in found.days]


async def test_a_difference_is_shown_by_the_round_after_it_arises_and_ends_when_it_is_mended(world):
    """A record that the audit log has and Kafka lacks: its day differs in calendar, metric and status; then it is found late.

    Then the days are sealed, and a record that comes even later gives its day another seal by itself. So does one that a repair
    has the producers publish: the seal names what was mended.
    """
    registry = CollectorRegistry()
    async with open_sealer(world.context, KEY) as sealer:
        watch = watch_of(world, registry=registry)

        def state(word):
            labels = {"organization": ORGANIZATION, "state": word}
            return registry.get_sample_value("jira_relay_proof_organization_state", labels)

        await world.publish(some_event(DAYS[0], 1), some_event(DAYS[1], 2))
        await watch.round(sealer, ADDED)
        assert await words(world) == ["provisional"] * 12
        assert state("complete") == 1

        world.log.events[3] = some_event(DAYS[1], 3)
        world.now += DAY_MS
        await world.pass_days(0)
        await watch.round(sealer, ADDED)
        assert (await words(world))[:3] == ["provisional", "differing", "provisional"]
        status = watch.report.status_writer.last_put(f"{STATUS_PREFIX}{ORGANIZATION}")
        assert f"{DAYS[1]}: The audit log has events that Kafka lacks: 3." in status.reason
        (finding,) = completeness_findings({f"{STATUS_PREFIX}{ORGANIZATION}": status}, world.now)
        assert (finding[2], finding[4].name, state("differing")) == ("differing", ORGANIZATION, 1)

        await world.publish(some_event(DAYS[1], 3, collected=world.now))
        await watch.round(sealer, ADDED)
        assert await words(world) == ["provisional"] * 12
        assert (state("complete"), watch.report.status_writer.last_put(f"{STATUS_PREFIX}{ORGANIZATION}")) == (
            1,
            None,
        )

        await world.pass_days(6)
        (result,) = await watch.round(sealer, ADDED)
        assert [each["day"] for each in result.seals] == list(DAYS[:3])
        await world.publish(some_event(DAYS[0], 9, collected=world.now + 1))
        (result,) = await watch.round(sealer, ADDED)
        assert [(each["day"], each["edition"], each["events"]) for each in result.seals] == [(DAYS[0], 2, 2)]
        (result,) = await watch.round(sealer, ADDED)
        assert not result.seals

        world.log.events[11] = some_event(DAYS[3], 11)
        await world.pass_days(1)
        (result,) = await watch.round(sealer, ADDED)
        assert [(each["day"], each["state"]) for each in result.seals] == [(DAYS[3], "differing")]
        await world.publish(some_event(DAYS[3], 11, collected=world.now))
        (result,) = await watch.round(sealer, ADDED)
        assert [(each["day"], each["edition"], each["reason"]) for each in result.seals] == [
            (
                DAYS[3],
                2,
                "The events have changed since edition 1: there were 0, and there are 1. The state was differing and is complete.",
            )
        ]
        assert (await words(world))[3] == "complete"


async def test_what_changes_behind_the_relay_s_back_is_named_and_nothing_else(kafka, world):
    """An event is removed from the audit log, one is altered there, one is damaged on Kafka's disk, and one is put on the topic;
    a dead letter is gone.

    The next count of the day names each with its id, and no other day.
    """
    await world.publish(*(some_event(DAYS[1], each) for each in (1, 2, 3, 4)), some_event(DAYS[0], 5))
    async with open_sealer(world.context, KEY) as sealer:
        watch = watch_of(world)
        await world.pass_days(0)
        await watch.round(sealer, ADDED)
        assert await words(world) == ["provisional"] * 12

        partition = partition_of(ORGANIZATION, SHARDS)
        flip_a_bit(kafka.directory / f"log/{world.topics.events}-{partition}/{0:020}.log", 0)
        del world.log.events[2]
        world.log.events[3] = some_event(DAYS[1], 3, summary="Another one")
        letters = frozenset({record_hash(UnreadableRecord("", b"gone"))})
        world.days[DAYS[1]] = replace(world.days[DAYS[1]], dead_letters=letters)
        await world.publish(some_event(DAYS[1], 9), listed=False, recorded=False)
        await world.pass_days(1)
        await watch.round(sealer, ADDED)
        assert (await words(world))[:4] == ["provisional", "differing", "provisional", "provisional"]
        reason = watch.report.status_writer.last_put(f"{STATUS_PREFIX}{ORGANIZATION}").reason
        for expected in (
            "The audit log has events that Kafka lacks: 1.",
            "Kafka has events that the audit log lists no more: 2, 9.",
            "The audit log shows other content than Kafka has: 3.",
            "The ledger holds events that their topic lacks: 1.",
            "The topic has events that their ledger lacks: 9.",
            "The ledger names 1 dead letters of a producer that their topic lacks.",
        ):
            assert expected in reason


@pytest.mark.parametrize("cut", ["before", "sent", "committed"])
async def test_a_sealer_that_is_killed_leaves_a_whole_chain(world, monkeypatch, cut):
    """At any place of a transaction: the next one reads what is there, and goes on without a gap, a fork or a repeat."""
    await world.publish(some_event(DAYS[0], 1))
    await world.pass_days(6)
    reached, publish, send = asyncio.Event(), TransactionalProducer.publish, TransactionalProducer._send

    async def stop():
        reached.set()
        await asyncio.Event().wait()

    async def cut_publish(self, records, *more):
        if cut == "before":
            await stop()
        offsets = await publish(self, records, *more)
        await stop()
        return offsets

    async def cut_send(self, records):
        offsets = await send(self, records)
        if cut == "sent":
            await stop()
        return offsets

    with monkeypatch.context() as patch:
        patch.setattr(TransactionalProducer, "publish", cut_publish)
        patch.setattr(TransactionalProducer, "_send", cut_send)
        async with asyncio.timeout(60):
            killed = asyncio.create_task(world.seal())
            await reached.wait()
        killed.cancel()
        await asyncio.wait({killed})
    again = await world.seal()
    assert len(again.seals) == (0 if cut == "committed" else 2)
    chain = (await read_chains(world.connection))[ORGANIZATION]
    assert (chain.fault, [each.statement["day"] for each in chain.seals]) == (None, list(DAYS[:2]))


async def test_many_organizations_are_counted_in_one_pass(world, monkeypatch):
    """Each partition is read once for all of its organizations, and so are dead letters and offsets."""
    await world.publish(some_event(DAYS[0], 1))
    scans, scan = [], collect.scan_topics

    async def counted(*arguments, whole):
        scans.append((set(arguments[4]), whole))
        return await scan(*arguments, whole=whole)

    monkeypatch.setattr(collect, "scan_topics", counted)
    names = [f"site-{number}" for number in range(9)]
    await collect.count_partition(
        world.context, 0, dict.fromkeys(names, DAYS[:3]), lambda _: world.log.source
    )
    assert scans == [({*names}, False)]


async def test_of_two_processes_one_works_until_it_ends(world):
    """The other waits, and takes over; both write their state, and each day is sealed once."""
    await world.publish(some_event(DAYS[0], 1))
    await world.pass_days(6)
    sources = SimpleNamespace(source_for=lambda _: world.log.source)
    stops, registries = [asyncio.Event(), asyncio.Event()], [CollectorRegistry(), CollectorRegistry()]

    def run(number):
        parts = (stops[number], registries[number], Health(), DayWatchTiming(round_seconds=0.2, rest=0))
        return asyncio.create_task(run_day_watch(world.context, KEY, LATE_DAYS, sources, *parts))

    def rounds_of(number):
        return registries[number].get_sample_value("jira_relay_proof_last_round_timestamp_seconds")

    def added(_):
        return ADDED[ORGANIZATION]

    await edit_organization(world.connection, ORGANIZATION, added, action="added", author="test", now_ms=NOON)
    tasks = [run(0)]
    await wait_until(lambda: rounds_of(0), 120)
    tasks.append(run(1))
    stops[0].set()
    await tasks[0]
    await wait_until(lambda: rounds_of(1), 120)
    stops[1].set()
    await tasks[1]
    chain = (await read_chains(world.connection))[ORGANIZATION]
    assert (chain.fault, [each.statement["day"] for each in chain.seals]) == (None, list(DAYS[:2]))
