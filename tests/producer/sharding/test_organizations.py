"""How a shard follows the organizations of its partition."""

import pytest
import structlog

from producer.sharding.assignment import ShardAssignmentTiming
from producer.sharding.corrupt_batches import CorruptBatches
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.fetch_validation import CorruptBatch
from relay.organizations import Organization, OrganizationCodec
from tests.support.shard_assignment import ACME, COUNT, AssignmentHarness, names_in, record


async def test_a_shard_gets_its_organizations_after_the_whole_partition_is_read():
    """A deletion may follow on the log, so earlier records wait."""
    harness = AssignmentHarness()
    harness.consumer.ends[ACME] = 2
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


TP = TopicPartition("organizations", ACME)


async def test_a_corrupt_batch_is_named_and_later_changes_are_followed():
    """It is tried again after a while; records in it that are older than what was read meanwhile change nothing."""
    first, second, third = ["acme", *names_in(ACME, 2)]
    harness = AssignmentHarness()
    harness.consumer.ends[ACME] = 1
    harness.assign(ACME)
    await harness.read(record(first, 0))
    with structlog.testing.capture_logs() as lines:
        await harness.fail(TP, CorruptBatch(1, 3, "its checksum is wrong"))
        await harness.read(record(second, 4), record(first, 5, value=None))
    (line,) = lines
    assert (line["partition"], line["offset"], line["last_offset"]) == (ACME, 1, 3)
    assert line["organizations_known"]
    assert harness.opened_shards[0].organization_sets == [{first}, {second}]
    assert harness.assignment.ready

    harness.now += 60
    await harness.read()
    assert harness.consumer.positions[ACME] == 1
    await harness.fail(TP, CorruptBatch(1, 3, "its checksum is wrong"))
    assert harness.consumer.positions[ACME] == 4
    harness.now += 60
    await harness.read()
    with structlog.testing.capture_logs() as lines:
        await harness.read(
            record(first, 2), record(third, 3), record(second, 4), record(first, 5, value=None)
        )
    assert [line["event"].split(";")[0] for line in lines] == ["Organizations are read again"]
    assert harness.opened_shards[0].latest_organizations == {second, third}


async def test_a_rebalance_forgets_no_organization_of_a_corrupt_batch():
    """Its process knows it, though the log does not tell it any more."""
    first, second = ["acme", *names_in(ACME, 1)]
    harness = AssignmentHarness()
    harness.consumer.ends[ACME] = 3
    harness.assign(ACME)
    await harness.read(record(first, 0), record(second, 2))
    harness.assign(ACME)
    await harness.fail(TP, CorruptBatch(0, 1, "its checksum is wrong"))
    await harness.read(record(second, 2))
    assert harness.opened_shards[0].latest_organizations == {first, second}
    assert not harness.assignment.ready


async def test_a_partition_that_was_another_process_s_brings_no_organization_back():
    """The other process may delete it, and Kafka compacts the deletion away, so that no record tells of it."""
    first, second = ["acme", *names_in(ACME, 1)]
    other = (ACME + 1) % COUNT
    harness = AssignmentHarness()
    harness.consumer.ends[ACME] = 2
    harness.assign(ACME)
    await harness.read(record(first, 0), record(second, 1))
    harness.assign(other)
    await harness.read()
    harness.assign(ACME, other)
    harness.consumer.ends[ACME] = 9
    await harness.fail(TP, CorruptBatch(5, 6, "its checksum is wrong"))
    await harness.read(record(second, 8))
    assert harness.opened_shards[-1].number == ACME
    assert harness.opened_shards[-1].latest_organizations == {second}


async def test_a_log_of_corrupt_heads_is_not_walked_without_end():
    """A head that tells no last offset is passed over offset by offset, up to a bound; then the partition waits."""
    harness = AssignmentHarness()
    harness.assign(ACME)
    for offset in range(CorruptBatches.MAX_STEPS + 1):
        assert harness.consumer.paused == set()
        await harness.fail(TP, CorruptBatch(offset, offset, "its length or format is impossible"))
    assert harness.consumer.paused == {ACME}
    harness.now += 60
    await harness.read()
    assert (harness.consumer.paused, harness.consumer.positions[ACME]) == (set(), 0)


async def test_a_log_that_may_have_lost_its_end_is_read_again_from_its_start():
    """The shard keeps what it knows until all is read, and then has what the log holds now."""
    harness = AssignmentHarness()
    first, second = names_in(0, 2)
    harness.consumer.ends[0] = 2
    harness.assign(0)
    await harness.read(record(first, 0), record(second, 1))
    harness.consumer.log_starts[0] = 1
    await harness.assignment.out_of_range({TopicPartition("organizations", 0): 2})
    assert harness.consumer.positions[0] == 1
    await harness.read()
    assert harness.opened_shards[0].organization_sets == [{first, second}]
    await harness.read(record(second, 1))

    assert harness.opened_shards[0].organization_sets == [{first, second}, {second}]


async def test_a_fetch_that_failed_at_an_earlier_position_changes_nothing():
    """The position has moved since, or the partition is another member's."""
    harness = AssignmentHarness()
    harness.assign(0)
    harness.consumer.positions[0] = 5
    await harness.assignment.out_of_range(
        {TopicPartition("organizations", 0): 2, TopicPartition("organizations", 1): 2}
    )
    assert harness.consumer.positions == {0: 5}


async def test_a_corrupt_batch_before_the_end_of_the_table_leaves_its_shard_not_ready():
    """A restarted producer polls the organizations of the other batches, and says where and what to do about the rest."""
    other = (ACME + 1) % COUNT
    (name,) = names_in(other, 1)
    (hidden,) = names_in(ACME, 1)
    harness = AssignmentHarness(timing=ShardAssignmentTiming(corrupt_pause_seconds=0))
    harness.consumer.ends[ACME] = 5
    harness.assign(ACME, other)
    await harness.fail(TP, CorruptBatch(0, 3, "its checksum is wrong"))
    await harness.read(record(name, 0))
    shards = {shard.number: shard for shard in harness.opened_shards}

    assert shards[other].organization_sets[-1] == {name}
    assert shards[ACME].organization_sets == []
    assert not harness.assignment.ready
    problem = harness.assignment.problem
    assert (
        f"organizations, partition {ACME}, cannot be read from offset 0 on (its checksum is wrong)" in problem
    )
    assert "up to offset 3 with kafka-delete-records.sh" in problem
    await harness.fail(TP, CorruptBatch(0, 3, "its checksum is wrong"))
    await harness.read(record("acme", 4))
    assert shards[ACME].organization_sets == [{"acme"}]
    assert not harness.assignment.ready
    await harness.read(record(hidden, 3), record("acme", 4))
    assert shards[ACME].latest_organizations == {"acme", hidden}
    assert harness.assignment.ready
    assert harness.assignment.problem is None
