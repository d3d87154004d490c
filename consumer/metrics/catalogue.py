"""The metrics catalogue of the consumer."""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from relay.kafka.topic_copies import COPY_STATES
from relay.telemetry.metrics import Label, Metric

REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
REQUEST_EVENTS_BUCKETS = (1, 10, 100, 300, 1000, 3000)
LATENCY_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400)

FLOW = (Label("destination"), Label("flow"))
"""Metrics of delivery have them: destinations are few, and flow is live, history, older or replay."""
STATE = Label("state", ("active", "waiting", "paused", "starting"))

EVENTS_READ = Metric(
    Counter,
    "jira_relay_consumer_events_read_total",
    "Records read from the topic for delivery; each ends as accepted, skipped, dead-lettered or released.",
    FLOW,
)
EVENTS_ACCEPTED = Metric(
    Counter,
    "jira_relay_consumer_events_accepted_total",
    "Events that the destination accepted.",
    FLOW,
)
EVENTS_UNCONFIRMED = Metric(
    Counter,
    "jira_relay_consumer_events_unconfirmed_total",
    "Events that the destination took and did not confirm in time; they are sent again, so it may have them twice.",
    FLOW,
)
EVENTS_SKIPPED = Metric(
    Counter,
    "jira_relay_consumer_events_skipped_total",
    "Events that the filter of the destination left out.",
    FLOW,
)
EVENTS_DEAD_LETTERED = Metric(
    Counter,
    "jira_relay_consumer_events_dead_lettered_total",
    "Records written to the dead-letter topic, by reason; unnamed: of a body that lost rows which the destination did not name.",
    (*FLOW, Label("reason", ("unreadable", "rejected", "unnamed"))),
)
EVENTS_DROPPED = Metric(
    Counter,
    "jira_relay_consumer_events_dropped_total",
    "Events that the destination dropped without naming them; all events of their body are dead letters.",
    FLOW,
)
EVENTS_RELEASED = Metric(
    Counter,
    "jira_relay_consumer_events_released_total",
    "Records read and not delivered when their partition was released; its next owner reads them again.",
    FLOW,
)
EVENTS_DECODED_SINGLY = Metric(
    Counter,
    "jira_relay_consumer_events_decoded_singly_total",
    "Records decoded one by one because decoding them together failed.",
    FLOW,
)
SENT_RAW_BYTES = Metric(
    Counter,
    "jira_relay_consumer_sent_raw_bytes_total",
    "Bytes of accepted request bodies before compression.",
    FLOW,
)
SENT_WIRE_BYTES = Metric(
    Counter,
    "jira_relay_consumer_sent_wire_bytes_total",
    "Bytes of accepted request bodies on the wire.",
    FLOW,
)
REQUESTS = Metric(
    Counter,
    "jira_relay_consumer_requests_total",
    "Requests to the destination, by class of status; none: no answer.",
    (*FLOW, Label("status", ("2xx", "3xx", "4xx", "5xx", "none"))),
)
REQUEST_DURATION = Metric(
    Histogram,
    "jira_relay_consumer_request_duration_seconds",
    "Duration of a request, from its start to its answer.",
    FLOW,
    buckets=REQUEST_BUCKETS,
)
REQUEST_EVENTS = Metric(
    Histogram,
    "jira_relay_consumer_request_events",
    "Events accepted by one request.",
    FLOW,
    buckets=REQUEST_EVENTS_BUCKETS,
)
RETRIES = Metric(
    Counter,
    "jira_relay_consumer_retries_total",
    "Requests whose events have to be sent again, by reason: retry, paused, split or rejected.",
    (*FLOW, Label("reason", ("retry", "paused", "split", "rejected"))),
)
DEFECTS = Metric(
    Counter,
    "jira_relay_consumer_defects_total",
    "Exceptions of the relay's own code during delivery; the same events are tried again.",
    FLOW,
)
OFFSETS_LOST = Metric(
    Counter,
    "jira_relay_consumer_offsets_lost_total",
    "Offsets that Kafka deleted before the destination accepted their events.",
    FLOW,
)
DESTINATION_STATE = Metric(
    Gauge,
    "jira_relay_consumer_destination_state",
    "1 for the state that the flow is in, 0 for each other state; paused: an operator must fix something.",
    (*FLOW, STATE),
)
MEMBERSHIP = Metric(
    Gauge,
    "jira_relay_consumer_membership_state",
    "1 for the state of the membership in the group of the flow; left: paused by an operator, or another target's.",
    (*FLOW, Label("state", ("confirmed", "unconfirmed", "left"))),
)
OPERATOR_PAUSE = Metric(
    Gauge,
    "jira_relay_consumer_operator_pause_timestamp_seconds",
    "Time since which an operator's pause holds the flow; absent without one.",
    FLOW,
)
RETENTION_USED = Metric(
    Gauge,
    "jira_relay_consumer_retention_used_ratio",
    "Part of its topic's retention that the oldest event not accepted has passed; at 1 Kafka deletes it; absent while unknown.",
    FLOW,
)
LAG_EVENTS = Metric(
    Gauge,
    "jira_relay_consumer_lag_events",
    "Offsets of the topic that the group has not committed; reported by the member that owns partition 0, absent while unknown.",
    FLOW,
)
OLDEST_UNSENT_SECONDS = Metric(
    Gauge,
    "jira_relay_consumer_oldest_unsent_seconds",
    "Age, in seconds, of the oldest event this process has read that the destination has not accepted; absent while unknown.",
    FLOW,
)
ROUTE_PROBLEM_SECONDS = Metric(
    Gauge,
    "jira_relay_consumer_route_problem_seconds",
    "Age, in seconds, of the oldest problem of a route (by_organization), which the status names; absent without one.",
    FLOW,
)
REPLAYS = Metric(
    Gauge,
    "jira_relay_consumer_replays_by_state",
    "Replays of the destination that have not ended, by state; reported by the process that runs them, absent elsewhere.",
    (*FLOW, Label("state", ("waiting", "running", "paused"))),
)
LAG_SECONDS = Metric(
    Gauge,
    "jira_relay_consumer_lag_seconds",
    "Time from collection to acceptance of the newest accepted event; absent where none was accepted in the last minute.",
    FLOW,
)
DELIVERY_LATENCY = Metric(
    Histogram,
    "jira_relay_consumer_delivery_latency_seconds",
    "Time from the collection of an event to its acceptance, of the oldest event of each body.",
    FLOW,
    buckets=LATENCY_BUCKETS,
)
EVENT_LATENCY = Metric(
    Histogram,
    "jira_relay_consumer_event_latency_seconds",
    "Time from the creation of a live event at the source to its acceptance, of the oldest event of each body.",
    FLOW,
    buckets=LATENCY_BUCKETS,
)

KAFKA_PARTITIONS = Metric(
    Gauge,
    "jira_relay_consumer_kafka_partitions_by_state",
    "Partitions of the relay's topics that lack copies, by Kafka's state, at the last look (a minute ago at most); absent while unknown.",
    (Label("state", COPY_STATES),),
)

CATALOGUE: tuple[Metric[Any], ...] = (
    *(
        EVENTS_READ,
        EVENTS_ACCEPTED,
        EVENTS_UNCONFIRMED,
        EVENTS_SKIPPED,
        EVENTS_DEAD_LETTERED,
        EVENTS_DROPPED,
        EVENTS_RELEASED,
        EVENTS_DECODED_SINGLY,
    ),
    *(
        SENT_RAW_BYTES,
        SENT_WIRE_BYTES,
        REQUESTS,
        REQUEST_DURATION,
        REQUEST_EVENTS,
        RETRIES,
        DEFECTS,
        OFFSETS_LOST,
    ),
    *(MEMBERSHIP, OPERATOR_PAUSE, RETENTION_USED),
    *(DESTINATION_STATE, LAG_EVENTS, OLDEST_UNSENT_SECONDS, ROUTE_PROBLEM_SECONDS, REPLAYS),
    *(LAG_SECONDS, DELIVERY_LATENCY, EVENT_LATENCY, KAFKA_PARTITIONS),
)
