"""When a process is a member of a destination's groups, by the claims it reads."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumer.targets.guard import TargetGuard
from consumer.targets.store import ClaimUnknownError, claim_key
from consumer.targets.target import Claim, Pause, judge_claims, target_of
from consumer.timing import TargetTiming
from relay.kafka import KafkaError
from relay.timestamps import now_ms
from tests.support.waiting import wait_until

OWN, OTHER = target_of("sentinel", {"rule": "a"}), target_of("sentinel", {"rule": "b"})
QUICK = TargetTiming(interval_seconds=0.01, handover_seconds=0.3, release_seconds=1)


class ClaimsInMemory:
    """The claims of a topic, or the error that reading it raises."""

    def __init__(self, *claims):
        self.log = list(claims)
        self.pause = None
        self.pause_unknown = None
        self.error = None
        self.write_error = None

    async def read(self, _name, _flow):
        if self.error is not None:
            raise self.error
        return replace(judge_claims(self.log, self.pause), pause_unknown=self.pause_unknown)

    async def write(self, _name, _flow, claim):
        if self.write_error is not None:
            raise self.write_error
        self.log.append(claim)


class SlowClaims:
    """The way of one process to a topic: each request waits until the test lets it go on."""

    def __init__(self, topic):
        self.topic = topic
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()

    async def read(self, name, flow):
        return await self.topic.read(name, flow)

    async def write(self, name, flow, claim):
        self.arrived.set()
        await self.go_on.wait()
        await self.topic.write(name, flow, claim)


class FakeMembership:
    """Counts joins and departures."""

    def __init__(self):
        self.joined = self.left = 0

    async def run(self):
        self.joined += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.left += 1

    @property
    def is_member(self):
        return self.joined > self.left


@asynccontextmanager
async def guarded(claims, target=OWN):
    guard, membership = TargetGuard("soc", "live", target, claims, QUICK), FakeMembership()
    task = asyncio.create_task(guard.run([membership.run]))
    try:
        yield guard, membership
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert membership.joined == membership.left


async def test_the_first_process_claims_the_name():
    claims = ClaimsInMemory()
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        assert ([each.target for each in claims.log], guard.problem, guard.notice) == ([OWN], None, None)


async def test_of_two_claims_at_a_time_the_first_on_the_topic_counts():
    """One is frozen between its look and its claim; whichever wakes when, the two are never members at the same time."""
    claims = ClaimsInMemory()
    frozen = SlowClaims(claims)
    async with guarded(frozen, OTHER) as (late, late_membership):
        await frozen.arrived.wait()
        async with guarded(claims) as (guard, membership):
            await wait_until(lambda: membership.is_member)
            frozen.go_on.set()
            await wait_until(lambda: late.problem)
            await asyncio.sleep(0.1)
            assert (late_membership.joined, membership.is_member, guard.problem) == (0, True, None)
    # Compaction keeps the last claim, so the first one is written again.
    assert claims.log[-1].target == OWN
    assert claims.log[-1].at == claims.log[0].at


async def test_a_claim_that_kafka_did_not_confirm_makes_the_process_wait():
    """It may be on the topic or not; another target may have claimed meanwhile."""
    claims = ClaimsInMemory()
    claims.write_error = KafkaError("a timeout")
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: "a timeout" in (guard.waiting or ""))
        claims.write_error = None
        claims.log.append(Claim(OTHER, 0))
        await wait_until(lambda: guard.problem)
        assert membership.joined == 0


async def test_another_target_is_no_member_and_says_so():
    async with guarded(ClaimsInMemory(Claim(OTHER, 0))) as (guard, membership):
        await wait_until(lambda: guard.problem)
        assert "jira-relay destinations confirm soc" in guard.problem
        assert "rule a" in guard.problem
        assert "rule b" in guard.problem
        await asyncio.sleep(0.1)
        assert membership.joined == 0


async def test_a_confirmed_target_joins_after_the_other_has_had_time_to_leave():
    claims = ClaimsInMemory(Claim(OTHER, 0))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: guard.problem)
        confirmed_at = now_ms()
        claims.log.append(Claim(OWN, confirmed_at, confirmed=True))
        await wait_until(lambda: membership.is_member)
        assert now_ms() - confirmed_at >= 290
        assert guard.problem is None


async def test_a_process_that_starts_after_the_confirmation_waits_as_well():
    """The process of the former target may still have requests under way."""
    confirmed_at = now_ms()
    async with guarded(ClaimsInMemory(Claim(OWN, confirmed_at, confirmed=True))) as (_, membership):
        await wait_until(lambda: membership.is_member)
        assert now_ms() - confirmed_at >= 290


async def test_a_member_leaves_when_another_target_is_confirmed():
    claims = ClaimsInMemory()
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        claims.log.append(Claim(OTHER, now_ms(), confirmed=True))
        await wait_until(lambda: guard.problem and membership.left == 1)


async def test_no_partition_begins_for_a_target_that_has_lost_the_name():
    """Kafka gives a member partitions before its next look; it looks again then, and leaves at once."""
    claims = ClaimsInMemory(Claim(OWN, 0))
    guard = TargetGuard("soc", "live", OWN, claims, replace(QUICK, interval_seconds=3600))
    membership = FakeMembership()
    task = asyncio.create_task(guard.run([membership.run]))
    await wait_until(lambda: membership.is_member)
    await guard.require_own()
    claims.log.append(Claim(OTHER, now_ms(), confirmed=True))
    with pytest.raises(KafkaError, match="another target"):
        await guard.require_own()
    await wait_until(lambda: membership.left == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_paused_destination_has_no_member_until_it_is_resumed():
    """The pause stays where the topic cannot be read for a while."""
    claims = ClaimsInMemory(Claim(OWN, 0))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        claims.pause = Pause(now_ms(), "ann@host")
        await wait_until(lambda: guard.pause and membership.left == 1)
        assert "ann@host paused the destination soc" in guard.pause
        assert "jira-relay destinations resume soc" in guard.pause
        with pytest.raises(KafkaError, match="paused the destination"):
            await guard.require_own()
        claims.error = ClaimUnknownError("Kafka has no topic x.")
        await asyncio.sleep(0.1)
        assert not membership.is_member
        claims.error, claims.pause = None, None
        await wait_until(lambda: membership.is_member)
        assert guard.pause is None


async def test_a_partition_that_is_assigned_after_the_pause_does_not_begin():
    """Kafka gives a member partitions before its next look; it looks again then, and leaves at once."""
    claims = ClaimsInMemory(Claim(OWN, 0))
    guard = TargetGuard("soc", "live", OWN, claims, replace(QUICK, interval_seconds=3600))
    membership = FakeMembership()
    task = asyncio.create_task(guard.run([membership.run]))
    await wait_until(lambda: membership.is_member)
    claims.pause = Pause(now_ms(), "ann@host")
    with pytest.raises(KafkaError, match="paused"):
        await guard.require_own()
    await wait_until(lambda: membership.left == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_unknown_claim_stops_nothing_and_is_named():
    """An installation that has no such topic goes on as before."""
    claims = ClaimsInMemory()
    claims.error = ClaimUnknownError("Kafka has no topic x.")
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        assert "Kafka has no topic x." in guard.notice
        await guard.require_own()
        claims.error = None
        claims.log.append(Claim(OTHER, 0))
        await wait_until(lambda: guard.problem and not membership.is_member)


async def test_what_was_known_of_another_target_holds_while_the_topic_is_unreadable():
    claims = ClaimsInMemory(Claim(OTHER, 0))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: guard.problem)
        claims.error = ClaimUnknownError("Kafka has no topic x.")
        await asyncio.sleep(0.1)
        assert guard.problem
        assert membership.joined == 0


async def test_a_silent_kafka_makes_a_new_process_wait_and_a_member_go_on():
    claims = ClaimsInMemory()
    claims.error = KafkaError("away")
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: "away" in (guard.waiting or ""))
        assert membership.joined == 0
        claims.error = None
        await wait_until(lambda: membership.is_member)
        claims.error = KafkaError("away")
        await asyncio.sleep(0.1)
        assert membership.is_member
        assert (guard.problem, guard.waiting) == (None, None)


async def test_a_membership_that_fails_ends_the_service():
    async def fail():
        raise RuntimeError("a defect")

    guard = TargetGuard("soc", "live", OWN, ClaimsInMemory(Claim(OWN, 0)), QUICK)
    async with asyncio.timeout(120):
        (outcome,) = await asyncio.gather(guard.run([fail]), return_exceptions=True)
    assert str(outcome) == "a defect"


def test_a_target_is_its_kind_and_its_identity():
    """The order of settings does not matter."""
    assert target_of("a", {"x": "1", "y": "2"}).digest == target_of("a", {"y": "2", "x": "1"}).digest
    assert len({target_of(kind, {"x": value}).digest for kind in "ab" for value in "12"}) == 4


def test_the_history_of_a_destination_is_claimed_apart():
    """Its group has the same ending, and no destination can have this name."""
    assert (claim_key("soc", "live"), claim_key("soc", "history")) == ("soc", "soc.history")
