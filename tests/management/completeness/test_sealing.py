"""Days on a real Kafka: counted, sealed in a chain that two sealers cannot fork, exported and verified."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from management.completeness import rounds
from management.completeness.collect import count_days
from management.completeness.commands import export_seals, prove_event, show_calendars, show_counted
from management.completeness.due_days import sealing_days
from management.completeness.progress import ProgressSummary, marks_of
from management.completeness.seal_index import OrganizationSeals
from management.completeness.seal_store import read_chains
from management.completeness.sealing import SealResult, open_sealer
from management.completeness.verifier import verify
from management.organizations.editor import edit_organization
from management.organizations.validation import InputError
from producer.events import UnreadableRecord
from producer.sources.errors import ErrorKind, SourceError, SourceFailure
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.organizations import Organization
from relay.timestamps import DAY_MS, day_of, day_start, now_ms
from tests.support.day_seals import KEY
from tests.support.exports import verified
from tests.support.kafka import connection_to
from tests.support.proof_world import LATE_DAYS, ORGANIZATION, SHARDS, ProofWorld, days_from, some_event

FIRST = day_of(now_ms() - 12 * DAY_MS)
DAYS = days_from(FIRST, 5)
NOON = day_start(FIRST) + 10 * DAY_MS + DAY_MS // 2
"""Two days are over then, and the third one is at midnight."""


@pytest.fixture
async def world(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    return ProofWorld(connection, NOON, FIRST)


def of(result):
    """Return day, edition, state and events of the seals of a result."""
    return [(each["day"], each["edition"], each["state"], each["events"]) for each in result.seals]


async def test_days_are_sealed_in_a_chain_and_verified(world):
    """Days that are over get a seal each, once; a late record gives its day another one, with the reason; all of it is exported.

    A chain that lacks a seal is neither continued nor exported. Records that are no seals stop no chain but that which they name.
    """
    other = "beta.atlassian.net"
    async with RecordWriter(world.connection) as writer:
        for key in (b"x", f"{other} {DAYS[1]} 1".encode()):
            await writer.send(world.topics.seals, key, b"garbage", partition=0)
    await world.publish(*(some_event(DAYS[0], each) for each in (1, 2)), some_event(DAYS[1], 3))
    assert of(await world.seal()) == [
        (DAYS[0], 1, "complete", 2),
        (DAYS[1], 1, "complete", 1),
        (DAYS[2], 1, "complete", 0),
    ]
    await world.publish(some_event(DAYS[0], 9, collected=world.now + 1))
    await world.pass_days(1)
    next_day, late = (await world.seal()).seals
    assert (next_day["day"], late["day"], late["edition"], late["events"]) == (DAYS[3], DAYS[0], 2, 3)
    assert late["reason"] == "The events have changed since edition 1: there were 2, and there are 3."
    assert of(await world.seal()) == []

    uid = f"{ORGANIZATION}/9"
    found = await prove_event(world.context, uid)
    assert (found.reason, found.day, found.seal["edition"]) == (None, DAYS[0], 2)
    with pytest.raises(RelayError, match=f"{other}, {DAYS[1]}: The seal at offset 1 .* cannot be read"):
        await export_seals(world.context, KEY, (), DAYS[0], DAYS[3], [uid])
    data = await export_seals(world.context, KEY, [ORGANIZATION], DAYS[0], DAYS[3], [uid])
    proven = verify(data, [KEY.name])
    assert (proven.days, proven.seals, proven.events) == ({ORGANIZATION: 4}, 5, 1)

    async with RecordWriter(world.connection) as writer:
        await writer.send(world.topics.seals, f"{ORGANIZATION} {DAYS[1]} 1".encode(), None, partition=0)
    broken = await world.seal()
    assert broken.seals == ()
    assert f"{DAYS[1]}: edition 1 of its seal was deleted" in broken.failure
    with pytest.raises(RelayError, match="a chain of seals is broken"):
        await export_seals(world.context, KEY, (), DAYS[0], DAYS[3], ())
    calendar, _ = await show_calendars(world.context, DAYS, LATE_DAYS)
    broken = "broken chain"
    assert [each.word for each in calendar.days] == [broken] * 4 + ["not sealed"]
    assert f"{DAYS[1]}: edition 1 of its seal was deleted" in str(calendar.fault)
    assert "a seal is missing" in str((await prove_event(world.context, uid)).reason)


async def test_a_sealer_that_another_one_fenced_writes_nothing(world):
    """Two sealers at once cannot fork a chain: the later one goes on alone.

    An operator sees its seals, and a fresh count that names what a seal says otherwise; late days are provisional.
    """
    new = Organization(ORGANIZATION, f"https://{ORGANIZATION}", "relay", NOON, NOON, 0)
    await edit_organization(
        world.connection, ORGANIZATION, lambda _: new, action="added", author="test", now_ms=NOON
    )
    await world.publish(some_event(DAYS[0], 1))
    async with open_sealer(world.context, KEY) as first:
        done = await world.seal()
        assert "Another sealer has begun" in (await world.seal_with(first)).failure
    stored = (await read_chains(world.connection))[ORGANIZATION]
    assert (stored.fault, [each.statement for each in stored.seals]) == (None, list(done.seals))

    (calendar,) = await show_calendars(world.context, DAYS, LATE_DAYS)
    assert [each.word for each in calendar.days] == ["complete"] * 3 + ["not collected"] * 2
    await world.publish(some_event(DAYS[0], 2, collected=world.now))
    shown = await show_counted(world.context, ORGANIZATION, DAYS, None, LATE_DAYS)
    assert [each.state for each in shown] == ["unproven"] * 3 + ["provisional"] * 2
    assert any("there were 1, and there are 2" in each for each in shown[0].findings)
    assert of(await world.seal(DAYS[1])) == [(DAYS[0], 2, "complete", 2)]
    assert of(await world.seal(DAYS[1])) == []
    with pytest.raises(InputError, match="has no seal yet"):
        await world.seal(DAYS[4])


async def test_wrong_clocks_hide_no_event(world):
    """The relay's clock was three days behind, then three hours at midnight, and that of the first sealer as far ahead.

    Only the days that are counted are held.
    """
    hours = 3 * 3_600_000
    await world.publish(some_event(DAYS[0], 4, collected=day_start(DAYS[0]) - 24 * hours))
    await world.publish(some_event(DAYS[0], 1, collected=day_start(DAYS[0]) - hours), some_event(DAYS[1], 2))
    assert of(await world.seal())[:2] == [(DAYS[0], 1, "complete", 2), (DAYS[1], 1, "complete", 1)]
    await world.publish(some_event(DAYS[0], 9, collected=world.now - hours))
    await world.pass_days(1)
    assert of(await world.seal()) == [(DAYS[3], 1, "complete", 0), (DAYS[0], 2, "complete", 3)]
    counted = await count_days(world.context, ORGANIZATION, [DAYS[0]], None)
    assert set(counted.passed) == {DAYS[1]}


async def test_a_clock_that_was_a_year_ahead_stops_no_sealing(world):
    """The days that it has sealed lie in the future. The present ones are sealed in their order, and the export names the others."""
    await world.publish(some_event(DAYS[0], 1))
    now, checkpoint = world.now, world.checkpoint
    world.checkpoint = replace(checkpoint, live_since=now + 390 * DAY_MS)
    await world.pass_days(400)
    future = [each["day"] for each in (await world.seal()).seals]
    assert (len(future), future[-1]) == (3, day_of(now + 392 * DAY_MS))
    world.now, world.checkpoint = now, checkpoint
    await world.publish()
    assert of(await world.seal()) == [
        (DAYS[0], 1, "complete", 1),
        (DAYS[1], 1, "complete", 0),
        (DAYS[2], 1, "complete", 0),
    ]
    await world.pass_days(1)
    assert of(await world.seal()) == [(DAYS[3], 1, "complete", 0)]
    present = verified(await export_seals(world.context, KEY, (), DAYS[0], DAYS[4], ()), KEY.name)
    assert present.days[ORGANIZATION] == 4 + len(future)
    whole = verified(await export_seals(world.context, KEY, (), DAYS[0], future[-1], ()), KEY.name)
    assert (whole.seals, f"{future[0]}: it was sealed before its end" in str(whole.notes)) == (7, True)


async def test_records_that_are_removed_added_and_altered_are_named(world):
    """In the audit log, and on Kafka; an event of before the organization was added is no difference.

    An audit log that refuses the key leaves each day unproven, and is asked once: it counts failed logins.
    """
    day, before = DAYS[0], day_of(day_start(FIRST) - DAY_MS)
    await world.publish(*(some_event(day, each) for each in (1, 2, 3)))
    await world.publish(some_event(day, 4), recorded=False)
    world.log.events |= {2: some_event(day, 2, summary="Another one"), 5: some_event(day, 5)}
    world.log.events[6] = some_event(before, 6)
    world.log.unreadable = (UnreadableRecord("no id", b"{}"),)
    del world.log.events[3]
    world.days[day].ids.add(7)
    await world.publish()
    counted = await count_days(world.context, ORGANIZATION, [before, day], world.log.source)
    account = counted.days[day].account
    assert account.differences.named() == {
        "missing": (5,),
        "removed": (3,),
        "altered": (2,),
        "deleted": (7,),
        "unrecorded": (4,),
    }
    assert (account.state, account.source.unreadable) == ("differing", 1)
    assert counted.days[before].account.source.uncollected == 1

    world.log.failure = SourceError(SourceFailure(ErrorKind.KEY_REFUSED, "It refused the key."))
    world.log.asked = 0
    refused = (await count_days(world.context, ORGANIZATION, DAYS[:3], world.log.source)).days
    assert [each.account.source.failure for each in refused.values()] == ["It refused the key."] * 3
    assert (refused[DAYS[1]].account.state, world.log.asked) == ("unproven", 1)


def test_a_day_is_due_when_no_record_can_come_late():
    """Neither the clock alone nor the mark of the re-read alone makes a day due."""
    now = day_start(FIRST) + 10 * DAY_MS
    nowhere = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    progress = ProofWorld(nowhere, now, FIRST).checkpoint
    new = OrganizationSeals(ORGANIZATION)
    assert sealing_days(ProgressSummary(), new, now, LATE_DAYS) == []
    assert sealing_days(ProgressSummary(marks_of(progress)), new, now, LATE_DAYS) == DAYS[:3]
    assert sealing_days(ProgressSummary(marks_of(progress)), new, now - 1, LATE_DAYS) == DAYS[:2]
    behind = replace(progress, week_mark=now - 1)
    assert sealing_days(ProgressSummary(marks_of(behind)), new, now, LATE_DAYS) == DAYS[:2]


@pytest.mark.parametrize(
    ("failing", "ended", "sealed"),
    [
        (set(), False, "a b c d e"),
        ({"b", "d"}, False, "a b c d e"),
        ({"b"}, True, "a b"),
        (set("bcd"), False, "a b c d"),
    ],
)
async def test_a_partition_that_fails_holds_up_no_other(monkeypatch, failing, ended, sealed):
    """A round ends when the sealer was fenced, or when Kafka fails for one partition after the other."""

    async def five(_connection):
        return 5

    async def seal_partition(_connection, _sealer, _number, names, *_):
        if failing & {*names}:
            raise RelayError("It failed.")
        return [SealResult(name) for name in names]

    monkeypatch.setattr(rounds, "read_shard_count", five)
    monkeypatch.setattr(rounds, "partition_of", lambda name, _count: "abcde".index(name))
    monkeypatch.setattr(rounds, "_seal_partition", seal_partition)
    nowhere = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    results = await rounds.seal_round(nowhere, SimpleNamespace(ended=ended), list("abcde"), None, None, None)
    assert [each.organization for each in results] == sealed.split()
    assert {each.organization for each in results if each.failure} == set(failing)
    left = 5 - len(results)
    assert not left or f"{left} organizations after it were not sealed." in results[-1].failure


async def test_without_the_topic_the_command_that_makes_it_is_named(kafka, prefix):
    """An installation of an earlier release has no topic of seals."""
    world = ProofWorld(connection_to(kafka, prefix, shards=SHARDS), NOON, FIRST)
    with pytest.raises(RelayError, match=r"without the topic of seals.*topics create"):
        await world.seal()
    with pytest.raises(RelayError, match=r"without the topic of seals.*topics create"):
        await read_chains(world.connection)
