"""The metrics of several processes as those of one."""

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from relay.telemetry.merged_metrics import MergedMetrics, from_document, to_document
from relay.telemetry.metrics import open_registry


def registry(counted, seconds, paused, age=None, memory=100, start=1000):
    """A process: events, the durations of its requests, whether its destination is paused, and the age of its oldest event."""
    found = CollectorRegistry()
    Counter("events", "Events.", ["flow"], registry=found).labels("live").inc(counted)
    durations = Histogram("duration_seconds", "Durations.", buckets=(1, 5), registry=found)
    for each in seconds:
        durations.observe(each)
    state = Gauge("state", "State.", ["state"], registry=found)
    state.labels("paused").set(paused)
    state.labels("active").set(not paused)
    Gauge("process_resident_memory_bytes", "Memory.", registry=found).set(memory)
    Gauge("process_start_time_seconds", "Start.", registry=found).set(start)
    oldest = Gauge("oldest_seconds", "Age.", ["flow"], registry=found)
    if age is not None:
        oldest.labels("live").set(age)
    return found


def value(merged, name, **labels):
    (found,) = (
        sample.value
        for family in merged
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return found


def test_processes_are_merged_into_one():
    """Counters, histograms and memory add up, a gauge has the greatest value, and a series of one process is kept.

    The service starts with its first process, whether the others answer or not: an alert counts the changes of the start.
    """
    first, second = (
        registry(5, [0.5, 3], paused=False),
        registry(7, [0.1], paused=True, age=60, start=1001),
    )
    merged = MergedMetrics([first.collect(), second.collect()]).collect()

    assert value(merged, "events_total", flow="live") == 12
    assert value(merged, "duration_seconds_bucket", le="1.0") == 2
    assert value(merged, "duration_seconds_bucket", le="+Inf") == value(merged, "duration_seconds_count") == 3
    assert value(merged, "duration_seconds_sum") == 3.6
    assert value(merged, "state", state="paused") == value(merged, "state", state="active") == 1
    assert value(merged, "oldest_seconds", flow="live") == 60
    assert value(merged, "process_resident_memory_bytes") == 200
    assert value(merged, "process_start_time_seconds") == 1000


def test_a_merged_process_alone_is_itself():
    """One process, sent as JSON and merged with no other, is served as it was, except for times of samples."""
    own = registry(5, [0.5, 9], paused=True, age=float("inf"))
    sent = from_document(json.loads(json.dumps(to_document(own.collect()))))

    assert generate_latest(MergedMetrics([sent])) == generate_latest(own)


def test_a_service_has_one_build_and_one_python():
    """What is equal in every process is served once, with the value 1."""
    merged = MergedMetrics([open_registry("1", "r").collect(), open_registry("1", "r").collect()]).collect()
    values = {sample.name: sample.value for family in merged for sample in family.samples}

    assert values["jira_relay_build_info"] == values["python_info"] == 1
    assert len([family for family in merged if family.name == "python_info"]) == 1
