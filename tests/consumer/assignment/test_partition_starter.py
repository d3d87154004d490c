"""When the partitions of an assignment begin."""

from dataclasses import replace

from relay.kafka import KafkaError
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, FakeGroup, handler
from tests.support.waiting import wait_until


async def test_no_partition_begins_before_the_group_is_known_to_belong_to_this_target():
    """Whatever keeps the look-up from an answer, the membership goes on, nothing is read or committed, and the status says why."""
    kafka, destination = FakeGroup(10, committed=None), FakeSentinel()
    one = handler(kafka, destination, retry_seconds=0.01)
    failures = [KafkaError("it has belonged to another target"), OSError("no route"), TimeoutError()] * 3
    reasons = set()

    async def require_own_target():
        reasons.add(one.waiting_reason)
        if failures:
            assert kafka.paused
            assert kafka.stored is None
            raise failures.pop()

    one._pipeline = replace(one._pipeline, require_own_target=require_own_target)
    one.assigned(kafka, {A})
    await wait_until(lambda: one.ready)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()
    assert any("it has belonged to another target" in reason for reason in reasons)
