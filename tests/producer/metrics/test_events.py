from dataclasses import replace

import pytest
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from producer.metrics import ProducerMetrics
from producer.metrics.catalogue import CATALOGUE
from relay.status.model import Silence, take_over
from tests.support.log_lines import shown

CAPTCHA = ("captcha", "acme: Jira wants a CAPTCHA. Log in once.", 300.0)
UNAVAILABLE = ("unavailable", "acme: Jira has a fault (503).", 30.0)


class World:
    def __init__(self):
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.metrics = ProducerMetrics(self.registry, lambda: self.now)
        self.start("acme")

    def start(self, organization, **known):
        status = replace(take_over("active", 0), **known)
        self.metrics.organization_started(organization, 60, 5_000, status)

    def fail(self, times, error=CAPTCHA, every=60.0, organization="acme"):
        for _ in range(times):
            self.metrics.round_failed(organization, *error)
            self.now += every

    def value(self, name, **labels):
        return self.registry.get_sample_value(
            f"jira_relay_producer_{name}", {"organization": "acme", **labels}
        )


@pytest.fixture
def world():
    return World()


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_an_organization_refused_for_hours_has_a_line_an_hour(world, lines):
    """Three hours of refusals each minute give the start, a reminder each hour and the end, and each is counted."""
    world.fail(180)
    world.metrics.round_ended("acme", 1)
    world.metrics.round_ended("acme", 2)

    refused = CAPTCHA[1]
    assert shown(lines) == [
        ("warning", refused, None),
        ("warning", refused, "1 h"),
        ("warning", refused, "2 h"),
        ("info", "Polling works again; it had failed for 3 h (180 attempts).", None),
    ]
    assert world.value("rounds_total", outcome="failed") == 180
    assert world.value("source_errors_total", kind="captcha") == 180


def test_another_error_is_another_line(world, lines):
    """A change of the error is a line; the same two in turns are none."""
    for _ in range(10):
        world.fail(1, UNAVAILABLE)
        world.fail(1, CAPTCHA)

    assert [line for _, line, _ in shown(lines)] == [UNAVAILABLE[1], CAPTCHA[1]]


def test_organizations_have_conditions_of_their_own(world, lines):
    """The recovery of one organization ends no other's condition."""
    world.fail(1)
    world.fail(1, organization="globex")
    world.metrics.round_ended("globex", 1)

    assert [line["organization"] for line in lines if line["log_level"] == "info"] == ["globex"]


@pytest.mark.parametrize("leave", ["pause", "remove"])
def test_a_condition_ends_with_its_subject(world, lines, leave):
    """After an operator's pause, or when another process polls the organization, no line claims a recovery."""
    world.fail(3)
    if leave == "pause":
        world.metrics.organization_state("acme", "paused", None)
    else:
        world.metrics.remove_organization("acme")
    world.metrics.round_ended("acme", 1)

    assert len(shown(lines)) == 1


def test_a_shard_that_publishes_again_says_for_how_long_it_did_not(world, lines):
    """Transactions that fail again and again have one line, and one when the next succeeds."""
    for _ in range(20):
        world.metrics.transaction(3, "failed", 8.0)
        world.metrics.publisher_failed(3, "Kafka did not answer within 8 s.")
        world.metrics.shard_loaded(3, 5, 0)
        world.now += 12
    world.metrics.transaction(4, "committed", 0.1)
    world.metrics.transaction(3, "committed", 0.1)

    first, last = (line for line in lines if line["log_level"] != "debug")
    assert (first["log_level"], first["shard"]) == ("warning", 3)
    assert last["event"] == "Transactions succeed again; they had failed for 4 min (20 attempts)."


def test_a_quiet_round_has_no_line(world, lines):
    """Rounds, their events and loaded shards are at debug."""
    world.metrics.round_ended("acme", 1)
    world.metrics.events_published("acme", "live", 3, 1)
    world.metrics.shard_loaded(3, 5, 0)

    assert shown(lines) == []


def test_counters_of_an_organization_begin_at_0(world):
    """Each mode and outcome has a series at 0 from the start, and the interval is known."""
    assert [world.value("events_published_total", mode=mode) for mode in ("live", "late", "backfill")] == [
        0
    ] * 3
    assert world.value("rounds_total", outcome="failed") == 0
    assert world.value("organization_interval_seconds") == 60


def test_a_new_owner_knows_the_age_of_an_organization(world):
    """Time of the last round, of the newest event and of completeness are there before its first round here."""
    world.start("acme", last_poll=1_000, last_event=2_000, complete_up_to=3_000)

    names = ("last_poll", "last_event", "complete_up_to", "organization_added")
    assert [world.value(f"{name}_timestamp_seconds") for name in names] == [1, 2, 3, 5]


def test_an_organization_fails_for_one_kind_of_error(world):
    """Another kind replaces the former one, and a complete round ends the series."""
    kinds = []
    for kind in ("captcha", "tls", "tls", None, "captcha"):
        world.metrics.failing_since("acme", kind, 7_000)
        samples = [s for f in world.registry.collect() for s in f.samples if "failing_since" in s.name]
        kinds.append([(s.labels["kind"], s.value) for s in samples])

    assert kinds == [[("captcha", 7)], [("tls", 7)], [("tls", 7)], [], [("captcha", 7)]]


def test_a_withdrawn_expiry_has_no_series(world):
    """No alert follows the date that an operator took back."""
    world.metrics.organization_state("acme", "active", 9_000)
    assert world.value("credential_expiry_timestamp_seconds") == 9

    world.metrics.organization_state("acme", "active", None)
    assert world.value("credential_expiry_timestamp_seconds") is None


def test_a_removal_reads_no_series_of_others(world, monkeypatch):
    """A search for each of thousands of organizations would hold up the process for minutes."""
    world.fail(1)
    world.fail(1, organization="globex")
    monkeypatch.setattr(MetricWrapperBase, "remove_by_labels", None)

    world.metrics.remove_organization("acme")

    left = {
        s.labels["organization"]
        for f in world.registry.collect()
        for s in f.samples
        if s.labels.get("organization")
    }
    assert left == {"globex"}


def test_a_removed_organization_has_no_series(world):
    """Every metric with the label of an organization loses its series."""
    world.fail(1)
    world.metrics.round_ended("acme", 1)
    world.metrics.complete_up_to("acme", 1)
    world.metrics.unread_ranges("acme", 1.0)
    world.metrics.events_published("acme", "live", 3, 1)
    world.metrics.organization_state("acme", "failing", 1)
    world.metrics.failing_since("acme", "captcha", 1)
    world.metrics.silence.current("acme", Silence(1, 2, "quiet", 0.5))
    named = {f.name for f in world.registry.collect() if any(s.labels.get("organization") for s in f.samples)}
    assert len(named) == sum("organization" in [label.name for label in each.labels] for each in CATALOGUE)

    world.metrics.remove_organization("acme")

    assert not any(s.labels.get("organization") for f in world.registry.collect() for s in f.samples)


def test_a_feed_that_gives_no_answer_has_no_silence(world):
    """Its last word would be good news without knowledge; so would the chance of a silence that is not judged."""
    labels = {"organization": "acme"}
    for silence, left in (
        (Silence(1, 2, "silent", 0.0004), (1, 0.0004)),
        (Silence(1, 2, "learning", learning_until=3), (0, None)),
        (None, (None, None)),
    ):
        world.metrics.silence.current("acme", silence)
        value = world.registry.get_sample_value
        assert left == (
            value("jira_relay_producer_silence_state", labels | {"state": "silent"}),
            value("jira_relay_producer_silence_probability_ratio", labels),
        )


def test_latency_has_no_history(world):
    """Live and late events are observed each in their histogram, and backfill in none."""
    for mode in ("live", "late", "backfill"):
        world.metrics.event_latency(mode, 90.0)

    for name in ("publish_latency", "late_arrival"):
        assert world.registry.get_sample_value(f"jira_relay_producer_{name}_seconds_count") == 1
