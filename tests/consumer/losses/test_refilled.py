"""Lost ranges that a replay has brought back leave the list, with an entry in the history of changes."""

from dataclasses import replace

import pytest

from consumer.losses.loss_log import LossLog
from consumer.losses.lost_range import LostRange
from consumer.losses.refilled import RefilledRanges, brought_back
from consumer.losses.store import StoredLosses
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from relay.replays.job import KnownReplay, ReplayLost, ReplayProgress
from relay.replays.refill import RefillProgress, UnreadRange
from tests.support.replays import replay_job

NOW = 1_796_100_000_000
LOST = LostRange("sentinel", "audit.events", 3, 100, 150, 40, 5, 9, NOW - 1_000)
JOB = replay_job(archive="lake", lost=ReplayLost("audit.events", 3, 100, 150, NOW - 1_000))
DONE = ReplayProgress(JOB.id, "done", NOW, NOW, "host-1", NOW, sent=38)
REFILL = replace(JOB, archive=None, content="refill", organizations=("acme", "globex"))
READ = RefillProgress(JOB.id, "acme", "done", NOW, NOW)


def refilled(**reports):
    return KnownReplay(REFILL, DONE, {name: each.to_value() for name, each in reports.items()})


def test_a_replay_that_has_all_of_it_brings_a_range_back():
    assert brought_back(LOST, [KnownReplay(JOB), KnownReplay(JOB, DONE)]) == KnownReplay(JOB, DONE)
    whole = refilled(acme=READ, globex=replace(READ, unreadable=2))
    assert brought_back(LOST, [whole]) == whole


@pytest.mark.parametrize(
    ("job", "progress", "lost"),
    [
        (replace(JOB, lost=None), DONE, LOST),
        (replace(JOB, destination="soc"), DONE, LOST),
        (replace(JOB, where="id = 1"), DONE, LOST),
        (JOB, replace(DONE, state="cancelled"), LOST),
        (JOB, replace(DONE, state="failed"), LOST),
        (JOB, replace(DONE, state="running"), LOST),
        (JOB, replace(DONE, lost=1), LOST),
        (JOB, DONE, replace(LOST, stop=151)),
        (JOB, DONE, replace(LOST, start=99)),
        (JOB, DONE, replace(LOST, partition=4)),
        (JOB, DONE, replace(LOST, at=NOW)),
    ],
    ids=[
        *("of a window", "of another destination", "with a condition", "cancelled", "failed", "running"),
        *("without all offsets", "became longer", "another range", "another partition", "of a later log"),
    ],
)
def test_a_range_of_which_something_may_be_missing_stays(job, progress, lost):
    assert brought_back(lost, [KnownReplay(job, progress)]) is None


@pytest.mark.parametrize(
    "reports",
    [
        {"acme": READ},
        {"acme": READ, "globex": replace(READ, state="running")},
        {"acme": READ, "globex": replace(READ, unread=(UnreadRange(1, 2),))},
    ],
    ids=["no report", "not read", "with records that the source failed to serve"],
)
def test_a_refill_brings_nothing_back_before_each_organization_is_read_whole(reports):
    assert brought_back(LOST, [refilled(**reports)]) is None


def test_a_report_of_a_later_release_is_no_proof():
    known = refilled(acme=READ, globex=READ)
    assert brought_back(LOST, [replace(known, producers={**known.producers, "globex": b"?"})]) is None


class World:
    """The topics of destinations, replays and changes."""

    def __init__(self):
        self.stored = {LOST.key: LOST}
        self.changes = []
        self.refusal = None
        self.owns = True
        self.losses = LossLog("sentinel", self, clock_ms=lambda: LOST.at)
        self.refilled = RefilledRanges(
            lambda: self.losses.recorded,
            self.losses.delete,
            self.replays,
            self.record,
            lambda: self.owns,
            clock_ms=lambda: NOW,
        )

    async def read(self, _destination):
        return StoredLosses(dict(self.stored))

    async def write(self, lost):
        self.stored[lost.key] = lost

    async def delete(self, lost):
        del self.stored[lost.key]

    async def replays(self):
        return {JOB.id: KnownReplay(JOB, DONE)}

    async def record(self, change):
        if self.refusal is not None:
            raise self.refusal
        self.changes.append(change)


async def test_a_range_is_taken_off_once_and_the_change_names_the_replay():
    world = World()
    await world.losses.refresh()
    await world.refilled.look()
    await world.refilled.look()
    (change,) = world.changes
    assert (change.destination, change.who, change.what) == (
        "sentinel",
        JOB.requested_by,
        "loss brought back",
    )
    assert (change.before["start"], change.after["replay"], change.after["sent"]) == (100, JOB.id, 38)
    assert (world.stored, world.losses.ranges, world.losses.text) == ({}, [], None)


async def test_another_process_leaves_it_to_the_owner_of_the_replays():
    world = World()
    world.owns = False
    await world.losses.refresh()
    await world.refilled.look()
    assert (world.changes, len(world.stored)) == ([], 1)


async def test_a_range_that_is_dated_meanwhile_is_taken_off_with_one_change():
    """Its first later record has arrived, and the date is not on the topic yet; a longer range is another one, and stays."""
    world = World()
    world.stored = {LOST.key: replace(LOST, collected_until=None)}
    await world.losses.note(TopicPartition(LOST.topic, LOST.partition), (LOST.start, LOST.stop), 40, 5)
    world.losses.record_arrived(TopicPartition(LOST.topic, LOST.partition), 9)
    await world.refilled.look()
    await world.losses.refresh()
    assert (len(world.changes), world.stored) == (1, {})
    world.stored = {LOST.key: LOST}
    await world.losses.refresh()
    await world.losses.delete(replace(LOST, stop=120))
    assert world.stored == {LOST.key: LOST}


async def test_without_the_right_to_record_the_change_it_stays():
    world = World()
    world.refusal = TopicWriteError("TopicAuthorizationFailed")
    await world.losses.refresh()
    await world.refilled.look()
    assert len(world.stored) == 1
    world.refusal = None
    await world.refilled.look()
    assert (len(world.changes), world.stored) == (1, {})
