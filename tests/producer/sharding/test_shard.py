import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import structlog

from producer.publishing.publisher import DeskClosedError
from producer.sharding.shard import Shard
from relay.errors import RelayError
from relay.organizations import Organization


def organization(name, **fields):
    return Organization(name, f"https://{name}.example", "u", 0, 0, 1, **fields)


class PaperDesk:
    def __init__(self):
        self.broken = asyncio.Event()
        self.fenced = False
        self.closed = False
        self.discarded = False
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def quiet(self):
        async with self.lock:
            yield

    async def close(self):
        self.closed = True
        async with self.lock:
            pass

    async def discard(self):
        self.broken.set()
        self.discarded = True


class FakeMembership:
    def __init__(self):
        self.suspicions = 0
        self.generation = 1
        self.sure = asyncio.Event()
        self.sure.set()

    def invalidate(self):
        self.suspicions += 1
        self.sure.clear()

    async def renewed(self):
        await self.sure.wait()


class Labour:
    """Work that notes what it is told; `do` may say what polling does."""

    def __init__(self, do=None):
        self.polls = Counter()
        self.polled = {}
        self.told = []
        self.do = do or self.rest

    async def poll(self, organization, desk):
        self.polls[organization.name] += 1
        self.polled[organization.name] = organization
        try:
            await self.do(organization, desk)
        finally:
            self.polled.pop(organization.name)

    async def rest(self, _organization, _desk):
        await asyncio.Event().wait()

    def deleted(self, name):
        self.told.append(("deleted", name, name in self.polled))

    def released(self, name):
        self.told.append(("released", name, name in self.polled))


class Room:
    """A shard, and all that it is given."""

    def __init__(self, do=None):
        self.desks = []
        self.troubles = []
        self.group, self.work = FakeMembership(), Labour(do)
        self.shard = Shard(0, self.group, self.open, self.work)

    async def open(self, _number):
        if self.troubles:
            raise self.troubles.pop(0)
        self.desks.append(PaperDesk())
        return self.desks[-1]

    def follow(self, *organizations):
        self.shard.follow({one.name: one for one in organizations})


@asynccontextmanager
async def room(do=None):
    found = Room(do)
    try:
        yield found
    finally:
        await found.shard.close()


async def until(condition):
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize(
    "trouble",
    [
        RelayError("no"),
        TimeoutError(),
        ValueError("a defect"),
        asyncio.CancelledError(),
        NotImplementedError(),
    ],
    ids=type,
)
async def test_a_shard_outlives_whatever_opening_it_raises(trouble):
    """Errors of Kafka, defects, and cancellations from inside a library: it is tried again."""
    async with room() as found:
        found.troubles = [trouble, trouble]
        found.follow(organization("acme"))
        await until(lambda: found.work.polls["acme"] == 1)


async def test_a_broken_desk_is_replaced_and_all_are_polled_again():
    """Pollers end, the desk is discarded, another is opened, and every organization goes on with that."""
    async with room() as found:
        found.follow(organization("acme"), organization("globex"))
        await until(lambda: len(found.work.polled) == 2)
        found.desks[0].broken.set()
        await until(lambda: found.work.polls == {"acme": 2, "globex": 2})

        assert found.desks[0].discarded
        assert len(found.desks) == 2


async def test_a_desk_that_breaks_each_time_is_not_opened_in_a_tight_loop():
    """What goes wrong at once after each opening, as a topic that may not be written, is tried with growing pauses."""

    async def broken(_organization, desk):
        desk.broken.set()
        raise DeskClosedError("Kafka refused a transaction.")

    async with room(broken) as found:
        found.follow(organization("acme"))
        await asyncio.sleep(1.5)

    assert 2 <= len(found.desks) <= 6


async def test_polling_that_ends_at_once_is_not_begun_in_a_tight_loop():
    """Neither an error nor an end without one starts it again before a minute, and the log tells of it."""

    async def ends(organization, _desk):
        if organization.name == "acme":
            raise ValueError("a defect")

    with structlog.testing.capture_logs() as logs:
        async with room(ends) as found:
            found.follow(organization("acme"), organization("globex"))
            await asyncio.sleep(0.3)

    assert found.work.polls == {"acme": 1, "globex": 1}
    assert [entry["organization"] for entry in logs if entry["log_level"] == "error"] == ["acme", "globex"]


async def test_a_defect_in_one_leaves_the_others_alone():
    """The desk stays, and so do the other pollers."""

    async def one_fails(organization, _desk):
        if organization.name == "acme":
            raise ValueError("a defect")
        await asyncio.Event().wait()

    async with room(one_fails) as found:
        found.follow(organization("acme"), organization("globex"))
        await until(lambda: found.work.polls["acme"] == 1)
        await asyncio.sleep(0.1)

        assert set(found.work.polled) == {"globex"}
        assert not found.desks[0].broken.is_set()


async def test_a_fenced_shard_waits_for_the_group_before_it_fences_back():
    """Two owners do not fence one another in turns: the loser asks first whether it is still one."""
    async with room() as found:
        await until(lambda: found.shard.ready)
        found.desks[0].fenced = True
        found.desks[0].broken.set()
        await until(lambda: found.group.suspicions == 1)
        await asyncio.sleep(0.5)
        assert len(found.desks) == 1
        found.group.sure.set()
        await until(lambda: len(found.desks) == 2)


async def test_a_shard_that_is_kept_goes_on_unless_the_membership_was_lost():
    """Who was out of the group meanwhile reads again what another owner may have done; a plain rebalance disturbs nobody."""
    async with room() as found:
        found.follow(organization("acme"))
        await until(lambda: found.work.polled)
        found.shard.kept()
        await asyncio.sleep(0.1)
        assert len(found.desks) == 1
        assert found.work.told == []
        found.group.generation += 1
        found.shard.kept()
        assert found.work.told == [("released", "acme", True)]
        await until(lambda: len(found.desks) == 2 and found.shard.ready)
        found.shard.kept()
        await asyncio.sleep(0.1)

        assert len(found.desks) == 2


async def test_a_shard_that_is_taken_away_does_not_open_again():
    """A transaction that fails while its shard is being closed is no reason to fence the new owner."""
    async with room() as found:
        await until(lambda: found.shard.ready)
        desk = found.desks[0]
        async with desk.lock:
            closing = asyncio.create_task(found.shard.close())
            await asyncio.sleep(0.05)
            desk.broken.set()
            await asyncio.sleep(1)
        await closing

    assert len(found.desks) == 1


async def test_only_what_was_modified_is_polled_anew_and_between_transactions():
    """The others are not disturbed, and nobody is cancelled while a transaction is under way."""
    async with room() as found:
        found.follow(organization("acme"), organization("globex"))
        await until(lambda: len(found.work.polled) == 2)
        async with found.desks[0].lock:
            found.follow(organization("acme", interval_seconds=5), organization("globex"))
            await asyncio.sleep(0.1)
            assert found.work.polled["acme"].interval_seconds is None
        await until(lambda: found.work.polls["acme"] == 2)

        assert found.work.polled["acme"].interval_seconds == 5
        assert found.work.polls["globex"] == 1


async def test_what_was_deleted_is_told_after_its_end():
    """Nothing is told of an organization after it was taken off the board."""
    async with room() as found:
        found.follow(organization("acme"), organization("globex"))
        await until(lambda: len(found.work.polled) == 2)
        found.follow(organization("globex"))
        await until(lambda: found.work.told)

        assert found.work.told == [("deleted", "acme", False)]


async def test_what_was_deleted_while_the_shard_was_opening_is_told_too():
    """No record of it stays on the board because nobody was polling it just then."""
    async with room() as found:
        found.follow(organization("acme"))
        await until(lambda: found.work.polled)
        found.group.sure.clear()
        found.desks[0].broken.set()
        await until(lambda: not found.work.polled)
        found.follow()
        found.group.sure.set()
        await until(lambda: found.work.told)

        assert found.work.told == [("deleted", "acme", False)]


async def test_what_is_deleted_while_another_is_waited_for_is_told_too():
    """A modified one waits for the transaction under way; what is deleted meanwhile does not stay on the board."""
    async with room() as found:
        found.follow(organization("acme"), organization("globex"))
        await until(lambda: len(found.work.polled) == 2)
        async with found.desks[0].lock:
            found.follow(organization("acme", interval_seconds=5), organization("globex"))
            await asyncio.sleep(0.1)
            found.follow(organization("acme", interval_seconds=5))
            await asyncio.sleep(0.1)
        await until(lambda: "globex" not in found.work.polled)
        await until(lambda: found.work.told)

        assert found.work.told == [("deleted", "globex", False)]


async def test_a_closed_shard_leaves_nothing_running():
    """Its pollers have ended, its desk is discarded, and nothing is told afterwards."""
    async with room() as found:
        found.follow(organization("acme"))
        await until(lambda: found.work.polled)
        await found.shard.close()

        assert found.work.polled == {}
        assert found.desks[0].discarded
        assert not found.shard.ready
        found.shard.hush()
        assert found.work.told == [("released", "acme", False)]


async def test_closing_ends_within_its_bound_whatever_hangs(monkeypatch):
    """A transaction that does not end, or a poller that swallows its cancellation, is not waited for without end."""
    monkeypatch.setattr("producer.sharding.shard.CLOSE_SECONDS", 0.2)

    async def stubborn(_organization, _desk):
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async with room(stubborn) as found:
        found.follow(organization("acme"))
        await until(lambda: found.work.polled)
        async with found.desks[0].lock:
            began = time.monotonic()
            await found.shard.close()

    assert time.monotonic() - began < 7
    assert found.work.polled == {}
