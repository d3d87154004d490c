"""Every history of one shard: the real producers, with Jira, Kafka and time driven by Hypothesis."""

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relay.timestamps import DAY_MS
from tests.producer.histories import jira, kafka
from tests.producer.histories.holds import check_final_state, check_invariants
from tests.producer.histories.process import RETENTION_MS
from tests.producer.histories.world import ShardWorld
from tests.support.publisher import TOPICS

EXAMPLES = int(os.environ.get("RELAY_HISTORIES", "60"))
"""Number of histories. From `MANY` on they are random, and each step meets all faults, not a share."""
MANY = 1_000
SHARE = 11

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
names = st.sampled_from(["acme", "acme", "acme", "globex"])
delays = st.sampled_from(
    [
        0,
        0,
        0,
        1,
        3 * SECOND,
        10 * MINUTE,
        20 * MINUTE,
        5 * HOUR,
        2 * DAY_MS,
        7 * DAY_MS - HOUR,
        7 * DAY_MS,
        8 * DAY_MS,
    ]
)
skews = st.sampled_from(
    [0, 0, 0, 1_500, 40 * SECOND, 2 * HOUR, 15 * DAY_MS, -40 * SECOND, -2 * HOUR, -15 * DAY_MS]
)
backfills = st.sampled_from([None, 0.3, 1, 3, 20])
EVENTS = (TOPICS.events, TOPICS.backfill)
OUTCOMES = {**kafka.OUTCOMES, "jira": jira.OUTCOMES}


class ShardMachine(RuleBasedStateMachine):
    """No event is in Kafka twice, no cursor is ahead of Kafka, and no event is missing at the end."""

    def __init__(self):
        super().__init__()
        self.world = ShardWorld()

    @initialize(
        backfill=backfills,
        other=st.booleans(),
        history=st.integers(0, 12),
        skew=skews,
        order=st.sampled_from(["newest first", "newest first", "another", "shuffled"]),
    )
    def begin(self, backfill, other, history, skew, order):
        self.world.add("acme", backfill_days=backfill)
        self.world.jiras["acme"].order = order
        if other:
            self.world.add("globex")
        for number in range(history):
            created = self.world.now_ms() - (number + 1) ** 3 * HOUR // 4
            self.world.jiras["acme"].add_record(created, created + number % 3 * DAY_MS)
        self.world.take_over(skew)

    # Jira

    @rule(
        name=names,
        count=st.integers(1, 7),
        delay=delays,
        apart=st.sampled_from([0, 0, 1, 7, 30_000]),
        old=st.booleans(),
    )
    def happen(self, name, count, delay, apart, old):
        """Create records now, some visible later; ids need not follow time."""
        if name in self.world.jiras:
            for number in range(count):
                now = self.world.now_ms()
                created = now - number * apart
                self.world.jiras[name].add_record(created, max(now, created + delay), old_id=old)

    @rule(name=names, count=st.integers(1, 6), ago=delays)
    def come_to_light(self, name, count, ago):
        """Make old records visible now that were hidden until now."""
        if name in self.world.jiras:
            for number in range(count):
                now = self.world.now_ms()
                self.world.jiras[name].add_record(now - ago + number % 2, now + number % 2)

    @rule(name=names, most=st.sampled_from([1, 3, 1_000]))
    def pages(self, name, most):
        if name in self.world.jiras:
            self.world.jiras[name].max_page_size = most

    # steps

    @precondition(lambda self: self.world.steps.waiting)
    @rule(picks=st.lists(st.integers(0, 5), min_size=1, max_size=12))
    def go_on(self, picks):
        """Complete some of the waiting steps, in any order."""
        for pick in picks:
            if waiting := self.world.steps.waiting:
                self.world.steps.complete(waiting[pick % len(waiting)])
                self.world.loop.settle()

    @precondition(lambda self: self.world.steps.waiting)
    @rule(pick=st.integers(0, 5), fault=st.integers(0, 20))
    def strike(self, pick, fault):
        """Give a waiting step an unwanted outcome."""
        step = self.world.steps.waiting[pick % len(self.world.steps.waiting)]
        bad = OUTCOMES[step.kind][1:]
        self.world.steps.complete(step, bad[fault % len(bad)])
        self.world.loop.settle()

    @rule(seconds=st.sampled_from([0, 0, 5, 61, 301, 4_000]))
    def run(self, seconds):
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0.5, 9, 70, 1_000, 4 * 3_600, 86_400, 3 * 86_400, 11 * 86_400]))
    def jump(self, seconds):
        self.world.jump(seconds)

    # processes

    @rule(arrives=st.booleans(), skew=skews, rejects_key=st.sampled_from([False, False, False, True]))
    def kill(self, arrives, skew, rejects_key):
        """Start another process; with `rejects_key`, Jira knows no key of the relay."""
        self.world.kill(cancelled_commit_succeeds=arrives, skew_ms=skew)
        if rejects_key != self.world.jira_rejects_key:
            self.world.set_jira_rejects_key(rejects_key=rejects_key)

    @precondition(lambda self: len(self.world.replaced_processes) < 3)
    @rule(skew=skews)
    def take_over(self, skew):
        self.world.take_over(skew)

    @precondition(lambda self: len(self.world.replaced_processes) < 3)
    @rule()
    def hand_over(self):
        self.world.hand_over()

    @rule(skew=skews, arrives=st.booleans())
    def a_clock_jumps(self, skew, arrives):
        """Skew the owner's clock; `arrives`: whether a cancelled commit succeeds from now on."""
        self.world.owner.skew_ms = skew
        self.world.owner.cancelled_commit_succeeds = arrives

    # operators

    @rule(name=names, backfill=backfills, paused=st.sampled_from([False, False, True]))
    def change(self, name, backfill, paused):
        """Add an organization, add it again, or modify it."""
        self.world.add(name, backfill_days=backfill, state="paused" if paused else "active")

    @rule(name=names)
    def delete(self, name):
        self.world.delete(name)

    # Kafka

    @rule(live=st.integers(0, 8), history=st.integers(0, 8), progress=st.integers(0, 8))
    def lose_the_ends(self, live, history, progress):
        self.world.lose_log_ends({TOPICS.events: live, TOPICS.backfill: history, TOPICS.progress: progress})

    @rule(topic=st.sampled_from([TOPICS.events, TOPICS.backfill]))
    def expire(self, topic):
        self.world.log.expire(topic, self.world.now_ms() - RETENTION_MS)

    @invariant()
    def holds(self):
        if self.world.owner is not None:
            check_invariants(self.world)

    def teardown(self):
        try:
            if self.world.owner is not None:
                self.world.recover_and_read_all()
                check_final_state(self.world)
        finally:
            self.world.end()


@pytest.mark.timeout(0)
def test_every_history_ends_with_each_record_once():
    """Under any faults, no event is twice, no cursor is ahead, and no promised event is missing."""
    run_state_machine_as_test(
        ShardMachine,
        settings=settings(
            max_examples=EXAMPLES,
            derandomize=EXAMPLES < MANY,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            print_blob=True,
        ),
    )


def poll_an_hour_and_a_day(world):
    """Create live, late and old records, and run through many transactions, a daily and a weekly re-read."""
    world.add("acme", backfill_days=1)
    acme = world.jiras["acme"]
    for ago in (30 * HOUR, 20 * HOUR, 3 * HOUR, 3 * HOUR, HOUR):
        acme.add_record(world.now_ms() - ago, world.now_ms() - ago)
    world.take_over()
    world.run(20)
    for delay in (0, 0, 0, 5 * MINUTE, 2 * HOUR):
        acme.add_record(world.now_ms(), world.now_ms() + delay)
    world.run(400)
    world.jump(3_600)
    world.run(40)
    acme.add_record(world.now_ms() - DAY_MS // 2, world.now_ms())
    world.jump(86_400)
    world.run(100)


def lose_and_take_over(world, topics):
    """Lose the last transaction on these topics, and replace the owner."""
    world.lose_log_ends(dict.fromkeys(topics, 4))
    world.kill()


def faults_at(kind):
    """Yield all faults that may come at a step of this kind."""

    def with_outcome(outcome):
        return outcome, lambda world, step: world.steps.complete(step, outcome)

    yield from map(with_outcome, OUTCOMES[kind][1:])
    yield "kill", lambda world, _: world.kill()
    yield "kill, its last commit succeeds", lambda world, _: world.kill(cancelled_commit_succeeds=True)
    yield "take over", lambda world, _: world.take_over()
    yield "hand over", lambda world, _: world.hand_over()
    yield "modify", lambda world, _: world.add("acme", backfill_days=3)
    yield "delete", lambda world, _: (world.delete("acme"), world.jump(9), world.add("acme", backfill_days=1))
    for topics in (EVENTS, (TOPICS.progress,), (*EVENTS, TOPICS.progress)):
        yield f"lose the end of {topics}", lambda world, _, lost=topics: lose_and_take_over(world, lost)
    yield "wait an hour", lambda world, _: world.jump(3_600)


def run_with_fault(wanted=None, fault=None):
    """Return the kinds of the course's steps, with `fault` at step `wanted`."""
    world, kinds = ShardWorld(), []

    def halt(number, kind):
        kinds.append(kind)
        return number == wanted

    try:
        world.steps.halt_when = halt
        world.fault = fault and partial(fault, world)
        poll_an_hour_and_a_day(world)
        check_invariants(world)
        world.recover_and_read_all()
        check_final_state(world)
    finally:
        world.end()
    return kinds


@pytest.mark.timeout(900)
def test_each_step_survives_each_fault():
    """The test repeats a course of a day for each of its steps and each fault there."""
    for number, kind in enumerate(run_with_fault()):
        for turn, (name, fault) in enumerate(faults_at(kind)):
            if EXAMPLES < MANY and (number + turn) % SHARE:
                continue
            try:
                run_with_fault(number, fault)
            except AssertionError as error:
                raise AssertionError(f"{name} at step {number} ({kind})") from error


def test_an_aborted_event_that_is_visible_again_is_not_repeated():
    """Kafka loses the abort marker after later progress was written."""
    world = ShardWorld()
    events = world.log.partitions[TOPICS.events].entries
    try:
        world.add("acme")
        world.take_over()
        world.run(20)
        world.jiras["acme"].add_record(world.now_ms(), world.now_ms())
        world.steps.halt_when = lambda _, kind: kind == "commit" and events

        def refuse(step):
            world.steps.complete(step, "refused")
            world.delete("acme")
            world.add("globex")

        world.fault = refuse
        world.run(400)
        assert [entry.state for entry in events] == ["aborted", "marker"]
        world.lose_log_ends({TOPICS.events: 1})
        world.add("acme")
        world.kill()
        world.recover_and_read_all()
        check_final_state(world)
    finally:
        world.end()
    assert [entry.state for entry in events] == ["committed", "marker"]
