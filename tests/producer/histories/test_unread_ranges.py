"""The search for a record that the source fails to serve, with faults at drawn steps of it."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from producer.status_reporter import status_key
from simulators.jira_cloud.log import Selection
from tests.producer.histories.budget import EXAMPLES, MANY
from tests.producer.histories.holds import check_final_state, check_invariants, progress, published
from tests.producer.histories.test_faults_at_each_step import faults_at
from tests.producer.histories.world import ShardWorld

STEPS = 260
"""Steps of the search without a fault."""
strikes = st.lists(st.tuples(st.integers(0, STEPS), st.integers(0, 40)), min_size=1, max_size=4)


def strike_at(world, wanted):
    """Let the faults come at the steps of these numbers, counted from now. Two of one number come one after the other."""
    first = world.steps.counted
    numbers = sorted((first + number, fault) for number, fault in wanted)

    def halt(number, _kind):
        return bool(numbers) and number >= numbers[0][0]

    def strike(step):
        faults = list(faults_at(step.kind))
        _, fault = faults[numbers.pop(0)[1] % len(faults)]
        fault(world, step)
        world.steps.halt_when = halt

    world.steps.halt_when, world.fault = halt, strike


def isolated(world, created):
    """Whether the only unread range is the millisecond of the record, and the status names one."""
    checkpoint = progress(world)[0].get("acme")
    status = world.owner._status_writer.last_put(status_key("acme"))
    return (
        checkpoint is not None
        and [(one.start, one.end) for one in checkpoint.unread_ranges] == [(created, created + 1)]
        and status is not None
        and "fails to serve the records of" in (status.reason or "")
    )


def search(world, wanted):
    world.add("acme")
    acme = world.jiras["acme"]
    world.take_over()
    world.run(20)
    now = world.now_ms()
    for ago in (3, 2, 2, 1):
        acme.add_record(now - ago, now - ago)
    acme.fail_last(1)
    strike_at(world, wanted)
    world.run(700)
    world.steps.halt_when = lambda _number, _kind: False
    acme.add_record(world.now_ms(), world.now_ms())
    for _ in range(12):
        world.run(700)
        if isolated(world, now - 1) and len(published(world)) == 4:
            break
    assert isolated(world, now - 1), (
        progress(world)[0],
        world.owner._status_writer.last_put("producer/acme"),
    )
    check_invariants(world)
    acme.fail_last(0)


@pytest.mark.timeout(0)
@given(strikes)
@settings(
    max_examples=EXAMPLES // 3,
    derandomize=EXAMPLES < MANY,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a history costs half a second, so shrinking would take minutes
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_search_that_faults_interrupt_ends_with_each_record_once(wanted):
    """All but the failing record are published, the status names its time, and it follows once it is served."""
    world = ShardWorld()
    try:
        search(world, wanted)
        world.recover_and_read_all()
        check_final_state(world)
        assert world.owner._status_writer.last_put(status_key("acme")).reason is None
    finally:
        world.end()


@pytest.mark.parametrize("restored", [False, True])
def test_a_range_older_than_the_ledgers_ends_with_each_record_once(restored):
    """The source serves the records after twelve days, over midnight, with ids that a restore gave again or not."""
    world = ShardWorld()
    try:
        world.add("acme")
        acme = world.jiras["acme"]
        world.take_over()
        world.run(20)
        world.jump(4 * 3_600 - 21)  # a second before midnight
        first = world.now_ms()
        for after in (-2, 0, 998, 1_002, 1_004):
            acme.add_record(first + after, first + max(0, after))
        acme.fail_last(0)
        acme.failing = {row.id for row in acme.log.select(Selection())} | {100_003, 100_004}
        for _ in range(4):
            world.run(700)
        assert progress(world)[0]["acme"].unread_ranges
        for day in range(12):
            acme.add_record(world.now_ms(), world.now_ms())
            if restored and day == 3:
                acme.restore(2)
            world.run(700)
            world.jump(86_400 - 700)
        world.kill()
        world.run(700)
        kept = progress(world)[1]["acme"]
        assert {"2026-11-20", "2026-11-21"} <= kept.keys()
        assert "2026-11-22" not in kept
        acme.fail_last(0)
        world.recover_and_read_all()
        check_final_state(world)
        assert "2026-11-21" not in progress(world)[1]["acme"]
    finally:
        world.end()
