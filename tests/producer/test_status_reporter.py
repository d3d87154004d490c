from collections import Counter
from dataclasses import replace

import pytest
import structlog
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.publishing.publish_result import PublishResult
from producer.sources.purpose import Purpose
from producer.state.checkpoint import IdReuse
from producer.state.intervals import TimeRange
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.organizations import Organization
from relay.status.model import take_over
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS

NOW = 1_790_000_000_000


@pytest.fixture
def status_writer():
    return StatusWriter(None, "status")


def open_reporter(status_writer, previous=None, registry=None, shard_problem=lambda: None, **fields):
    organization = Organization("acme", "https://acme.example", "u", 0, 0, 1, **fields)
    metrics = ProducerMetrics(registry or CollectorRegistry())
    return OrganizationStatusReporter(
        organization, status_writer, metrics, lambda: NOW, 60, previous, shard_problem=shard_problem
    )


def test_a_heartbeat_leaves_a_fresh_status_alone():
    """It renews a status that no round has published for a minute, and one whose shard cannot write; also after a clock went back."""
    now, problem, written = [NOW], [None], []

    class Writer(StatusWriter):
        def put(self, key, status):
            written.append((now[0], status.state))
            super().put(key, status)

    reporter = OrganizationStatusReporter(
        Organization("acme", "https://acme.example", "u", 0, 0, 1),
        Writer(None, "status"),
        ProducerMetrics(CollectorRegistry()),
        lambda: now[0],
        60,
        None,
        shard_problem=lambda: problem[0],
    )
    written.clear()
    for at, trouble in (
        (59_999, None),
        (60_000, None),
        (61_000, "Kafka is away."),
        (121_000, None),
        (5_000, None),
    ):
        now[0], problem[0] = NOW + at, trouble
        reporter.renew()
    assert written == [
        (NOW + 60_000, "active"),
        (NOW + 61_000, "failing"),
        (NOW + 121_000, "failing"),
        (NOW + 5_000, "failing"),
    ]


def failing():
    return take_over("failing", NOW - 60_000, reason="The key was refused.")


def test_a_failure_outlives_its_owner(status_writer):
    """A new owner keeps the failure's reason until Jira has answered."""
    status = open_reporter(status_writer, failing()).status

    assert (status.state, status.reason, status.since) == (
        "failing",
        "The key was refused.",
        NOW - 60_000,
    )
    assert status_writer.last_put(status_key("acme")) == status


def test_the_kind_of_a_failure_is_a_gauge_until_a_round_is_complete(status_writer):
    """Its value is the beginning of the state; a shard that cannot write is a kind of its own."""
    registry, problem = CollectorRegistry(), [None]
    reporter = open_reporter(status_writer, None, registry, lambda: problem[0])

    def kinds():
        samples = [s for f in registry.collect() for s in f.samples if "failing_since" in s.name]
        return {s.labels["kind"]: s.value for s in samples}

    seen = [kinds()]
    reporter.failing("tls", "No trust.", 1, waiting=False)
    seen.append(kinds())
    problem[0] = "Kafka is away."
    reporter.active()
    seen.append(kinds())
    problem[0] = None
    reporter.active()
    seen.append(kinds())

    assert seen == [{}, {"tls": NOW / 1000}, {"shard-closed": NOW / 1000}, {}]


def test_the_gauges_show_the_last_word_of_two_reporters(status_writer):
    """A shard that comes back at once may close beside its successor, and tell of one more round; series may end meanwhile."""
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)

    def reporter(expires):
        organization = Organization("acme", "https://acme.example", "u", 0, 0, 1, credential_expires=expires)
        return OrganizationStatusReporter(organization, status_writer, metrics, lambda: NOW, 60, None)

    def shown():
        samples = [s for family in registry.collect() for s in family.samples]
        states = [s.labels["state"] for s in samples if "organization_state" in s.name and s.value]
        return states, [s.value for s in samples if "expiry" in s.name]

    former, present = reporter(1_000), reporter(2_000)
    assert shown() == (["active"], [2.0])
    present.failing("tls", "No trust.", 1, waiting=False)
    former.active()
    present.failing("tls", "No trust.", 1, waiting=False)
    assert shown() == (["failing"], [2.0])
    metrics.remove_organization("acme")
    assert shown() == ([], [])
    present.failing("tls", "No trust.", 1, waiting=False)
    assert shown() == (["failing"], [2.0])


def test_a_reloaded_shard_keeps_the_kind_of_a_failure(status_writer):
    """Its next request may be minutes away: a hold for a refused key lasts, and its alert must not end meanwhile."""
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    organization = Organization("acme", "https://acme.example", "u", 0, 0, 1)
    arguments = (status_writer, metrics, lambda: NOW, 60)
    first = OrganizationStatusReporter(organization, *arguments, None)
    first.failing("key-refused", "No.", 900, waiting=False)

    def kinds():
        return [s.labels["kind"] for f in registry.collect() for s in f.samples if "failing_since" in s.name]

    OrganizationStatusReporter(organization, *arguments, first.status)
    assert kinds() == ["key-refused"]
    OrganizationStatusReporter(replace(organization, state="paused"), *arguments, first.status)
    assert kinds() == []


def test_a_resumed_organization_is_no_longer_paused(status_writer):
    """The status shows a pause and a resumption at once, whatever the last status was."""
    paused = open_reporter(status_writer, failing(), state="paused").status
    resumed = open_reporter(status_writer, paused).status

    assert (paused.state, paused.reason) == ("paused", None)
    assert resumed.state == "active"
    assert [one.state for one in resumed.transitions] == ["paused", "active"]


def test_each_owner_has_a_higher_epoch(status_writer):
    """The epoch also rises when the former owner's clock was ahead."""
    ahead = replace(failing(), epoch=NOW + 60_000)

    assert open_reporter(status_writer, ahead).status.epoch == NOW + 60_001


def test_reused_ids_are_a_notice_of_an_active_organization(status_writer):
    """It says since when and how many, beside another notice, until a week has passed without one."""
    reporter = open_reporter(status_writer)
    reporter.events_published(PublishResult(Counter(), None, 0, IdReuse(NOW - 3_600_000, NOW - 60_000, 4)))
    reporter.active(125_000)
    clock, _, notice = reporter.status.reason.partition(" acme: ")

    assert reporter.status.state == "active"
    assert clock.startswith("The clock of this machine")
    assert notice.startswith("since 2026-09-21T13:13:20Z the source gave 4 records ids")
    reporter.events_published(PublishResult(Counter(), None, 0, IdReuse(0, NOW - 7 * DAY_MS, 4)))
    reporter.active()
    assert reporter.status.reason is None


def test_clock_skew_has_its_own_reason(status_writer):
    """The status reports the skew until it ends, and the log reports it once."""
    reporter = open_reporter(status_writer)
    with structlog.testing.capture_logs() as logs:
        for ahead in (125_000, 121_000, -3_600_000, 0):
            reporter.active(ahead)
            reasons = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
            if ahead:
                assert reporter.status.reason == reasons[-1]

    assert len(reasons) == 2
    assert "2 min ahead of the source's" in reasons[0]
    assert "60 min behind the source's" in reasons[1]
    assert (reporter.status.state, reporter.status.reason) == ("active", None)


def test_waiting_is_no_failure(status_writer):
    """The status of a rate-limited organization gives the end of the wait."""
    reporter = open_reporter(status_writer)
    reporter.failing("rate-limited", "Jira asks to be left alone.", 30, waiting=True)
    assert (reporter.status.state, reporter.status.waiting_until) == ("waiting", NOW + 30_000)
    reporter.active()
    assert (reporter.status.state, reporter.status.waiting_until, reporter.status.last_poll) == (
        "active",
        None,
        NOW,
    )


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.LIVE])
def test_a_range_that_the_source_fails_to_serve_is_named_until_it_is_read(status_writer, purpose):
    """Requests that succeed or fail meanwhile, for whatever purpose, do not change that."""
    reporter = open_reporter(status_writer)
    reporter.unread_ranges([TimeRange(NOW, NOW + 1)])
    reporter.active()
    reporter.purpose_failing(purpose, "unavailable", "acme: later", 1.0)
    reporter.purpose_succeeded(purpose)

    assert reporter.status.reason.startswith("The source fails to serve the records of ")
    assert len(reporter.status.transitions) <= 4
    reporter.unread_ranges([])
    assert reporter.status.reason is None
