import asyncio

import pytest
from aiokafka.errors import IllegalStateError

from relay.kafka import TopicPartition
from tests.support.shard_assignment import ACME, AssignmentHarness, names_in, record


async def test_a_kept_shard_continues_until_its_partition_is_read_again():
    """A rebalance reads from the start and never passes on a partial table."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.consumer.ends[0] = 2
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
    harness.consumer.ends[0] = 2
    harness.assign(0)

    async def rebalanced(_partitions, end_offsets=harness.consumer.end_offsets):
        harness.consumer.end_offsets = end_offsets
        harness.assign(0)
        harness.consumer.positions[0] = 2
        return {TopicPartition("organizations", 0): 0}

    harness.consumer.end_offsets = rebalanced
    await harness.read(record(first, 0))
    assert harness.opened_shards[0].organization_sets == []
    harness.consumer.positions[0] = 0
    await harness.read(record(first, 0), record(second, 1))

    assert harness.opened_shards[0].organization_sets == [{first, second}]


@pytest.mark.parametrize("error", [IllegalStateError("not assigned"), TimeoutError()], ids=type)
async def test_a_rebalance_during_a_call_ends_no_membership(error):
    """A missing end is looked up again, and records read meanwhile are kept."""
    harness = AssignmentHarness()
    harness.consumer.ends[ACME] = 1
    harness.consumer.error = error
    harness.assign(ACME)
    await harness.read(record("acme", 0))
    await harness.read()

    assert harness.opened_shards[0].organization_sets == [{"acme"}]


async def test_a_partition_without_a_leader_delays_no_other():
    """Its end is not available; its organizations follow once it is."""
    harness = AssignmentHarness()
    harness.consumer.leaderless.add(1)
    harness.assign(0, 1)
    (zero,), (one,) = names_in(0, 1), names_in(1, 1)
    await harness.read(record(zero, 0))
    shards = {shard.number: shard for shard in harness.opened_shards}
    assert (shards[0].organization_sets, shards[1].organization_sets) == ([{zero}], [])
    harness.consumer.leaderless.clear()
    await harness.read(record(one, 0))

    assert shards[1].organization_sets == [{one}]


async def test_shards_are_counted_by_state():
    """One with a publisher is open, one with a reason closed, and another one still opens."""
    harness = AssignmentHarness()
    harness.assign(0, 1, 2)
    for shard, ready, problem in zip(
        harness.opened_shards, (True, False, False), (None, "no", None), strict=True
    ):
        shard.ready, shard.problem = ready, problem

    assert harness.assignment.shards_by_state == {"open": 1, "closed": 1, "opening": 1}


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
