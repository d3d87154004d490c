"""The report on a destination that an operator has paused: no process is a member of its groups."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog
from prometheus_client import CollectorRegistry

from consumer.metrics import ConsumerMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import GroupProgress
from consumer.timing import ReporterTiming
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.timestamps import now_ms
from tests.consumer.test_status_reporter import make_reporter, running_pipeline

PLACE = TopicPartition("live", 0)
DAY_MS = 86_400_000
ALWAYS = ReporterTiming(offsets_seconds=0, unjoined_seconds=0)


class PausedGroup:
    """A group without members whose offset an operator moves."""

    def __init__(self, offset, end):
        self.offset, self.end = offset, end
        self.error = None

    async def read(self):
        if self.error is not None:
            raise self.error
        return GroupProgress(0, {PLACE: (DeliveryProgress.starting_at(self.offset), self.end)})


def paused_pipeline(group, paused_at):
    async def not_a_member(_partitions):
        raise TimeoutError("not a member of the consumer group now")

    guard = SimpleNamespace(
        pause="ann@host paused it.",
        paused_at=paused_at,
        problem=None,
        notice=None,
        waiting=None,
        reason_to_leave="ann@host paused it.",
    )
    pipeline = replace(running_pipeline("live"), guard=guard, read_unjoined=group.read)
    pipeline.handler.partitions = []
    pipeline.handler.ready = False
    pipeline.handler.oldest_seconds = lambda: None
    pipeline.handler.progress_and_ends = not_a_member
    return pipeline


async def test_the_backup_follows_a_move_during_a_pause():
    """Kafka forgets a group a week after it was left. An old backup would then undo the rewind or the skip."""
    group = PausedGroup(80, 100)
    reporter, last_status = make_reporter([paused_pipeline(group, now_ms())], timing=ALWAYS)
    for offset in (80, 20, 100):
        group.offset = offset
        await reporter.publish()
        status = last_status()
        assert (status.state, status.lag) == ("paused", 100 - offset)
        assert [(each.topic, each.offset) for each in status.offsets] == [("live", offset)]


@pytest.mark.parametrize("error", [RelayError("no"), TimeoutError(), OSError("away")])
async def test_a_kafka_that_does_not_answer_leaves_the_backup_and_hides_the_lag(error):
    group = PausedGroup(80, 100)
    reporter, last_status = make_reporter([paused_pipeline(group, now_ms())], timing=ALWAYS)
    await reporter.publish()
    group.error = error
    await reporter.publish()
    assert (last_status().lag, [each.offset for each in last_status().offsets]) == (None, [80])


@pytest.mark.parametrize(("days", "end", "alarms"), [(16, 100, 1), (16, 80, 0), (14, 100, 0)])
async def test_a_pause_longer_than_half_of_the_retention_is_an_alarm_while_events_wait(days, end, alarms):
    """Without a member nobody knows the age of the oldest event; Kafka deletes it all the same."""
    group = PausedGroup(80, end)
    reporter, _ = make_reporter([paused_pipeline(group, now_ms() - days * DAY_MS)], timing=ALWAYS)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await reporter.publish()
    assert sum("half of its retention" in each["event"] for each in lines) == alarms


@pytest.mark.parametrize(("end", "used"), [(100, 16 / 30), (80, 0)])
async def test_the_gauges_of_a_pause_know_its_beginning_and_what_it_may_cost(end, used):
    """The membership is left and not lost; events that wait get older, and with none waiting nothing does."""
    registry = CollectorRegistry()
    paused_at = now_ms() - 16 * DAY_MS
    pipeline = paused_pipeline(PausedGroup(80, end), paused_at)
    pipeline = replace(pipeline, metrics=ConsumerMetrics(registry).for_pipeline("sentinel", "live"))
    reporter, _ = make_reporter([pipeline], timing=ALWAYS)
    for _ in range(2):
        await reporter.publish()

    def value(name, **labels):
        named = {"destination": "sentinel", "flow": "live", **labels}
        return registry.get_sample_value(f"jira_relay_consumer_{name}", named)

    assert value("membership_state", state="left") == 1
    assert value("operator_pause_timestamp_seconds") == paused_at / 1000
    assert value("retention_used_ratio") == pytest.approx(used, abs=0.01)
    pipeline.guard.reason_to_leave = pipeline.guard.paused_at = None
    pipeline.member.valid = False
    pipeline.handler.oldest_seconds = lambda: 3 * 86_400
    await reporter.publish()
    assert value("membership_state", state="unconfirmed") == 1
    assert value("operator_pause_timestamp_seconds") is None
    assert value("retention_used_ratio") == pytest.approx(0.1)
    pipeline.handler.oldest_seconds = lambda: None
    await reporter.publish()
    assert value("retention_used_ratio") is None  # a 0 would be good news that nobody has


async def test_a_topic_without_any_retention_does_not_end_the_report():
    """Kafka takes retention.ms=0; the readiness names it, and the gauges go on."""
    kept = SimpleNamespace(retention_seconds=lambda _topic: 0.0, problem=lambda _topic: None)
    pipeline = replace(running_pipeline("live"), topic_settings=kept)
    pipeline.handler.oldest_seconds = lambda: 3.0
    reporter, last_status = make_reporter([pipeline])

    await reporter.publish()

    assert last_status().state == "active"


async def test_a_pause_does_not_hide_that_history_belongs_to_another_target():
    """Readiness is kept for a pause alone; the other target is the reason until an operator has acted."""
    live = paused_pipeline(PausedGroup(0, 0), now_ms())
    other = SimpleNamespace(**vars(live.guard) | {"problem": "It belongs to another target."})
    history = replace(running_pipeline("history"), guard=other)
    reporter, last_status = make_reporter([live, history])
    await reporter.publish()
    assert last_status().reason == "It belongs to another target."
    assert any("another target" in each for each in reporter._health.problems())
