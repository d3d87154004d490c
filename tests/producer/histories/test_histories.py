"""Every history of one shard: the real producers, with Jira, Kafka and time driven by Hypothesis."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from producer.status_reporter import status_key
from tests.producer.histories.budget import EXAMPLES, MANY
from tests.producer.histories.holds import check_final_state, published
from tests.producer.histories.machine import ShardMachine
from tests.producer.histories.world import ShardWorld
from tests.support.publisher import TOPICS


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


def test_a_user_is_renamed_between_two_pages_of_a_window():
    """The later page begins with a row of the earlier one, which shows another name now."""
    world = ShardWorld()
    try:
        world.add("acme")
        acme = world.jiras["acme"]
        world.take_over()
        world.run(400)
        acme.max_page_size = 2
        for ago in (5, 4, 3, 2, 1):
            acme.add_record(world.now_ms() - ago * 1_000, world.now_ms() - ago * 1_000)
        show = acme.page

        def rename_and_show(since, until, offset, limit):
            acme.renames += 1
            return show(since, until, offset, limit)

        acme.page = rename_and_show
        world.run(900)
        world.recover_and_read_all()
        check_final_state(world)
        events = [event for entries in published(world).values() for _, event in entries]
        reason = world.owner._status_writer.last_put(status_key("acme")).reason
    finally:
        world.end()
    assert len(events) == 5
    assert [event["variant"] for event in events] == [None] * 5
    assert reason is None


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
