import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.coverage import CoverageCheck
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.destinations.outcome import Retry
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import destination_status_key
from consumer.offsets.delivered import DeliveryProgress
from consumer.running_pipelines import RunningDestination, RunningPipeline, flow_state
from consumer.status_reporter import DestinationStatusReporter
from consumer.timing import ReporterTiming
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import GroupCoverage
from relay.status.model import GroupOffset, HourCount
from relay.status.reader import UnreadableStatusError
from relay.status.slots import SLOT_MS
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, now_ms
from tests.support.views import status

ONE = frozenset([0])
METRICS = ConsumerMetrics(CollectorRegistry())


class FakeHandler:
    ready = True
    waiting_reason = "joining the group"
    assignments = 1

    def __init__(self, topic):
        self.partitions = [TopicPartition(topic, 0)]

    def oldest_seconds(self):
        return 0.0

    async def progress_and_ends(self, partitions):
        return dict.fromkeys(partitions, (DeliveryProgress.starting_at(0), 0))


class NoStatusHistory:
    async def latest(self, _key):
        return None

    async def to_continue(self, _key, *, replaceable):  # noqa: ARG002
        return None


def running_pipeline(flow):
    metrics = METRICS.for_pipeline("sentinel", flow)
    delivery_flow = DeliveryFlow(None, RouteStates(RateLimit()), None, metrics)
    member = SimpleNamespace(valid=True, trouble=None)
    coverage = CoverageCheck(flow, lambda: asyncio.sleep(0, GroupCoverage(owned=ONE, partitions=ONE)))
    return RunningPipeline(flow, member, FakeHandler(flow), delivery_flow, metrics, coverage, name=flow)


def make_reporter(pipelines, older=None, start="earliest", timing=None):
    """Return a reporter of one partition, and a function that returns the status it has put last."""
    status_writer = StatusWriter(None, "status")
    reporter = DestinationStatusReporter(
        "sentinel",
        RunningDestination(pipelines, older),
        1,
        start,
        status_writer,
        NoStatusHistory(),
        METRICS,
        Health(),
        timing=timing,
    )
    return reporter, lambda: status_writer.last_put(destination_status_key("sentinel"))


@pytest.mark.parametrize("error", [UnreadableStatusError("of a later release"), TimeoutError()])
async def test_a_status_that_cannot_be_read_is_kept_until_every_start_is_known(error):
    """It may be the one memory of the offsets: a destination that has not begun reads it after the first report."""

    class Unreadable(NoStatusHistory):
        async def to_continue(self, _key, *, replaceable):
            if isinstance(error, UnreadableStatusError) and replaceable:
                return
            raise error

    pipeline = running_pipeline("live")
    pipeline.handler.ready = False
    reporter, last_status = make_reporter([pipeline])
    reporter._status_cache = Unreadable()
    await reporter.publish()
    assert last_status() is None
    pipeline.handler.ready = True
    await reporter.publish()
    assert (last_status() is None) == isinstance(error, TimeoutError)


async def test_lost_events_are_no_problem_of_the_destination_and_are_named():
    """The other events arrive; the status names the loss while it is active, until it is dismissed."""
    reporter, last_status = make_reporter([running_pipeline("live"), running_pipeline("history")])
    losses = SimpleNamespace(text="Kafka deleted events")
    reporter._running = replace(reporter._running, loss_log=losses)
    await reporter.publish()
    assert (last_status().state, last_status().reason) == ("active", "Kafka deleted events")
    losses.text = None
    await reporter.publish()
    assert (last_status().state, last_status().reason) == ("active", None)


@pytest.mark.parametrize("throttled", [0, 1], ids=["live", "history"])
async def test_until_when_it_waits_is_reported_whichever_flow_it_is(throttled):
    pipelines = [running_pipeline("live"), running_pipeline("history")]
    reporter, last_status = make_reporter(pipelines)
    breaker = pipelines[throttled].flow.routes.of(None).breaker
    breaker.release(await breaker.acquire(), Retry("busy", 429, after=600))
    await reporter.publish()
    found = last_status()
    assert found.state == "waiting"
    assert found.waiting_until > (time.time() + 590) * 1000


async def test_the_lag_of_each_quarter_goes_on_with_the_next_owner_and_old_counts_leave():
    """Counts of earlier releases stay as long as pages show them: each process has its own now."""
    former = status(counts=tuple(HourCount(now_ms() - days * DAY_MS, 1, 0, 0) for days in (3, 0)))
    former = former.with_slot(now_ms() - SLOT_MS, lag=7)
    reporter, last_status = make_reporter([running_pipeline("live")])
    reporter._status_cache.to_continue = lambda _key, *, replaceable: asyncio.sleep(0, former)  # noqa: ARG005
    reporter._running.pipelines[0].handler.progress_and_ends = lambda partitions: asyncio.sleep(
        0, dict.fromkeys(partitions, (DeliveryProgress.starting_at(0), 5))
    )
    await reporter.publish()
    assert [each.lag for each in last_status().slots] == [7, 5]
    assert last_status().counts == former.counts[1:]


async def test_older_events_count_while_they_are_delivered_and_their_offsets_are_backed_up():
    """Live and older events have one topic and two groups; before and after their delivery older ones have no state."""
    place, committed = TopicPartition("live", 0), DeliveryProgress(7, 40, None, (), 60)
    pipelines = [running_pipeline("live"), running_pipeline("history"), running_pipeline("older")]
    older = SimpleNamespace(
        phase="looking", notice="Up to 3 events are not sent", progress={place: committed}
    )
    older_pipeline = replace(pipelines[2], topic="live")
    older_pipeline.handler.ready = False
    older_pipeline.handler.progress_and_ends = lambda partitions: asyncio.sleep(
        0, dict.fromkeys(partitions, (committed, 100))
    )
    timing = ReporterTiming(offsets_seconds=0, backup_seconds=0)
    reporter, last_status = make_reporter([*pipelines[:2], older_pipeline], older, "recent", timing)

    async def published():
        await reporter.publish()
        return last_status()

    status = await published()
    assert (status.state, status.reason, status.lag) == ("active", older.notice, 0)
    assert status.older_offsets == (GroupOffset("live", 0, 40, None, 60),)
    assert [each.offset for each in status.offsets if each.topic == "live"] == [0]

    older.phase = "delivering"
    older_pipeline.handler.waiting_reason = "joining the group"
    assert (await published()).state == "starting"
    older_pipeline.handler.ready = True
    status = await published()
    assert (status.state, status.lag) == ("active", 20)

    older.phase = "done"
    assert (await published()).lag == 0


async def test_a_stop_backs_up_the_last_offsets_and_ends_the_validity_of_an_owned_status():
    """A process that does not own the status writes nothing, and a Kafka that does not answer holds up no stop."""
    pipeline = running_pipeline("live")
    owned, pipeline.handler.partitions = pipeline.handler.partitions, []
    reporter, last_status = make_reporter([pipeline], timing=ReporterTiming(stop_seconds=0.05))
    await reporter.stop()
    assert last_status() is None

    pipeline.handler.partitions = owned
    await reporter.publish()
    running = last_status()
    commit(pipeline, 7)
    await reporter.stop()
    stopped = last_status()
    assert running.valid_until > stopped.valid_until == stopped.at
    assert (stopped.state, [each.offset for each in stopped.offsets]) == ("active", [7])

    pipeline.handler.progress_and_ends = lambda _partitions: asyncio.sleep(60)
    await reporter.stop()
    assert [each.offset for each in last_status().offsets] == [7]


async def test_a_rebalance_makes_the_backup_due():
    """A member that gave its partitions back may have delivered much since the last backup, and end with the next owner."""
    pipeline = running_pipeline("live")
    reporter, last_status = make_reporter([pipeline], timing=ReporterTiming(offsets_seconds=0))
    await reporter.publish()
    commit(pipeline, 7)
    await reporter.publish()
    assert [each.offset for each in last_status().offsets] == [0]
    pipeline.handler.assignments += 1
    await reporter.publish()
    assert [each.offset for each in last_status().offsets] == [7]


def commit(pipeline, offset):
    """Let the group of the pipeline have committed this offset."""
    found = (DeliveryProgress.starting_at(offset), offset)
    pipeline.handler.progress_and_ends = lambda partitions: asyncio.sleep(0, dict.fromkeys(partitions, found))


async def test_the_flow_whose_target_was_changed_is_paused_alone():
    """Live events go on while history waits for an operator, and the status names the half."""
    pipelines = [
        replace(
            running_pipeline(flow),
            guard=SimpleNamespace(
                problem=problem,
                reason_to_leave=problem,
                pause=None,
                paused_at=None,
                waiting=None,
                notice=None,
            ),
        )
        for flow, problem in (("live", None), ("history", "The history of the destination is another's."))
    ]
    reporter, last_status = make_reporter(pipelines)
    await reporter.publish()
    status = last_status()
    assert (status.state, status.reason) == ("paused", "The history of the destination is another's.")
    assert [flow_state(each)[0] for each in pipelines] == ["active", "paused"]


async def test_rejected_events_that_wait_for_others_are_named_while_all_is_active():
    pipeline = running_pipeline("live")
    reporter, last_status = make_reporter([pipeline])
    pipeline.flow.state.rejections_open("body", 2, 1_000, "400")
    await reporter.publish()
    status = last_status()
    assert status.state == "active"
    assert "2, since 1970-01-01T00:00:01Z (400)" in status.reason


async def test_a_flow_that_joins_while_kafka_is_away_names_kafka_and_the_time():
    """Status and health page say so, whatever its partitions wait for, until the group has confirmed the membership."""
    pipeline = running_pipeline("live")
    pipeline.handler.ready = False
    reporter, _ = make_reporter([pipeline])
    pipeline.member.trouble = "Kafka at b:9092 has not let this process join since 2026-11-30T09:00:00Z"
    await reporter.publish()
    (problem,) = reporter._health.problems()
    assert problem.startswith(
        "destination sentinel: Kafka at b:9092 has not let this process join since 2026"
    )
    pipeline.member.trouble = None
    await reporter.publish()
    assert reporter._health.problems()[0].startswith("destination sentinel: joining the group")
    pipeline.handler.ready = True
    await reporter.publish()
    assert reporter._health.problems() == []
