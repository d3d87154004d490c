import asyncio
from dataclasses import replace

import pytest
from aiokafka.errors import CommitFailedError, GroupAuthorizationFailedError, NotCoordinatorError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.aiokafka_patches import fetch_validation
from relay.kafka.aiokafka_patches.fetch_validation import parse_batches
from relay.kafka.consumer_group import Member
from relay.kafka.membership_lease import MembershipLease
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from tests.support.group_member import SESSION, RecordingHandler, running_member, write_organization
from tests.support.kafka import connection_to
from tests.support.waiting import wait_until


@pytest.fixture
async def connection(kafka, prefix):
    found = connection_to(kafka, prefix, shards=2, group_session_timeout_seconds=SESSION)
    await create_missing_topics(found)
    return found


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("assigned", ValueError("a defect")),
        ("revoked", ValueError("a defect")),
        ("records", ValueError("a defect")),
        ("records", TimeoutError()),
        ("records", asyncio.CancelledError()),
    ],
)
async def test_a_failed_handler_is_closed_and_joins_again(connection, prefix, where, error):
    """An error of the handler ends the membership in order, and a new one begins."""
    handler = RecordingHandler()
    handler.fail_next = (where, error)
    async with running_member(connection, handler, prefix) as member:
        await wait_until(lambda: handler.closings == 1 and member.valid)
        await write_organization(connection, prefix, b"after")
        await wait_until(lambda: b"after" in handler.values)

    assert handler.closings == 2


@pytest.mark.parametrize("part", ["_fetcher._fetch_task", "_coordinator._coordination_task"])
async def test_a_consumer_that_ends_silently_is_replaced(connection, prefix, part):
    """A fetch task or a coordination task that ended, which aiokafka does not report, is noticed within seconds."""
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix):
        owner, _, name = part.partition(".")
        getattr(getattr(handler.aiokafka_consumer, owner), name).cancel()
        await wait_until(lambda: handler.closings == 1 and len(handler.assignments) >= 2)
        await write_organization(connection, prefix, b"after")
        await wait_until(lambda: b"after" in handler.values)


@pytest.mark.parametrize(
    ("error", "ends"), [(NotCoordinatorError(), False), (GroupAuthorizationFailedError(), True)], ids=str
)
async def test_a_retriable_error_does_not_end_the_membership(connection, prefix, error, ends):
    """Reading continues at its position; after any other error, positions are unreliable and a new membership begins."""
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix) as member:
        await wait_until(lambda: member.valid)
        first = handler.consumer
        handler.aiokafka_consumer._coordinator._pending_exception = error
        await wait_until(lambda: first._consumer._coordinator._pending_exception is None)
        await write_organization(connection, prefix, b"after")
        await wait_until(lambda: b"after" in handler.values)
        assert (handler.closings == 1, first.unreliable) == (ends, ends)


@pytest.mark.parametrize("fault", ["another leader", "corrupt batch"])
async def test_a_failed_fetch_is_passed_to_the_handler_and_rewinds_nothing(
    connection, prefix, fault, monkeypatch
):
    """A reset by aiokafka would take older records for news: an organization as it was before a change, or a deletion."""

    def altered_batches(fetched):
        for batch in parse_batches(fetched):
            changed = (
                {"epoch": batch.base_offset}
                if fault == "another leader"
                else {"intact": batch.base_offset == 0}
            )
            yield replace(batch, **changed)

    class SeekingHandler(RecordingHandler):
        """A handler that goes on at the same offset, or stays there."""

        failed = ()

        async def out_of_range(self, offsets):
            ((tp, offset),) = offsets.items()
            self.failed = *self.failed, offset
            if self.consumer.corrupt_batch(tp) is None:
                self.consumer.seek(tp, offset)
            else:
                self.consumer.pause([tp])

    monkeypatch.setattr(fetch_validation, "parse_batches", altered_batches)
    handler = SeekingHandler()
    expected = [b"before", b"after"] if fault == "another leader" else [b"before"]
    async with running_member(connection, handler, prefix):
        for value in (b"before", b"after"):
            await write_organization(connection, prefix, value)
            await wait_until(lambda value=value: value in handler.values or handler.failed)
        await wait_until(lambda: handler.values == expected)
    assert handler.values == expected
    assert handler.failed == (1,)


async def test_partitions_assigned_during_a_freeze_are_valid_only_after_a_confirmation(connection, prefix):
    """They were requested before the freeze, and may belong to other members since."""
    valid = []

    class FrozenHandler(RecordingHandler):
        """A handler whose ticks notice the freeze right before the assignment is recorded."""

        def assigned(self, consumer, partitions):
            super().assigned(consumer, partitions)
            self.member.invalidate()
            asyncio.get_running_loop().call_soon(lambda: valid.append(self.member.valid))

    class KnownMember(Member):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            args[3].member = self

    async with running_member(connection, FrozenHandler(), prefix, kind=KnownMember) as member:
        await wait_until(lambda: valid)
        assert valid == [False]
        async with asyncio.timeout(120):
            await member.wait_for_membership()


async def test_a_dead_heartbeat_is_noticed(connection, prefix):
    """A member that reads without heartbeats joins again, before it is replaced unknowingly."""
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix) as member:
        handler.aiokafka_consumer._coordinator._heartbeat_task.cancel()
        await wait_until(lambda: len(handler.assignments) >= 2 and member.valid)


async def test_a_lost_membership_starts_a_new_generation(connection, prefix):
    """A member that the group no longer knew can distinguish that from a plain rebalance."""
    handler, other = RecordingHandler(), RecordingHandler()
    async with running_member(connection, handler, prefix) as member:
        joins = member.generation
        async with running_member(connection, other, prefix):
            await wait_until(lambda: len(handler.assignments) >= 2)
        await wait_until(lambda: len(handler.assignments) >= 3 and member.valid)
        assert member.generation == joins
        handler.aiokafka_consumer._coordinator.reset_generation()
        await wait_until(lambda: len(handler.assignments) >= 4 and member.valid)

        assert member.generation == joins + 1


async def test_an_answer_without_offsets_is_not_taken_for_none_committed(connection, prefix):
    """A coordinator that is still loading answers OffsetFetch with an error and no partitions; the member asks again."""
    tp = TopicPartition(Topics(prefix).organizations, 0)

    class LoadingMember(Member):
        def _create_consumer(self):
            consumer = super()._create_consumer()
            send, answers = consumer._client.send, [14, 16, 14]

            async def sent(node, request, **options):
                if type(request).__name__ == "OffsetFetchRequest" and answers:
                    return OffsetFetchResponse_v3(0, [], answers.pop())
                return await send(node, request, **options)

            consumer._client.send = sent
            return consumer

    handler = RecordingHandler()
    async with running_member(connection, handler, prefix):
        await write_organization(connection, prefix, b"one")
        await handler.consumer.commit({tp: OffsetAndMetadata(1, "ours")})
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix, LoadingMember):
        assert await handler.consumer.committed([tp]) == {tp: OffsetAndMetadata(1, "ours")}


async def test_a_former_member_commits_nothing(connection, prefix):
    """Not even into a group without members, which accepts any commit: another member may have committed more since."""
    tp = TopicPartition(Topics(prefix).organizations, 0)
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix):
        await handler.consumer.commit({tp: OffsetAndMetadata(7, "ours")})
        coordinator = handler.aiokafka_consumer._coordinator
        await coordinator._maybe_leave_group()
        coordinator.reset_generation()
        with pytest.raises(CommitFailedError):
            await handler.consumer.commit({tp: OffsetAndMetadata(1, "ours")})
        assert await handler.consumer.committed([tp]) == {tp: OffsetAndMetadata(7, "ours")}


async def test_membership_ends_when_its_task_is_cancelled(connection, prefix):
    """Cancelling `run` closes the handler, leaves the group, and leaves no task running."""
    handler = RecordingHandler()
    async with running_member(connection, handler, prefix):
        consumer = handler.aiokafka_consumer

    assert handler.closings == 1
    assert consumer._coordinator._coordination_task.done()
    assert consumer._fetcher._fetch_task.done()


class FakeClocks:
    def __init__(self):
        self.now = self.wall = 1_000.0

    def lease(self):
        return MembershipLease(SESSION, lambda: self.now, lambda: self.wall)

    def advance(self, lease, seconds):
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self.wall += 0.1
            lease.tick()


def awake_lease():
    clocks = FakeClocks()
    lease = clocks.lease()
    lease.tick()
    clocks.advance(lease, 1)
    return clocks, lease


def test_a_lease_begins_with_a_renewal():
    """A member is not valid before the group has confirmed it."""
    clocks, lease = awake_lease()

    assert not lease.valid
    lease.renew(clocks.now)
    assert lease.valid


def test_a_lease_ends_with_the_session():
    """A confirmation is valid no longer than the session timeout."""
    clocks, lease = awake_lease()
    lease.renew(clocks.now)
    clocks.advance(lease, SESSION - 0.5)

    assert lease.valid
    clocks.advance(lease, 1)
    assert not lease.valid


def test_an_answer_from_before_a_freeze_renews_nothing():
    """The answer may have been in the socket while another member took over, whichever check comes first."""
    clocks, lease = awake_lease()
    requested_at = clocks.now
    clocks.now += lease.frozen_seconds + 1
    clocks.wall += lease.frozen_seconds + 1

    assert not lease.valid
    lease.renew(requested_at)
    lease.renew(clocks.now)
    assert not lease.valid
    lease.tick()
    lease.renew(requested_at)
    assert not lease.valid
    clocks.advance(lease, 0.2)
    lease.renew(clocks.now)
    assert lease.valid


def test_the_sleep_of_a_machine_is_a_freeze():
    """The monotonic clock may stop during sleep; the wall clock shows it."""
    clocks, lease = awake_lease()
    lease.renew(clocks.now)
    clocks.wall += 3_600

    assert not lease.valid
    lease.tick()
    assert not lease.valid


def test_an_invalidated_lease_stays_invalid_until_a_later_request_is_answered():
    """An answer to what was requested before the invalidation does not renew it."""
    clocks, lease = awake_lease()
    requested_at = clocks.now
    clocks.advance(lease, 0.5)
    lease.invalidate()
    lease.renew(requested_at)

    assert not lease.valid
    clocks.advance(lease, 0.1)
    lease.renew(clocks.now)
    assert lease.valid
