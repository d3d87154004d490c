import platform

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from relay.telemetry.metrics import Counter, Gauge, Histogram, Label, Metric, MetricSet, open_registry

ORGANIZATION = Label("organization")
ROUNDS = Metric(
    Counter,
    "jira_relay_producer_rounds_total",
    "Rounds.",
    (ORGANIZATION, Label("outcome", ("complete", "failed"))),
)
ERRORS = Metric(Counter, "jira_relay_producer_source_errors_total", "Errors.", (ORGANIZATION, Label("kind")))
STATE = Metric(
    Gauge,
    "jira_relay_producer_organization_state",
    "State.",
    (ORGANIZATION, Label("state", ("active", "failing"))),
)
TRANSACTIONS = Metric(
    Counter,
    "jira_relay_producer_transactions_total",
    "Transactions.",
    (Label("outcome", ("committed", "failed")),),
)
DURATION = Metric(Histogram, "jira_relay_producer_request_duration_seconds", "Duration.", buckets=(1, 2))
CATALOGUE = (ROUNDS, ERRORS, STATE, TRANSACTIONS, DURATION)


@pytest.fixture
def registry():
    return CollectorRegistry()


def samples(registry, organization):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.labels.get("organization") == organization and not sample.name.endswith("_created")
    }


def test_known_series_begin_at_0(registry):
    """A counter whose label values are all known has each series from the start."""
    MetricSet(CATALOGUE, registry)

    for outcome in ("committed", "failed"):
        assert registry.get_sample_value("jira_relay_producer_transactions_total", {"outcome": outcome}) == 0
    assert registry.get_sample_value("jira_relay_producer_request_duration_seconds_count") == 0


def test_a_subject_begins_at_0(registry):
    """A new organization has its counters at 0; a label of unknown values and a gauge have no series yet."""
    metrics = MetricSet(CATALOGUE, registry)
    assert samples(registry, "acme") == {}

    metrics.start(organization="acme")

    assert samples(registry, "acme") == {
        ("jira_relay_producer_rounds_total", "acme", "complete"): 0,
        ("jira_relay_producer_rounds_total", "acme", "failed"): 0,
    }


def test_a_removed_subject_has_no_series(registry):
    """Removing an organization removes every series of it, and none of another."""
    metrics = MetricSet(CATALOGUE, registry)
    for name in ("acme", "other"):
        metrics.start(organization=name)
        metrics[ERRORS].labels(name, "captcha").inc()
        metrics.set_state(STATE, "failing", organization=name)

    metrics.remove(organization="acme")

    assert samples(registry, "acme") == {}
    assert len(samples(registry, "other")) == 5


def test_one_state_is_1(registry):
    """A state sets its gauge to 1 and every other state's to 0."""
    metrics = MetricSet(CATALOGUE, registry)
    for state in ("active", "failing"):
        metrics.set_state(STATE, state, organization="acme")

    assert samples(registry, "acme") == {
        ("jira_relay_producer_organization_state", "acme", "active"): 0,
        ("jira_relay_producer_organization_state", "acme", "failing"): 1,
    }


def test_the_registry_knows_the_process():
    """A process exposes its build, its memory and CPU time, and no `_created` sample."""
    registry = open_registry("1.2.3", "abc")
    MetricSet(CATALOGUE, registry)

    labels = {"version": "1.2.3", "revision": "abc", "python": platform.python_version()}
    assert registry.get_sample_value("jira_relay_build_info", labels) == 1
    assert registry.get_sample_value("process_resident_memory_bytes") > 0
    assert registry.get_sample_value("process_cpu_seconds_total") > 0
    assert b"_created" not in generate_latest(registry)
