import asyncio
from types import SimpleNamespace

import pytest
import structlog
from aiokafka.errors import IllegalStateError

from producer.sharding.assignment import ShardAssignment
from producer.sharding.shard import ShardTiming
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.fetch_validation import CorruptBatch
from relay.kafka.topics import partition_of
from relay.organizations import Organization, OrganizationCodec

COUNT = 4
ACME = partition_of("acme", COUNT)


class FakeShard:
    timing = ShardTiming()

    def __init__(self, number):
        self.number = number
        self.ready = True
        self.organization_sets = []
        self.started = self.closed = False
        self.reloads = self.retentions = self.discards = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    async def run(self):
        self.started = True

    def discard_pending_status(self):
        self.discards += 1

    def retained(self):
        self.retentions += 1

    def set_organizations(self, organizations):
        self.organization_sets.append(set(organizations))

    def reload(self):
        self.reloads += 1

    async def close(self):
        await self.may_close.wait()
        self.closed = True


class FakePositions:
    """`ends` and `positions` are by partition; `error` is raised once; a partition in `leaderless` has no answer."""

    def __init__(self):
        self.ends = {}
        self.positions = {}
        self.error = None
        self.leaderless = set()
        self.log_starts = {}
        self.corrupt = {}
        self.paused = set()

    async def first_offsets(self, partitions):
        return {tp: self.log_starts.get(tp.partition, 0) for tp in partitions}

    def corrupt_batch(self, tp):
        return self.corrupt.pop(tp.partition, None)

    def pause(self, partitions):
        self.paused |= {tp.partition for tp in partitions}

    def resume(self, partitions):
        self.paused -= {tp.partition for tp in partitions}

    def seek(self, tp, offset):
        self.positions[tp.partition] = offset

    async def end_offsets(self, partitions):
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.leaderless & {tp.partition for tp in partitions}:
            raise TimeoutError
        return {tp: self.ends.get(tp.partition, 0) for tp in partitions}

    async def position(self, tp):
        return self.positions[tp.partition]


class AssignmentHarness:
    def __init__(self, **options):
        self.opened_shards = []
        self.positions = FakePositions()
        self.assignment = ShardAssignment(COUNT, self.open, **options)

    def open(self, number):
        self.opened_shards.append(FakeShard(number))
        return self.opened_shards[-1]

    def assign(self, *numbers):
        self.assignment.assigned(
            self.positions, {TopicPartition("organizations", number) for number in numbers}
        )

    async def read(self, *records):
        batches = {}
        for record in records:
            batches.setdefault(TopicPartition("organizations", record.partition), []).append(record)
            self.positions.positions[record.partition] = record.offset + 1
        await self.assignment.records(batches)


def record(name, offset, *, value=..., partition=None):
    if value is ...:
        value = OrganizationCodec().encode(Organization(name, f"https://{name}.example", "u", 0, 0, 1))
    number = partition_of(name, COUNT) if partition is None else partition
    return SimpleNamespace(key=name.encode(), value=value, partition=number, offset=offset)


def names_in(number, count):
    found = (f"org{index}" for index in range(1_000))
    return [name for name in found if partition_of(name, COUNT) == number][:count]


async def test_a_shard_gets_its_organizations_after_the_whole_partition_is_read():
    """A deletion may follow on the log, so earlier records wait."""
    harness = AssignmentHarness()
    harness.positions.ends[ACME] = 2
    harness.assign(ACME)
    await harness.read(record("acme", 0))
    assert harness.opened_shards[0].started
    assert harness.opened_shards[0].organization_sets == []
    await harness.read(record("acme", 1, value=None))

    assert harness.opened_shards[0].organization_sets == [set()]


async def test_changes_are_passed_on_as_they_come():
    """After the end of the partition, each change reaches the shard at once, and only changes do."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.assign(0)
    await harness.read()
    await harness.read()
    await harness.read(record(first, 0))
    await harness.read(record(second, 1))
    await harness.read(record(first, 2, value=None))

    assert harness.opened_shards[0].organization_sets == [set(), {first}, {first, second}, {second}]


async def test_a_kept_shard_continues_until_its_partition_is_read_again():
    """A rebalance reads from the start and never passes on a partial table."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.positions.ends[0] = 2
    harness.assign(0)
    await harness.read(record(first, 0), record(second, 1))
    harness.assign(0, 1)
    await harness.read(record(first, 0))
    assert harness.opened_shards[0].organization_sets == [{first, second}]
    await harness.read(record(second, 1))

    assert harness.opened_shards[0].organization_sets == [{first, second}, {first, second}]
    assert [(shard.number, shard.retentions) for shard in harness.opened_shards] == [(0, 1), (1, 0)]
    assert not harness.opened_shards[0].closed


async def test_records_of_an_older_assignment_do_not_count():
    """A rebalance during the search for the end leaves no half-read partition."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.positions.ends[0] = 2
    harness.assign(0)

    async def rebalanced(_partitions, end_offsets=harness.positions.end_offsets):
        harness.positions.end_offsets = end_offsets
        harness.assign(0)
        harness.positions.positions[0] = 2
        return {TopicPartition("organizations", 0): 0}

    harness.positions.end_offsets = rebalanced
    await harness.read(record(first, 0))
    assert harness.opened_shards[0].organization_sets == []
    harness.positions.positions[0] = 0
    await harness.read(record(first, 0), record(second, 1))

    assert harness.opened_shards[0].organization_sets == [{first, second}]


@pytest.mark.parametrize("error", [IllegalStateError("not assigned"), TimeoutError()], ids=type)
async def test_a_rebalance_during_a_call_ends_no_membership(error):
    """A missing end is looked up again, and records read meanwhile are kept."""
    harness = AssignmentHarness()
    harness.positions.ends[ACME] = 1
    harness.positions.error = error
    harness.assign(ACME)
    await harness.read(record("acme", 0))
    await harness.read()

    assert harness.opened_shards[0].organization_sets == [{"acme"}]


async def test_a_partition_without_a_leader_delays_no_other():
    """Its end is not available; its organizations follow once it is."""
    harness = AssignmentHarness()
    harness.positions.leaderless.add(1)
    harness.assign(0, 1)
    (zero,), (one,) = names_in(0, 1), names_in(1, 1)
    await harness.read(record(zero, 0))
    shards = {shard.number: shard for shard in harness.opened_shards}
    assert (shards[0].organization_sets, shards[1].organization_sets) == ([{zero}], [])
    harness.positions.leaderless.clear()
    await harness.read(record(one, 0))

    assert shards[1].organization_sets == [{one}]


async def test_a_lost_shard_is_closed_and_a_new_one_opened():
    """After a rebalance exactly the assigned shards are open; a lost one publishes no status."""
    harness = AssignmentHarness()
    harness.assign(0, 1)
    harness.assign(1, 2)
    assert [shard.discards for shard in sorted(harness.opened_shards, key=lambda one: one.number)] == [
        1,
        0,
        0,
    ]
    await harness.assignment.closed()

    assert [
        (shard.number, shard.closed) for shard in sorted(harness.opened_shards, key=lambda one: one.number)
    ] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert harness.assignment.numbers == []
    assert not harness.assignment.ready


async def test_a_regained_shard_keeps_its_status_when_the_former_instance_closes():
    """A shard may return while its former instance still closes."""
    harness = AssignmentHarness()
    harness.assign(0, 1)
    for shard in harness.opened_shards:
        shard.may_close.clear()
    harness.assign()
    harness.assign(0)
    for shard in harness.opened_shards:
        shard.may_close.set()
    await asyncio.sleep(0.01)

    assert [
        (one.number, one.closed, one.discards)
        for one in sorted(harness.opened_shards, key=lambda one: one.number)
    ] == [
        (0, True, 1),
        (0, False, 0),
        (1, True, 2),
    ]


async def test_without_fencing_each_rebalance_closes_every_shard():
    """Kafka cannot refuse a former owner there."""
    fenced, unfenced = AssignmentHarness(), AssignmentHarness(fencing=False)
    for harness in (fenced, unfenced):
        harness.assign(0)
        await harness.assignment.revoked({TopicPartition("organizations", 0)})

    assert not fenced.opened_shards[0].closed
    assert unfenced.opened_shards[0].closed


@pytest.mark.parametrize(
    "bad",
    [
        record("acme", 0, partition=(ACME + 1) % COUNT),
        record("acme", 0, value=OrganizationCodec().encode(Organization("globex", "u", "u", 0, 0, 1))),
        record("acme", 0, value=b"garbage"),
        record("", 0, partition=ACME),
    ],
    ids=["foreign partition", "another name", "garbage", "no key"],
)
async def test_an_unreadable_organization_is_skipped_and_logged(bad):
    """The other organizations are followed."""
    harness = AssignmentHarness()
    harness.assign(*range(COUNT))
    with structlog.testing.capture_logs() as logs:
        await harness.read(bad)
    good = names_in(bad.partition, 1)[0]
    await harness.read(record(good, 1))

    assert [entry["log_level"] for entry in logs] == ["error"]
    assert next(shard for shard in harness.opened_shards if shard.number == bad.partition).organization_sets[
        -1
    ] == {good}


async def test_an_organization_that_becomes_unreadable_is_followed_as_before():
    """A garbled change ends no polling."""
    harness = AssignmentHarness()
    harness.assign(ACME)
    await harness.read(record("acme", 0))
    await harness.read(record("acme", 1, value=b"garbage"))

    assert harness.opened_shards[0].organization_sets[-1] == {"acme"}


async def test_it_is_ready_with_an_assignment_and_all_shards_open():
    """An assignment without shards is ready too."""
    harness = AssignmentHarness()
    assert not harness.assignment.ready
    harness.assign()
    assert harness.assignment.ready
    harness.assign(0)
    assert harness.assignment.ready
    harness.opened_shards[0].ready = False
    assert not harness.assignment.ready


async def test_a_damaged_batch_holds_its_partition_with_the_organizations_it_knows(monkeypatch):
    """It is tried again after a while, and says each time what to do."""
    monkeypatch.setattr("producer.sharding.assignment.CORRUPT_PAUSE_SECONDS", 0)
    harness = AssignmentHarness()
    harness.positions.ends[ACME] = 1
    harness.assign(ACME)
    await harness.read(record("acme", 0))
    harness.positions.corrupt[ACME] = CorruptBatch(1, 3, "its checksum is wrong")
    with structlog.testing.capture_logs() as lines:
        await harness.assignment.out_of_range({TopicPartition("organizations", ACME): 1})

    (line,) = lines
    assert (line["partition"], line["offset"], line["last_offset"]) == (ACME, 1, 3)
    assert line["organizations_known"]
    assert harness.positions.paused == {ACME}
    assert harness.opened_shards[0].organization_sets == [{"acme"}]
    await harness.read()
    assert harness.positions.paused == set()


async def test_a_log_that_may_have_lost_its_end_is_read_again_from_its_start():
    """The shard keeps what it knows until all is read, and then has what the log holds now."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.positions.ends[0] = 2
    harness.assign(0)
    await harness.read(record(first, 0), record(second, 1))
    harness.positions.log_starts[0] = 1
    await harness.assignment.out_of_range({TopicPartition("organizations", 0): 2})
    assert harness.positions.positions[0] == 1
    await harness.read()
    assert harness.opened_shards[0].organization_sets == [{first, second}]
    await harness.read(record(second, 1))

    assert harness.opened_shards[0].organization_sets == [{first, second}, {second}]


async def test_a_fetch_that_failed_at_an_earlier_position_changes_nothing():
    """The position has moved since, or the partition is another member's."""
    harness = AssignmentHarness()
    harness.assign(0)
    harness.positions.positions[0] = 5
    await harness.assignment.out_of_range(
        {TopicPartition("organizations", 0): 2, TopicPartition("organizations", 1): 2}
    )
    assert harness.positions.positions == {0: 5}
