"""The metrics of traces, in each process that records them."""

from relay.telemetry.metrics import Counter, Label, Metric

EXPORTED = Metric(
    Counter,
    "jira_relay_telemetry_exported_spans_total",
    "Spans that the collector of traces has taken.",
)
DROPPED = Metric(
    Counter,
    "jira_relay_telemetry_dropped_spans_total",
    "Spans that were dropped, by cause; events are not affected.",
    (Label("reason", ("queue-full", "trace-too-large", "refused", "unreachable", "stopped")),),
)
CATALOGUE = (EXPORTED, DROPPED)
