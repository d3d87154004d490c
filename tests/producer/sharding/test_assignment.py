import asyncio
from types import SimpleNamespace

import pytest
import structlog
from aiokafka.errors import IllegalStateError

from producer.sharding.assignment import Shards
from relay.kafka import TopicPartition
from relay.kafka.topics import partition_of
from relay.organizations import Organization, OrganizationCodec

COUNT = 4
ACME = partition_of("acme", COUNT)


class PaperShard:
    def __init__(self, number):
        self.number = number
        self.ready = True
        self.followed = []
        self.closed = False
        self.reopened = self.keeps = self.hushes = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    def hush(self):
        self.hushes += 1

    def kept(self):
        self.keeps += 1

    def follow(self, organizations):
        self.followed.append(set(organizations))

    def reopen(self):
        self.reopened += 1

    async def close(self):
        await self.may_close.wait()
        self.closed = True


class PaperPositions:
    """`ends` and `positions` by partition number; `trouble`, once, instead of an answer; of the `leaderless` there is none."""

    def __init__(self):
        self.ends = {}
        self.positions = {}
        self.trouble = None
        self.leaderless = set()

    def seek(self, tp, offset):
        self.positions[tp.partition] = offset

    async def end_offsets(self, partitions):
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        if self.leaderless & {tp.partition for tp in partitions}:
            raise TimeoutError
        return {tp: self.ends.get(tp.partition, 0) for tp in partitions}

    async def position(self, tp):
        return self.positions[tp.partition]


class House:
    def __init__(self, **options):
        self.opened = []
        self.positions = PaperPositions()
        self.shards = Shards(COUNT, self.open, **options)

    def open(self, number):
        self.opened.append(PaperShard(number))
        return self.opened[-1]

    def assign(self, *numbers):
        self.shards.assigned(self.positions, {TopicPartition("organizations", number) for number in numbers})

    async def read(self, *records):
        batches = {}
        for record in records:
            batches.setdefault(TopicPartition("organizations", record.partition), []).append(record)
            self.positions.positions[record.partition] = record.offset + 1
        await self.shards.records(batches)


def record(name, offset, *, value=..., partition=None):
    if value is ...:
        value = OrganizationCodec().encode(Organization(name, f"https://{name}.example", "u", 0, 0, 1))
    number = partition_of(name, COUNT) if partition is None else partition
    return SimpleNamespace(key=name.encode(), value=value, partition=number, offset=offset)


def names_in(number, count):
    found = (f"org{index}" for index in range(1_000))
    return [name for name in found if partition_of(name, COUNT) == number][:count]


async def test_nothing_is_followed_before_all_is_read():
    """What was deleted may stand before its deletion: a shard hears of its organizations once they are read to the end."""
    house = House()
    house.positions.ends[ACME] = 2
    house.assign(ACME)
    await house.read(record("acme", 0))
    assert house.opened[0].followed == []
    await house.read(record("acme", 1, value=None))

    assert house.opened[0].followed == [set()]


async def test_changes_are_followed_as_they_come():
    """Once read to the end, every change is passed on at once, and nothing where nothing has changed."""
    house = House()
    first, second = names_in(0, 2)
    house.assign(0)
    await house.read()
    await house.read()
    await house.read(record(first, 0))
    await house.read(record(second, 1))
    await house.read(record(first, 2, value=None))

    assert house.opened[0].followed == [set(), {first}, {first, second}, {second}]


async def test_a_kept_shard_goes_on_until_its_partition_is_read_again():
    """A rebalance begins at the start of each partition; half of that is never passed on as all."""
    house = House()
    first, second = names_in(0, 2)
    house.positions.ends[0] = 2
    house.assign(0)
    await house.read(record(first, 0), record(second, 1))
    house.assign(0, 1)
    await house.read(record(first, 0))
    assert house.opened[0].followed == [{first, second}]
    await house.read(record(second, 1))

    assert house.opened[0].followed == [{first, second}, {first, second}]
    assert [(shard.number, shard.keeps) for shard in house.opened] == [(0, 1), (1, 0)]
    assert not house.opened[0].closed


async def test_what_was_read_of_an_older_assignment_counts_for_nothing():
    """A rebalance in the middle of looking for the end leaves no half-read partition behind."""
    house = House()
    first, second = names_in(0, 2)
    house.positions.ends[0] = 2
    house.assign(0)

    async def rebalanced(_partitions, end_offsets=house.positions.end_offsets):
        house.positions.end_offsets = end_offsets
        house.assign(0)
        house.positions.positions[0] = 2
        return {TopicPartition("organizations", 0): 0}

    house.positions.end_offsets = rebalanced
    await house.read(record(first, 0))
    assert house.opened[0].followed == []
    house.positions.positions[0] = 0
    await house.read(record(first, 0), record(second, 1))

    assert house.opened[0].followed == [{first, second}]


@pytest.mark.parametrize("trouble", [IllegalStateError("not assigned"), TimeoutError()], ids=type)
async def test_a_rebalance_that_comes_between_ends_no_membership(trouble):
    """Where an end cannot be had just now it is looked for again; the records read meanwhile are not forgotten."""
    house = House()
    house.positions.ends[ACME] = 1
    house.positions.trouble = trouble
    house.assign(ACME)
    await house.read(record("acme", 0))
    await house.read()

    assert house.opened[0].followed == [{"acme"}]


async def test_a_partition_without_a_leader_keeps_no_other_waiting():
    """Its end is not to be had; the organizations of the others are followed meanwhile, and its own as soon as it is."""
    house = House()
    house.positions.leaderless.add(1)
    house.assign(0, 1)
    (zero,), (one,) = names_in(0, 1), names_in(1, 1)
    await house.read(record(zero, 0))
    shards = {shard.number: shard for shard in house.opened}
    assert (shards[0].followed, shards[1].followed) == ([{zero}], [])
    house.positions.leaderless.clear()
    await house.read(record(one, 0))

    assert shards[1].followed == [{one}]


async def test_a_lost_shard_is_closed_and_a_new_one_opened():
    """After a rebalance exactly the assigned shards are open; of what is lost nothing more is told from that moment on."""
    house = House()
    house.assign(0, 1)
    house.assign(1, 2)
    assert [shard.hushes for shard in sorted(house.opened, key=lambda one: one.number)] == [1, 0, 0]
    await house.shards.closed()

    assert [(shard.number, shard.closed) for shard in sorted(house.opened, key=lambda one: one.number)] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert house.shards.numbers == []
    assert not house.shards.ready


async def test_what_is_told_of_a_shard_that_is_ours_again_is_not_taken_back():
    """It may be lost and given back while it still closes: its end is no news of the organizations then."""
    house = House()
    house.assign(0, 1)
    for shard in house.opened:
        shard.may_close.clear()
    house.assign()
    house.assign(0)
    for shard in house.opened:
        shard.may_close.set()
    await asyncio.sleep(0.01)

    assert [
        (one.number, one.closed, one.hushes) for one in sorted(house.opened, key=lambda one: one.number)
    ] == [
        (0, True, 1),
        (0, False, 0),
        (1, True, 2),
    ]


async def test_without_fencing_every_rebalance_ends_all():
    """Where Kafka cannot refuse a former owner, nobody goes on through a rebalance."""
    fenced, bare = House(), House(fenced=False)
    for house in (fenced, bare):
        house.assign(0)
        await house.shards.revoked({TopicPartition("organizations", 0)})

    assert not fenced.opened[0].closed
    assert bare.opened[0].closed


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
async def test_what_cannot_be_an_organization_is_refused_loudly(bad):
    """It is not followed, the log says why, and the others are."""
    house = House()
    house.assign(*range(COUNT))
    with structlog.testing.capture_logs() as logs:
        await house.read(bad)
    good = names_in(bad.partition, 1)[0]
    await house.read(record(good, 1))

    assert [entry["log_level"] for entry in logs] == ["error"]
    assert next(shard for shard in house.opened if shard.number == bad.partition).followed[-1] == {good}


async def test_an_organization_that_becomes_unreadable_is_followed_as_before():
    """A garbled change stops nobody's polling."""
    house = House()
    house.assign(ACME)
    await house.read(record("acme", 0))
    await house.read(record("acme", 1, value=b"garbage"))

    assert house.opened[0].followed[-1] == {"acme"}


async def test_it_is_ready_when_the_group_has_spoken_and_all_shards_are_open():
    """Neither before the first assignment, nor while a shard is being opened; without shards it is ready too."""
    house = House()
    assert not house.shards.ready
    house.assign()
    assert house.shards.ready
    house.assign(0)
    assert house.shards.ready
    house.opened[0].ready = False
    assert not house.shards.ready
