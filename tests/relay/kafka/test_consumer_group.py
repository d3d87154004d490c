import asyncio
from dataclasses import replace

import pytest
from aiokafka.errors import CommitFailedError, GroupAuthorizationFailedError, NotCoordinatorError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.aiokafka_patches import fetch_validation
from relay.kafka.aiokafka_patches.fetch_validation import batches_of
from relay.kafka.consumer_group import Member
from relay.kafka.membership import FROZEN_SECONDS, Trust
from relay.kafka.topic_admin import create
from relay.kafka.topics import Topics
from tests.support.group_member import SESSION, Notes, membership, put
from tests.support.kafka import connection
from tests.support.waiting import until


@pytest.fixture
async def there(kafka, prefix):
    found = connection(kafka, prefix, shards=2, group_session_timeout_seconds=SESSION)
    await create(found)
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
async def test_a_handler_that_fails_is_told_of_the_end_and_joins_again(there, prefix, where, error):
    """Whatever a handler raises ends the membership in good order, and another one begins."""
    notes = Notes()
    notes.trip = (where, error)
    async with membership(there, notes, prefix) as member:
        await until(lambda: notes.closings == 1 and member.trusted)
        await put(there, prefix, b"after")
        await until(lambda: b"after" in notes.values)

    assert notes.closings == 2


@pytest.mark.parametrize("part", ["_fetcher._fetch_task", "_coordinator._coordination_task"])
async def test_a_consumer_that_dies_inside_is_replaced(there, prefix, part):
    """A fetcher or a group coordination that has ended, of which aiokafka says nothing, is noticed within seconds."""
    notes = Notes()
    async with membership(there, notes, prefix):
        owner, _, name = part.partition(".")
        getattr(getattr(notes.consumer, owner), name).cancel()
        await until(lambda: notes.closings == 1 and len(notes.assignments) >= 2)
        await put(there, prefix, b"after")
        await until(lambda: b"after" in notes.values)


@pytest.mark.parametrize(
    ("error", "ends"), [(NotCoordinatorError(), False), (GroupAuthorizationFailedError(), True)], ids=str
)
async def test_what_may_pass_by_itself_ends_no_membership(there, prefix, error, ends):
    """Reading goes on where it was; after anything else positions are believed no more, and another membership begins."""
    notes = Notes()
    async with membership(there, notes, prefix) as member:
        await until(lambda: member.trusted)
        first = notes.positions
        notes.consumer._coordinator._pending_exception = error
        await until(lambda: first._consumer._coordinator._pending_exception is None)
        await put(there, prefix, b"after")
        await until(lambda: b"after" in notes.values)
        assert (notes.closings == 1, first.spoilt) == (ends, ends)


@pytest.mark.parametrize("fault", ["another leader", "damage"])
async def test_whoever_reads_from_the_start_is_not_sent_back_there_again_and_again(
    there, prefix, fault, monkeypatch
):
    """He would take what is older for news: an organization as it was before it was changed, or deleted."""

    def looked_at(fetched):
        for batch in batches_of(fetched):
            changed = {"epoch": batch.first} if fault == "another leader" else {"intact": batch.first == 0}
            yield replace(batch, **changed)

    monkeypatch.setattr(fetch_validation, "batches_of", looked_at)
    notes = Notes()
    async with membership(there, notes, prefix):
        for value in (b"before", b"after"):
            await put(there, prefix, value)
            await until(lambda value=value: value in notes.values)
    assert notes.values == [b"before", b"after"]


async def test_partitions_that_come_with_a_freeze_are_not_trusted_until_the_group_says_so_again(
    there, prefix
):
    """They were asked for before it: meanwhile they may have gone to others."""
    trusted = []

    class Frozen(Notes):
        """As its ticks notice it, right before they take note of the assignment."""

        def assigned(self, positions, partitions):
            super().assigned(positions, partitions)
            self.member.suspect()
            asyncio.get_running_loop().call_soon(lambda: trusted.append(self.member.trusted))

    class Known(Member):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            args[3].member = self

    async with membership(there, Frozen(), prefix, kind=Known) as member:
        await until(lambda: trusted)
        assert trusted == [False]
        async with asyncio.timeout(5):
            await member.confirmed()


async def test_a_dead_heartbeat_is_noticed(there, prefix):
    """A member that still reads, but does not beat any more, joins anew before it is replaced without knowing."""
    notes = Notes()
    async with membership(there, notes, prefix) as member:
        notes.consumer._coordinator._heartbeat_task.cancel()
        await until(lambda: len(notes.assignments) >= 2 and member.trusted)


async def test_a_lost_membership_is_no_continuation(there, prefix):
    """Who has to join anew, because the group no longer knew it, can tell that from a plain rebalance."""
    notes, other = Notes(), Notes()
    async with membership(there, notes, prefix) as member:
        joins = member.joins
        async with membership(there, other, prefix):
            await until(lambda: len(notes.assignments) == 2)
        await until(lambda: len(notes.assignments) == 3 and member.trusted)
        assert member.joins == joins
        notes.consumer._coordinator.reset_generation()
        await until(lambda: len(notes.assignments) == 4 and member.trusted)

        assert member.joins == joins + 1


async def test_an_answer_without_offsets_is_not_taken_for_none_committed(there, prefix):
    """A coordinator that is still loading answers OffsetFetch with an error and no partitions; it is asked again."""
    tp = TopicPartition(Topics(prefix).organizations, 0)

    class Loading(Member):
        def _consumer(self):
            consumer = super()._consumer()
            send, answers = consumer._client.send, [14, 16, 14]

            async def sent(node, request, **options):
                if type(request).__name__ == "OffsetFetchRequest" and answers:
                    return OffsetFetchResponse_v3(0, [], answers.pop())
                return await send(node, request, **options)

            consumer._client.send = sent
            return consumer

    notes = Notes()
    async with membership(there, notes, prefix):
        await put(there, prefix, b"one")
        await notes.positions.commit({tp: OffsetAndMetadata(1, "ours")})
    notes = Notes()
    async with membership(there, notes, prefix, Loading):
        assert await notes.positions.committed([tp]) == {tp: OffsetAndMetadata(1, "ours")}


async def test_who_is_no_member_any_more_commits_nothing(there, prefix):
    """Not even into a group without members, which takes an offset from anybody: another may have come further since."""
    tp = TopicPartition(Topics(prefix).organizations, 0)
    notes = Notes()
    async with membership(there, notes, prefix):
        await notes.positions.commit({tp: OffsetAndMetadata(7, "ours")})
        coordinator = notes.consumer._coordinator
        await coordinator._maybe_leave_group()
        coordinator.reset_generation()
        with pytest.raises(CommitFailedError):
            await notes.positions.commit({tp: OffsetAndMetadata(1, "ours")})
        assert await notes.positions.committed([tp]) == {tp: OffsetAndMetadata(7, "ours")}


async def test_membership_ends_when_its_task_is_cancelled(there, prefix):
    """Cancelling `run` tells the handler, leaves the group, and leaves nothing running."""
    notes = Notes()
    async with membership(there, notes, prefix):
        consumer = notes.consumer

    assert notes.closings == 1
    assert consumer._coordinator._coordination_task.done()
    assert consumer._fetcher._fetch_task.done()


class Times:
    def __init__(self):
        self.now = self.wall = 1_000.0

    def trust(self):
        return Trust(SESSION, lambda: self.now, lambda: self.wall)

    def live(self, trust, seconds):
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self.wall += 0.1
            trust.tick()


def awake():
    times = Times()
    trust = times.trust()
    trust.tick()
    times.live(trust, 1)
    return times, trust


def test_trust_begins_with_a_confirmation():
    """Nobody is a member before the group has said so."""
    times, trust = awake()

    assert not trust.holds
    trust.confirm(times.now)
    assert trust.holds


def test_trust_ends_with_the_session():
    """What was confirmed counts for no longer than the group would wait for us."""
    times, trust = awake()
    trust.confirm(times.now)
    times.live(trust, SESSION - 0.5)

    assert trust.holds
    times.live(trust, 1)
    assert not trust.holds


def test_an_answer_from_before_a_freeze_confirms_nothing():
    """It may have lain in the socket while somebody else took over; the first to look does not matter."""
    times, trust = awake()
    asked_at = times.now
    times.now += FROZEN_SECONDS + 1
    times.wall += FROZEN_SECONDS + 1

    assert not trust.holds
    trust.confirm(asked_at)
    trust.confirm(times.now)
    assert not trust.holds
    trust.tick()
    trust.confirm(asked_at)
    assert not trust.holds
    times.live(trust, 0.2)
    trust.confirm(times.now)
    assert trust.holds


def test_the_sleep_of_a_machine_is_a_freeze():
    """A monotonic clock may stand still meanwhile; the other one does not."""
    times, trust = awake()
    trust.confirm(times.now)
    times.wall += 3_600

    assert not trust.holds
    trust.tick()
    assert not trust.holds


def test_a_suspicion_lasts_until_a_later_question_is_answered():
    """An answer to what was asked before the suspicion does not end it."""
    times, trust = awake()
    asked_at = times.now
    times.live(trust, 0.5)
    trust.suspect()
    trust.confirm(asked_at)

    assert not trust.holds
    times.live(trust, 0.1)
    trust.confirm(times.now)
    assert trust.holds
