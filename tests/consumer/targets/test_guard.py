"""When a process is a member of a destination's groups, by the claims it reads."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from consumer.targets.guard import TargetGuard
from consumer.targets.store import ClaimUnknownError
from consumer.targets.target import Claim, target_of
from consumer.timing import TargetTiming
from relay.kafka import KafkaError
from relay.timestamps import now_ms
from tests.support.waiting import wait_until

OWN, OTHER = target_of("sentinel", {"rule": "a"}), target_of("sentinel", {"rule": "b"})
QUICK = TargetTiming(interval_seconds=0.01, settle_seconds=0.01, handover_seconds=0.3, release_seconds=1)


class ScriptedClaims:
    """The claim of the topic, or the error that reading it raises."""

    def __init__(self, claim=None, raced_by=None):
        self.claim = claim
        self.raced_by = raced_by
        self.writes = 0

    async def read(self, _name):
        if isinstance(self.claim, Exception):
            raise self.claim
        return self.claim

    async def write(self, _name, claim):
        self.writes += 1
        self.claim = replace(claim, target=self.raced_by or claim.target)


class Membership:
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
async def guarded(claims):
    guard, membership = TargetGuard("soc", OWN, claims, QUICK), Membership()
    task = asyncio.create_task(guard.run([membership.run]))
    try:
        yield guard, membership
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert membership.joined == membership.left


async def test_the_first_process_claims_the_name():
    claims = ScriptedClaims()
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        assert (claims.claim.target, claims.writes, guard.problem, guard.notice) == (OWN, 1, None, None)


async def test_of_two_claims_at_a_time_the_later_counts():
    """The process looks again before it joins."""
    async with guarded(ScriptedClaims(raced_by=OTHER)) as (guard, membership):
        await wait_until(lambda: guard.problem)
        assert membership.joined == 0


async def test_another_target_is_no_member_and_says_so():
    async with guarded(ScriptedClaims(Claim(OTHER, 0))) as (guard, membership):
        await wait_until(lambda: guard.problem)
        assert "jira-relay destinations confirm soc" in guard.problem
        assert "rule a" in guard.problem
        assert "rule b" in guard.problem
        await asyncio.sleep(0.1)
        assert membership.joined == 0


async def test_a_confirmed_target_joins_after_the_other_has_had_time_to_leave():
    claims = ScriptedClaims(Claim(OTHER, 0))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: guard.problem)
        confirmed_at = now_ms()
        claims.claim = Claim(OWN, confirmed_at, confirmed=True)
        await wait_until(lambda: membership.is_member)
        assert now_ms() - confirmed_at >= 300
        assert guard.problem is None


async def test_a_process_that_starts_after_the_confirmation_waits_as_well():
    """The process of the former target may still have requests under way."""
    confirmed_at = now_ms()
    async with guarded(ScriptedClaims(Claim(OWN, confirmed_at, confirmed=True))) as (_, membership):
        await wait_until(lambda: membership.is_member)
        assert now_ms() - confirmed_at >= 300


async def test_a_member_leaves_when_another_target_is_confirmed():
    claims = ScriptedClaims()
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        claims.claim = Claim(OTHER, now_ms())
        await wait_until(lambda: guard.problem and membership.left == 1)


async def test_an_unknown_claim_stops_nothing_and_is_named():
    """An installation that has no such topic goes on as before."""
    claims = ScriptedClaims(ClaimUnknownError("Kafka has no topic x."))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: membership.is_member)
        assert "Kafka has no topic x." in guard.notice
        claims.claim = Claim(OTHER, 0)
        await wait_until(lambda: guard.problem and not membership.is_member)


async def test_a_silent_kafka_makes_a_new_process_wait_and_a_member_go_on():
    claims = ScriptedClaims(KafkaError("away"))
    async with guarded(claims) as (guard, membership):
        await wait_until(lambda: "away" in (guard.waiting or ""))
        assert membership.joined == 0
        claims.claim = Claim(OWN, 0)
        await wait_until(lambda: membership.is_member)
        claims.claim = KafkaError("away")
        await asyncio.sleep(0.1)
        assert membership.is_member
        assert (guard.problem, guard.waiting) == (None, None)


async def test_a_membership_that_fails_ends_the_service():
    async def fail():
        raise RuntimeError("a defect")

    guard = TargetGuard("soc", OWN, ScriptedClaims(Claim(OWN, 0)), QUICK)
    async with asyncio.timeout(5):
        (outcome,) = await asyncio.gather(guard.run([fail]), return_exceptions=True)
    assert str(outcome) == "a defect"


def test_a_target_is_its_kind_and_its_identity():
    """The order of settings does not matter."""
    assert target_of("a", {"x": "1", "y": "2"}).digest == target_of("a", {"y": "2", "x": "1"}).digest
    assert len({target_of(kind, {"x": value}).digest for kind in "ab" for value in "12"}) == 4
