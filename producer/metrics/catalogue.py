"""The metrics catalogue of the producer."""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from relay.kafka.topic_copies import COPY_STATES
from relay.telemetry.metrics import Label, Metric

LATE_BUCKETS = (60, 300, 900, 3_600, 14_400, 43_200, 86_400, 172_800, 345_600, 604_800)
LATENCY_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600)
REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TRANSACTION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)

ORGANIZATION = Label("organization")
STATE = Label("state", ("active", "waiting", "failing", "paused"))

ROUNDS = Metric(
    Counter,
    "jira_relay_producer_rounds_total",
    "Polling rounds that ended, by outcome.",
    (ORGANIZATION, Label("outcome", ("complete", "failed"))),
)
EVENTS_PUBLISHED = Metric(
    Counter,
    "jira_relay_producer_events_published_total",
    "Events committed to Kafka, by mode; refill: again, for one replay.",
    (ORGANIZATION, Label("mode", ("live", "late", "backfill", "refill"))),
)
RECORDS_DEAD_LETTERED = Metric(
    Counter,
    "jira_relay_producer_records_dead_lettered_total",
    "Records of the source that could not become events and are on the dead-letter topic.",
    (ORGANIZATION,),
)
IDS_REUSED = Metric(
    Counter,
    "jira_relay_producer_ids_reused_total",
    "Events published with a variant in EventUid, because another published record has their id.",
    (ORGANIZATION,),
)
SOURCE_ERRORS = Metric(
    Counter,
    "jira_relay_producer_source_errors_total",
    "Failed requests to the source, by kind of error; a kind appears with its first error.",
    (ORGANIZATION, Label("kind")),
)
SOURCE_BACKOFF_SECONDS = Metric(
    Counter,
    "jira_relay_producer_source_backoff_seconds_total",
    "Seconds of back-off after failed requests to the source.",
    (ORGANIZATION,),
)
TRANSACTIONS = Metric(
    Counter,
    "jira_relay_producer_transactions_total",
    "Transactions, by outcome.",
    (Label("outcome", ("committed", "failed", "fenced", "in doubt")),),
)
SHARD_LOADS = Metric(
    Counter,
    "jira_relay_producer_shard_loads_total",
    "Shards loaded from Kafka: at take-over, and after each discarded producer.",
)
LAST_POLL = Metric(
    Gauge,
    "jira_relay_producer_last_poll_timestamp_seconds",
    "Time of the last complete round.",
    (ORGANIZATION,),
)
LAST_EVENT = Metric(
    Gauge,
    "jira_relay_producer_last_event_timestamp_seconds",
    "Creation time of the newest published event.",
    (ORGANIZATION,),
)
COMPLETE_UP_TO = Metric(
    Gauge,
    "jira_relay_producer_complete_up_to_timestamp_seconds",
    "Every record created before this time that the source showed is in Kafka.",
    (ORGANIZATION,),
)
ORGANIZATION_STATE = Metric(
    Gauge,
    "jira_relay_producer_organization_state",
    "1 for the state that the organization is in, 0 for each other state.",
    (ORGANIZATION, STATE),
)
ORGANIZATION_INTERVAL = Metric(
    Gauge,
    "jira_relay_producer_organization_interval_seconds",
    "Seconds between the beginnings of two live rounds.",
    (ORGANIZATION,),
)
CREDENTIAL_EXPIRY = Metric(
    Gauge,
    "jira_relay_producer_credential_expiry_timestamp_seconds",
    "Expiry time of the API key, as entered by the operator.",
    (ORGANIZATION,),
)
SILENCE_STATE = Metric(
    Gauge,
    "jira_relay_producer_silence_state",
    "1 for the state of the present silence, 0 for each other; absent while the source gives no answer.",
    (ORGANIZATION, Label("state", ("learning", "quiet", "silent"))),
)
SILENCE_PROBABILITY = Metric(
    Gauge,
    "jira_relay_producer_silence_probability_ratio",
    "Chance that a feed that works is silent for so long; absent while that is not known.",
    (ORGANIZATION,),
)
ADDED = Metric(
    Gauge,
    "jira_relay_producer_organization_added_timestamp_seconds",
    "Time at which the organization was added.",
    (ORGANIZATION,),
)
FAILING_SINCE = Metric(
    Gauge,
    "jira_relay_producer_failing_since_timestamp_seconds",
    "Time since which the organization fails or waits, by the kind of its last error; absent while it does neither.",
    (ORGANIZATION, Label("kind")),
)
SHARDS = Metric(
    Gauge,
    "jira_relay_producer_shards_by_state",
    "Shards of this process, by state; closed: a reason at /readyz keeps it from publishing.",
    (Label("state", ("open", "opening", "closed")),),
)
CONFIGURED_SHARDS = Metric(
    Gauge,
    "jira_relay_producer_configured_shards",
    "Shards of the relay, which all its producers divide among them.",
)
MEMBERSHIP = Metric(
    Gauge,
    "jira_relay_producer_membership_state",
    "1 for the state of the membership in the group of producers, 0 for the other; Kafka confirms it every few seconds.",
    (Label("state", ("confirmed", "unconfirmed")),),
)
UNREAD_SECONDS = Metric(
    Gauge,
    "jira_relay_producer_unread_seconds",
    "Length of the time whose records the source fails to serve, exact to the millisecond; 0 where there is none.",
    (ORGANIZATION,),
)
PUBLISH_LATENCY = Metric(
    Histogram,
    "jira_relay_producer_publish_latency_seconds",
    "Time from the creation of a live record at the source to its transaction, for all organizations together.",
    buckets=LATENCY_BUCKETS,
)
LATE_ARRIVAL = Metric(
    Histogram,
    "jira_relay_producer_late_arrival_seconds",
    "Time from the creation of a late record at the source to its transaction, for all organizations together.",
    buckets=LATE_BUCKETS,
)
REQUEST_DURATION = Metric(
    Histogram,
    "jira_relay_producer_request_duration_seconds",
    "Duration of a request to a source, without the wait for its turn, by result.",
    (Label("result", ("answered", "failed")),),
    buckets=REQUEST_BUCKETS,
)
TRANSACTION_DURATION = Metric(
    Histogram,
    "jira_relay_producer_transaction_duration_seconds",
    "Time from the start of a transaction to the answer to its commit.",
    buckets=TRANSACTION_BUCKETS,
)

KAFKA_PARTITIONS = Metric(
    Gauge,
    "jira_relay_producer_kafka_partitions_by_state",
    "Partitions of the relay's topics that lack copies, by Kafka's state, at the last look (a minute ago at most); absent while unknown.",
    (Label("state", COPY_STATES),),
)

CATALOGUE: tuple[Metric[Any], ...] = (
    *(ROUNDS, EVENTS_PUBLISHED, RECORDS_DEAD_LETTERED, IDS_REUSED, SOURCE_ERRORS, SOURCE_BACKOFF_SECONDS),
    *(TRANSACTIONS, SHARD_LOADS, KAFKA_PARTITIONS),
    *(LAST_POLL, LAST_EVENT, COMPLETE_UP_TO, ORGANIZATION_STATE, ORGANIZATION_INTERVAL, CREDENTIAL_EXPIRY),
    *(ADDED, FAILING_SINCE, UNREAD_SECONDS, SILENCE_STATE, SILENCE_PROBABILITY),
    *(SHARDS, CONFIGURED_SHARDS, MEMBERSHIP),
    *(PUBLISH_LATENCY, LATE_ARRIVAL, REQUEST_DURATION, TRANSACTION_DURATION),
)
"""The names are a contract with operators: alerts and dashboards use them."""
