"""The alerts of deploy/prometheus: their metrics, their texts, their page and their cases."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from producer.metrics.catalogue import SOURCE_ERRORS
from producer.sources.errors import ErrorKind
from tests.support.prometheus import ALERTS, NEEDS_PROMTOOL, faults, labels_of, read_alerts, selectors

ROOT = Path(__file__).parents[2]
CASES = ALERTS.with_name("alerts_test.yml")
RULES = read_alerts()
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
PAGE = (ROOT / "docs/operations/alerts.md").read_text("utf-8")
SECTIONS = re.findall(r"^## (JiraRelay\w+)$", PAGE, re.MULTILINE)
KINDS = {*ErrorKind, "defect", "shard-closed"}


def firing_cases():
    """Yield the labels of each sample that a case expects of a firing alert."""
    for test in YAML(typ="safe").load(CASES)["tests"]:
        for check in test["promql_expr_test"]:
            for sample in check.get("exp_samples", []):
                yield dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))


@EACH
def test_an_alert_reads_metrics_that_exist(rule):
    """Each name, label and known value of a label is of a catalogue."""
    assert [*selectors(rule["expr"])]
    assert faults(rule["expr"]) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("jira_relay_producer_no_such_total > 0", "jira_relay_producer_no_such_total is no metric"),
        (
            "jira_relay_producer_request_duration_seconds",
            "jira_relay_producer_request_duration_seconds is no metric",
        ),
        ("jira_relay_producer_rounds_total_count", "jira_relay_producer_rounds_total_count is no metric"),
        ('up{destination="a"}', "up has no label destination"),
        (
            'jira_relay_producer_rounds_total{outcome=~"complete|broken"}',
            "outcome of jira_relay_producer_rounds_total is never broken",
        ),
        ('jira_relay_consumer_delivery_latency_seconds_bucket{le="1"}', None),
    ],
)
def test_a_wrong_series_is_found(expression, fault):
    """An unknown name, label or value is a fault."""
    assert faults(expression) == ([fault] if fault else [])


@EACH
def test_the_kinds_of_errors_of_an_alert_exist(rule):
    """A kind that was renamed would silence its alert."""
    named = {
        kind
        for _, matchers in selectors(rule["expr"])
        for label, _, value in matchers
        if label == "kind"
        for kind in value.split("|")
    }

    assert SOURCE_ERRORS.labels[1].name == "kind"
    assert named <= KINDS


@EACH
def test_an_alert_says_what_happened_and_what_to_do(rule):
    """It has a severity, a summary of one sentence, a description with a step, and its section of the page."""
    texts = rule["annotations"]

    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(texts) == {"summary", "description", "runbook_url"}
    assert texts["summary"].endswith(".")
    assert texts["description"].endswith(".")
    assert re.search(r"`jira-relay|[Ll]ook at|[Rr]eport|Start", texts["description"])
    assert texts["runbook_url"] == f"docs/operations/alerts.md#{rule['alert'].lower()}"


def test_each_alert_has_a_section_and_each_section_an_alert():
    """The sections of the page are in the order of the file."""
    assert [rule["alert"] for rule in RULES] == SECTIONS


@EACH
def test_each_alert_has_a_case_with_the_labels_of_its_texts(rule):
    """A text names no label that its alert has not, since Prometheus would show nothing there."""
    expected = [labels for labels in firing_cases() if labels["alertname"] == rule["alert"]]
    texts = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", texts)) - {"namespace", "job"}
    either = re.findall(r"or \$labels\.(\w+) \$labels\.(\w+)", texts)

    assert expected
    for labels in expected:
        assert labels["severity"] == rule["labels"]["severity"]
        assert named - {*labels} <= {other for pair in either if {*pair} & {*labels} for other in pair}


@EACH
def test_an_alert_keeps_the_labels_that_tell_two_relays_apart(rule):
    """One relay's healthy organization must not hide the failing one of the same name in another relay."""
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert {"namespace", "job"} <= {each.strip() for each in group.split(",")}


def test_the_labels_of_histograms_are_known():
    """The buckets of a histogram have the label of their bound."""
    assert labels_of("jira_relay_producer_publish_latency_seconds_bucket") == {"le": ()}


@NEEDS_PROMTOOL
def test_prometheus_accepts_the_rules_and_each_case_holds():
    """`promtool test rules`: each alert is quiet before its condition, and fires after it."""
    for command in (["check", "rules", ALERTS], ["test", "rules", CASES]):
        done = subprocess.run(
            ["promtool", *command], capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
