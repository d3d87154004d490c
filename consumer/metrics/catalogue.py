"""The metrics catalogue of the consumer."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

REQUEST_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
REQUEST_ROWS_BUCKETS = (1, 10, 100, 300, 1000, 3000)

_FLOW = ("destination", "flow")

M = TypeVar("M", bound=MetricWrapperBase)


@dataclass(frozen=True)
class Metric(Generic[M]):
    """One line of the catalogue. Every metric has the labels destination and flow; flow is live or history."""

    kind: type[M]
    name: str
    help: str
    label: str | None = None
    buckets: tuple[float, ...] | None = None

    def register(self, registry: CollectorRegistry) -> M:
        labels = (*_FLOW, self.label) if self.label else _FLOW
        options: dict[str, Any] = {} if self.buckets is None else {"buckets": self.buckets}
        return self.kind(self.name, self.help, labels, registry=registry, **options)


EVENTS_READ = Metric(
    Counter,
    "jira_relay_events_read_total",
    "Records read from the topic for delivery; each ends as accepted, skipped, dead-lettered or released.",
)
EVENTS_ACCEPTED = Metric(Counter, "jira_relay_events_accepted_total", "Events that the destination accepted.")
EVENTS_SKIPPED = Metric(
    Counter, "jira_relay_events_skipped_total", "Events that the filter of the destination left out."
)
EVENTS_DEAD_LETTERED = Metric(
    Counter,
    "jira_relay_events_dead_lettered_total",
    "Records written to the dead-letter topic, by why: unreadable or rejected.",
    label="why",
)
EVENTS_RELEASED = Metric(
    Counter,
    "jira_relay_events_released_total",
    "Records read and not delivered when their partition was released; its next owner reads them again.",
)
EVENTS_READ_SINGLY = Metric(
    Counter,
    "jira_relay_events_read_singly_total",
    "Records decoded one by one because decoding them together failed.",
)
SENT_RAW_BYTES = Metric(
    Counter, "jira_relay_sent_raw_bytes_total", "Bytes of accepted request bodies before compression."
)
SENT_WIRE_BYTES = Metric(
    Counter, "jira_relay_sent_wire_bytes_total", "Bytes of accepted request bodies on the wire."
)
REQUESTS = Metric(
    Counter,
    "jira_relay_destination_requests_total",
    "Requests to the destination, by class of status (2xx to 5xx; none: no answer).",
    label="status",
)
REQUEST_SECONDS = Metric(
    Histogram,
    "jira_relay_destination_request_seconds",
    "Duration of a request, from its start to its answer.",
    buckets=REQUEST_SECONDS_BUCKETS,
)
REQUEST_EVENTS = Metric(
    Histogram,
    "jira_relay_destination_request_events",
    "Events accepted by one request.",
    buckets=REQUEST_ROWS_BUCKETS,
)
RETRIES = Metric(
    Counter,
    "jira_relay_destination_retries_total",
    "Requests whose events have to be sent again, by why: retry, paused, split or rejected.",
    label="why",
)
DEFECTS = Metric(
    Counter,
    "jira_relay_delivery_defects_total",
    "Exceptions of the relay's own code during delivery; the same events are tried again.",
)
OFFSETS_LOST = Metric(
    Counter,
    "jira_relay_offsets_lost_total",
    "Offsets that Kafka deleted before the destination accepted their events.",
)
PAUSED = Metric(
    Gauge,
    "jira_relay_destination_paused",
    "1 while an operator must fix something before the destination can go on, 0 otherwise.",
)
LAG_EVENTS = Metric(
    Gauge,
    "jira_relay_destination_lag_events",
    "Offsets of the topic that the group has not committed; reported by the member that owns partition 0.",
)
OLDEST_UNSENT_SECONDS = Metric(
    Gauge,
    "jira_relay_destination_oldest_unsent_seconds",
    "Age, in seconds, of the oldest event this process has read that the destination has not accepted.",
)
LAG_SECONDS = Metric(
    Gauge,
    "jira_relay_destination_lag_seconds",
    "Time from collection to acceptance of the newest accepted event.",
)


CATALOGUE: tuple[Metric[Any], ...] = (
    *(
        EVENTS_READ,
        EVENTS_ACCEPTED,
        EVENTS_SKIPPED,
        EVENTS_DEAD_LETTERED,
        EVENTS_RELEASED,
        EVENTS_READ_SINGLY,
    ),
    *(
        SENT_RAW_BYTES,
        SENT_WIRE_BYTES,
        REQUESTS,
        REQUEST_SECONDS,
        REQUEST_EVENTS,
        RETRIES,
        DEFECTS,
        OFFSETS_LOST,
    ),
    *(PAUSED, LAG_EVENTS, OLDEST_UNSENT_SECONDS, LAG_SECONDS),
)
