import pytest
import structlog
from prometheus_client import CollectorRegistry

from consumer.destinations.outcome import Paused, Retry, Sent
from consumer.metrics import ConsumerMetrics
from relay.kafka import TopicPartition
from tests.support.log_lines import shown

DENIED = "The identity may not send (403). Give it the role Monitoring Metrics Publisher."


class World:
    def __init__(self):
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.metrics = ConsumerMetrics(self.registry, lambda: self.now)
        self.live = self.metrics.for_pipeline("sentinel", "live")

    def request(self, outcome):
        self.live.request_ended(outcome, rows=10, raw_bytes=100, wire_bytes=50, seconds=0.1)

    def observe(self, seconds, state, reason=None):
        """Report the state once a second, as the reporter does."""
        for _ in range(seconds):
            self.metrics.state_observed("sentinel", state, reason)
            self.now += 1


@pytest.fixture
def world():
    return World()


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_a_denied_destination_has_a_line_an_hour(world, lines):
    """Two hours of refusals give the start, a reminder and the end with the number of requests; no request has a line."""
    world.observe(5, "starting")
    world.observe(5, "active")
    for _ in range(24):
        world.request(Paused(DENIED, 403))
        world.observe(300, "paused", DENIED)
    world.request(Sent())
    world.observe(5, "active")

    assert shown(lines) == [
        ("error", DENIED, None),
        ("error", DENIED, "1 h"),
        ("info", "Destination is active again; it was not for 2 h (24 attempts).", None),
    ]


def test_a_change_of_state_has_a_line(world, lines):
    """From waiting to paused is a line; the reason of the same state may vary without one."""
    world.request(Retry("A request timed out.", None))
    world.observe(3, "waiting", "A request timed out.")
    world.observe(3, "waiting", "The service is busy (503).")
    world.observe(3, "paused", DENIED)

    assert [(level, event) for level, event, _ in shown(lines)] == [
        ("warning", "A request timed out."),
        ("error", DENIED),
    ]


def test_a_start_has_no_line(world, lines):
    """A destination that starts and becomes active has no line of its own."""
    for _ in range(5):
        world.observe(10, "starting", "joining the group")
        world.observe(10, "active")

    assert shown(lines) == []


def test_a_start_that_lasts_has_a_line(world, lines):
    """A destination that cannot start for a minute has a line with the reason, and one at the end."""
    world.observe(200, "starting", "The start offset cannot be looked up.")
    world.observe(1, "active")

    assert [(level, event) for level, event, _ in shown(lines)] == [
        ("warning", "The start offset cannot be looked up."),
        ("info", "Destination has started; it could not for 3 min."),
    ]


def test_commits_that_fail_have_one_line(world, lines):
    """Offsets that cannot be committed for minutes have a start and an end."""
    for _ in range(100):
        world.live.commit_failed("Kafka does not answer.")
        world.now += 3
    world.live.offsets_committed()
    world.live.offsets_committed()

    assert [(level, event) for level, event, _ in shown(lines)] == [
        ("warning", "Offsets could not be committed; trying again."),
        ("info", "Offsets are committed again; they had not been for 5 min (100 attempts)."),
    ]


def test_a_corrupt_batch_has_a_line_an_hour_and_an_end(world, lines):
    """A partition that waits for an intact batch is an error once an hour, and its end is a line."""
    partition = TopicPartition("events", 3)
    for _ in range(90):
        world.live.batch_corrupt(partition, 10, 12, "wrong checksum")
        world.now += 60
    world.live.batch_readable(partition)

    assert [(level, lasting) for level, _, lasting in shown(lines)] == [
        ("error", None),
        ("error", "1 h"),
        ("info", None),
    ]


def test_partitions_begin_in_one_line(world, lines):
    """All partitions that begin for one reason are one line, and a committed offset is no news."""
    offsets = {TopicPartition("events", number): 0 for number in range(16)}
    world.live.reading_started(offsets, "the first start")
    world.live.reading_started(offsets, "the group's committed offset")

    assert [event for _, event, _ in shown(lines)] == ["Reading started."]


def test_counters_of_a_flow_begin_at_0(world):
    """Each status, reason and event counter of a flow has a series at 0 from the start."""
    names = {"destination": "sentinel", "flow": "live"}
    for name, label in (
        ("requests", {"status": "none"}),
        ("retries", {"reason": "paused"}),
        ("events_dead_lettered", {"reason": "rejected"}),
        ("events_accepted", {}),
    ):
        assert world.registry.get_sample_value(f"jira_relay_consumer_{name}_total", names | label) == 0


def test_the_lag_ends_with_its_owner(world):
    """The lag of a group is no series of a process that does not own partition 0."""
    name, labels = "jira_relay_consumer_lag_events", {"destination": "sentinel", "flow": "live"}
    world.live.gauges.set_group_lag(7)
    assert world.registry.get_sample_value(name, labels) == 7

    world.live.gauges.set_group_lag(None)
    world.live.gauges.set_group_lag(None)

    assert world.registry.get_sample_value(name, labels) is None


def test_the_lag_of_an_acceptance_ends_with_its_minute(world):
    """A flow that accepts nothing any more shows no lag of long ago, which would hide those of other processes."""

    def lags():
        names = [{"destination": "sentinel", "flow": flow} for flow in ("live", "history")]
        return [world.registry.get_sample_value("jira_relay_consumer_lag_seconds", each) for each in names]

    history = world.metrics.for_pipeline("sentinel", "history")
    history.body_delivered(now=1_000_000, oldest=0, newest=100_000, created=None)
    world.live.body_delivered(now=1_060_000, oldest=0, newest=1_059_000, created=None)
    world.metrics.acceptance_lags.end_old(1_060_000)
    assert lags() == [1, 900]

    world.metrics.acceptance_lags.end_old(1_060_001)
    assert lags() == [1, None]

    history.body_delivered(now=1_070_000, oldest=0, newest=1_068_000, created=None)
    world.metrics.acceptance_lags.end_old(1_130_000)
    assert lags() == [None, 2]


def test_latency_is_of_live_events(world):
    """A body observes both latencies if its oldest event is live, and only that since collection if it is history."""
    world.live.body_delivered(now=100_000, oldest=98_000, newest=99_000, created=40_000)
    world.live.body_delivered(now=100_000, oldest=98_000, newest=99_000, created=None)

    names = {"destination": "sentinel", "flow": "live"}
    sums = [
        world.registry.get_sample_value(f"jira_relay_consumer_{name}_latency_seconds_sum", names)
        for name in ("event", "delivery")
    ]
    assert sums == [60, 4]
