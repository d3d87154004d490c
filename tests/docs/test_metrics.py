import re
from math import prod
from pathlib import Path

import pytest

from relay.telemetry.metrics import Counter, Gauge, Histogram
from tests.docs.metrics import CATALOGUES, render_page

ROOT = Path(__file__).parents[2]

ALL = [
    pytest.param(service, metric, id=metric.name)
    for service, catalogue in CATALOGUES.items()
    for metric in catalogue
]
ABBREVIATED = {
    "ms",
    "us",
    "ns",
    "sec",
    "secs",
    "s",
    "min",
    "mins",
    "hrs",
    "h",
    "d",
    "b",
    "kb",
    "mb",
    "gb",
    "pct",
}
NOT_BASE = {
    "milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks",
    "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes", "bits", "percent",
}  # fmt: skip
TYPES = {"counter", "gauge", "histogram", "summary", "metric"}
RESERVED = {"le", "quantile", "job", "instance"}
BOUNDED = {"outcome", "mode", "state", "result", "reason", "status"}
UNITS = ("_seconds", "_bytes", "_events", "_shards", "_state", "_ratio")


def test_every_metric_is_on_its_page():
    """docs/metrics.md is what `python -m tests.docs.metrics` writes."""
    assert (ROOT / "docs/metrics.md").read_text("utf-8") == render_page()


def test_names_are_unique():
    """No two metrics share a name, or one that an exposition adds a suffix to."""
    names = [metric.name.removesuffix("_total") for catalogue in CATALOGUES.values() for metric in catalogue]

    assert len(names) > 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("service", "metric"), ALL)
def test_names_follow_the_scheme(service, metric):
    """A name is jira_relay_<service>_<thing>_<unit>[_total], by the rules of `promtool check metrics`."""
    words = metric.name.split("_")

    assert re.fullmatch(rf"jira_relay_{service}(_[a-z]+)+", metric.name)
    assert not {*words} & (ABBREVIATED | NOT_BASE | TYPES)
    assert metric.name.endswith("_total") == (metric.kind is Counter)
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created", "_info"))
    if metric.kind is not Counter:
        assert metric.name.endswith(UNITS)
    if metric.name.removesuffix("_seconds") != metric.name and "timestamp" in words:
        assert metric.kind is Gauge
        assert metric.name.endswith("_timestamp_seconds")


@pytest.mark.parametrize(("service", "metric"), ALL)
def test_help_is_a_sentence(service, metric):  # noqa: ARG001
    """The help is one sentence that does not repeat the name."""
    assert re.fullmatch(r"[A-Z0-9].*[^.]\.", metric.help)
    assert ". " not in metric.help
    assert metric.name not in metric.help
    assert len(metric.help) <= 140


@pytest.mark.parametrize(("service", "metric"), ALL)
def test_labels_are_bounded(service, metric):
    """Labels are those of the metric's class, and each other label has known values or is a kind of error."""
    names = [label.name for label in metric.labels]
    subject = (
        ["organization"] if "organization" in names else ["destination", "flow"] if "flow" in names else []
    )

    assert subject != ["organization"] or service in {"producer", "proof"}
    assert names[: len(subject)] == subject
    assert not {*names} & RESERVED
    for label in metric.labels[len(subject) :]:
        assert label.name in BOUNDED | {"kind"}
        assert bool(label.values) == (label.name in BOUNDED)
        assert len(set(label.values)) == len(label.values)


@pytest.mark.parametrize(("service", "metric"), ALL)
def test_series_stay_few(service, metric):  # noqa: ARG001
    """An organization has at most five series of a metric and never a histogram; a flow has at most twenty."""
    names = {label.name for label in metric.labels}
    series = prod(len(label.values) or 1 for label in metric.labels)
    if metric.kind is Histogram:
        series *= len(metric.buckets) + 3
        assert "organization" not in names

    assert series <= (5 if "organization" in names else 30)


@pytest.mark.parametrize(("service", "metric"), ALL)
def test_buckets_ascend(service, metric):  # noqa: ARG001
    """A histogram has ascending buckets of its own, and nothing else has buckets."""
    assert (metric.buckets is not None) == (metric.kind is Histogram)
    if metric.buckets:
        assert list(metric.buckets) == sorted(set(metric.buckets))
