"""The metrics of the watch over days."""

from typing import Any

from prometheus_client import Counter, Gauge

from relay.telemetry.metrics import Label, Metric

STATES = ("complete", "differing", "unproven")

ORGANIZATION_STATE = Metric(
    Gauge,
    "jira_relay_proof_organization_state",
    "State of the last 30 days of an organization: differing if a hop has other events on one of them.",
    (Label("organization"), Label("state", STATES)),
)
SEAL_OVERDUE = Metric(
    Gauge,
    "jira_relay_proof_seal_overdue_seconds",
    "For how long the oldest day without a seal could have had one; 0 while records of it may come late, or the organization is paused.",
    (Label("organization"),),
)
LAST_ROUND = Metric(
    Gauge,
    "jira_relay_proof_last_round_timestamp_seconds",
    "When the last round over all organizations ended; one that could not be counted is unproven by its own state.",
)
ROUND_DURATION = Metric(Gauge, "jira_relay_proof_round_seconds", "How long the last round took.")
ROUND_STATE = Metric(
    Gauge,
    "jira_relay_proof_round_state",
    "How the last round ended: every organization was counted, or some, or it failed.",
    (Label("state", ("complete", "partial", "failed")),),
)
SEALS = Metric(Counter, "jira_relay_proof_seals_total", "Day seals that this process has signed.")

CATALOGUE: tuple[Metric[Any], ...] = (
    ORGANIZATION_STATE,
    SEAL_OVERDUE,
    LAST_ROUND,
    ROUND_DURATION,
    ROUND_STATE,
    SEALS,
)
