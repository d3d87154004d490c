"""The repair of a day: planned first, started as jobs, recorded in the history of changes."""

import json
from dataclasses import replace

import pytest
from pyroaring import BitMap64

from management.change_history import ChangeHistory
from management.completeness import repair
from management.completeness.counted_day import Counted, CountedDay
from management.completeness.progress import RecordedProgress
from management.completeness.proof import DayAccount, DeliveryDay, KafkaDay, SourceDay
from management.completeness.repair import FOUND_MISSING, RepairContext, plan_repair, run_repair
from management.organizations.editor import edit_organization
from management.replay.jobs import read_replays
from management.settings import load
from management.unreadable_redrive import require_no_other_unreadable
from producer.sources.catalogue import parse_record
from relay.dead_letters.log import open_letter_log
from relay.kafka.topic_admin import create_missing_topics
from relay.timestamps import DAY_MS, day_of, day_start, now_ms
from tests.support.day_seals import keys_of
from tests.support.kafka import connection_to
from tests.support.proof_world import ORGANIZATION, SHARDS, ProofWorld, some_event
from tests.support.settings import SENTINEL
from tests.support.views import organization

DAY = day_of(now_ms() - 3 * DAY_MS)


@pytest.fixture
async def world(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    world = ProofWorld(connection, now_ms(), DAY)
    added = organization(ORGANIZATION, added=day_start(DAY))
    await edit_organization(
        connection, ORGANIZATION, lambda _: added, action="added", author="test", now_ms=world.now
    )
    return world


def context_of(world, **fields):
    return RepairContext(replace(world.context, **fields), parse_record, "Anna (console)", to_live=True)


async def letters_of(world):
    async with open_letter_log(world.connection, ORGANIZATION) as log:
        return [
            (whole.letter.reason, json.loads(whole.content()[0])["id"]) async for whole, _ in log.letters()
        ]


async def test_events_that_kafka_lacks_are_read_again_and_given_to_the_producers(world):
    """A plan writes nothing. Its run writes the records and one job, says who did it, and is not done twice.

    An event whose ledger has it was deleted from its topic: the producers would not publish it again, so no job is planned for it.
    A job that stays open, as for a partition whose batch is corrupt, holds up no other organization.
    """
    await world.publish(some_event(DAY, 1))
    world.log.events |= {each: some_event(DAY, each) for each in (2, 3, 4)}
    ledger = world.days[DAY]
    world.days[DAY] = replace(ledger, ids=ledger.ids | BitMap64([4]))
    await world.publish()
    context = context_of(world)
    plan = await plan_repair(context, ORGANIZATION, DAY, world.log.source)
    step, deleted = plan.steps
    assert (deleted.step, "The events 4 were deleted" in deleted.text) == ("nothing", True)
    assert (plan.state, step.step, set(step.records)) == ("differing", "read again", {2, 3})
    assert await letters_of(world) == []

    (done,) = await run_repair(context, plan)
    assert "publish 2 events that Kafka lacks" in done
    assert sorted(await letters_of(world)) == [(FOUND_MISSING, 2), (FOUND_MISSING, 3)]
    (view,) = (await read_replays(world.connection, world.now)).views
    assert (view.job.content, view.job.organizations, view.job.requested_by) == (
        "unreadable",
        (ORGANIZATION,),
        "Anna (console)",
    )
    history = ChangeHistory(world.connection, now_ms)
    await history.refresh()
    change = next(each for each in history.select() if each.what == "day repaired")
    assert (change.who, json.loads(change.after)) == (
        "Anna (console)",
        {"day": DAY, "replays": [view.job.id]},
    )
    again = await plan_repair(context, ORGANIZATION, DAY, world.log.source)
    assert not again.does_something
    assert f"dead letters of {ORGANIZATION} already" in again.steps[0].text
    await require_no_other_unreadable(world.connection, ["beta.atlassian.net"], world.now)


async def test_a_destination_gets_exactly_the_events_that_it_lacks(world, monkeypatch):
    """What was skipped is replayed by id; what waits, what was deleted and what the audit log lost is explained."""
    await world.publish(*(some_event(DAY, each) for each in (1, 2, 3)))
    kafka = KafkaDay(keys_of(1, 2, 3), ledger=frozenset({1, 2, 3, 9}))
    delivered = DeliveryDay({"accepted": 1, "skipped": 1, "pending": 1}, {"skipped": [2], "pending": [3]})
    account = DayAccount(ORGANIZATION, DAY, SourceDay(keys_of(1, 2)), kafka, {"sentinel": delivered})

    async def count_days(*_):
        return Counted({DAY: CountedDay(account)}, RecordedProgress())

    monkeypatch.setattr(repair, "count_days", count_days)
    context = context_of(world, destinations=load(environ=SENTINEL).destinations)
    plan = await plan_repair(context, ORGANIZATION, DAY, None)
    replay = next(each for each in plan.steps if each.step == "replay")
    assert replay.job.events == (f"{ORGANIZATION}/2",)
    assert (replay.job.destination, replay.job.to_live, replay.job.by) == ("sentinel", True, "created")
    texts = " ".join(each.text for each in plan.steps if each.step == "nothing")
    for expected in ("9 were deleted from their topic", "3 no more", "1 events before it"):
        assert expected in texts
    (done,) = await run_repair(context, plan)
    assert done.startswith("sentinel gets 1 event again (2).")
    (view,) = (await read_replays(world.connection, world.now)).views
    again = await plan_repair(context, ORGANIZATION, DAY, None)
    assert not again.does_something
    assert f"The replay {view.job.id} sends it events of this day already." in " ".join(
        each.text for each in again.steps
    )
