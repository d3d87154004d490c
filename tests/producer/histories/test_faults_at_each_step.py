"""One day of a shard, repeated with each fault at each of its steps."""

from functools import partial

import pytest

from relay.timestamps import DAY_MS
from tests.producer.histories.budget import EXAMPLES, MANY, SHARE
from tests.producer.histories.holds import check_final_state, check_invariants, check_refill
from tests.producer.histories.machine import HOUR, MINUTE, OUTCOMES
from tests.producer.histories.world import ShardWorld
from tests.support.publisher import TOPICS

EVENTS = (TOPICS.events, TOPICS.backfill)


def poll_an_hour_and_a_day(world):
    """Create live, late and old records, and run through many transactions, a daily and a weekly re-read, and a restore with a late record."""
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
    acme.restore(3)
    for _ in range(2):
        acme.add_record(world.now_ms(), world.now_ms())
    world.run(400)
    acme.add_record(world.now_ms() - 1, world.now_ms() + 10 * MINUTE)
    for _ in range(2):
        acme.add_record(world.now_ms(), world.now_ms())
    world.run(400)
    acme.add_record(world.now_ms() - DAY_MS // 2, world.now_ms())
    world.jump(86_400)
    world.run(100)


def read_around_a_failing_record(world):
    """Let one record fail each page, so that an unread range is opened and searched, and serve it later."""
    world.add("acme")
    acme = world.jiras["acme"]
    world.take_over()
    world.run(20)
    for ago in (3, 2, 2, 1):
        acme.add_record(world.now_ms() - ago, world.now_ms() - ago)
    acme.fail_last(1)
    world.run(400)
    acme.add_record(world.now_ms(), world.now_ms())
    world.run(300)
    acme.fail_last(0)
    world.run(600)


def refill_a_window(world):
    """Read a window again for one destination, beside live polling: records of one instant, of several days, in many transactions."""
    world.add("acme")
    acme = world.jiras["acme"]
    world.take_over()
    world.run(20)
    for ago in (30 * HOUR, 30 * HOUR, *6 * [20 * HOUR], 3 * HOUR, 2):
        acme.add_record(world.now_ms() - ago, world.now_ms() - ago)
    world.run(400)
    for _ in range(3):
        acme.add_record(world.now_ms(), world.now_ms())
    world.start_refill("acme", world.now_ms() - 40 * HOUR, world.now_ms())
    acme.add_record(world.now_ms(), world.now_ms())
    world.run(400)


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


def run_with_fault(course, wanted=None, fault=None):
    """Return the kinds of the course's steps, with `fault` at step `wanted`."""
    world, kinds = ShardWorld(), []

    def halt(number, kind):
        kinds.append(kind)
        return number == wanted

    try:
        world.steps.halt_when = halt
        world.fault = fault and partial(fault, world)
        course(world)
        check_invariants(world)
        world.recover_and_read_all()
        check_final_state(world)
        if world.refill is not None:
            check_refill(world)
    finally:
        world.end()
    return kinds


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("course", "share"),
    [
        (poll_an_hour_and_a_day, SHARE),
        (read_around_a_failing_record, 5 * SHARE),
        (refill_a_window, 8 * SHARE),
    ],
)
def test_each_step_survives_each_fault(course, share):
    """The test repeats a course for each of its steps and each fault there."""
    for number, kind in enumerate(run_with_fault(course)):
        for turn, (name, fault) in enumerate(faults_at(kind)):
            if EXAMPLES < MANY and (number + turn) % share:
                continue
            try:
                run_with_fault(course, number, fault)
            except AssertionError as error:
                raise AssertionError(f"{name} at step {number} ({kind})") from error
