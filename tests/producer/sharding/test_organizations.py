"""How a shard follows the organizations of its partition."""

import pytest
import structlog

from producer.sharding.assignment import ShardAssignmentTiming
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.fetch_validation import CorruptBatch
from relay.organizations import Organization, OrganizationCodec
from tests.support.shard_assignment import ACME, COUNT, AssignmentHarness, names_in, record


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


async def test_a_damaged_batch_holds_its_partition_with_the_organizations_it_knows():
    """It is tried again after a while, and says each time what to do."""
    harness = AssignmentHarness(timing=ShardAssignmentTiming(corrupt_pause_seconds=0))
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


async def test_a_damaged_batch_before_the_end_of_the_table_leaves_its_shard_not_ready():
    """A restarted producer knows no organization of that partition: it says where and what to do; others are polled."""
    other = (ACME + 1) % COUNT
    (name,) = names_in(other, 1)
    harness = AssignmentHarness(timing=ShardAssignmentTiming(corrupt_pause_seconds=0))
    harness.positions.ends[ACME] = 5
    harness.assign(ACME, other)
    harness.positions.corrupt[ACME] = CorruptBatch(0, 3, "its checksum is wrong")
    await harness.assignment.out_of_range({TopicPartition("organizations", ACME): 0})
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
    await harness.read(record("acme", 4))
    assert shards[ACME].organization_sets == [{"acme"}]
    assert harness.assignment.ready
    assert harness.assignment.problem is None
