"""Every metric of the consumer, and every event that is both a log line and a count."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from relay.kafka import Record, TopicPartition

log = structlog.get_logger("consumer")

FROM_COMMITTED_OFFSET = "the group's committed offset"
REQUEST_SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
REQUEST_ROWS_BUCKETS = (1, 10, 100, 300, 1000, 3000)


class ConsumerMetrics:
    """The catalogue. `flow` is live or history."""

    def __init__(self, registry: CollectorRegistry) -> None:
        flow = ["destination", "flow"]
        self.accepted = Counter(
            "jira_relay_events_accepted_total",
            "Events that the destination accepted.",
            flow,
            registry=registry,
        )
        self.raw = Counter(
            "jira_relay_sent_raw_bytes_total",
            "Bytes of accepted request bodies before compression.",
            flow,
            registry=registry,
        )
        self.wire = Counter(
            "jira_relay_sent_wire_bytes_total",
            "Bytes of accepted request bodies on the wire.",
            flow,
            registry=registry,
        )
        self.requests = Counter(
            "jira_relay_destination_requests_total",
            "Requests to the destination, by class of status (2xx to 5xx; none: no answer).",
            [*flow, "status"],
            registry=registry,
        )
        self.request = Histogram(
            "jira_relay_destination_request_seconds",
            "From the beginning of a request to its answer.",
            flow,
            buckets=REQUEST_SECONDS_BUCKETS,
            registry=registry,
        )
        self.rows = Histogram(
            "jira_relay_destination_request_events",
            "Events in an accepted request.",
            flow,
            buckets=REQUEST_ROWS_BUCKETS,
            registry=registry,
        )
        self.retries = Counter(
            "jira_relay_destination_retries_total",
            "Requests that have to be made again with the same events, by why: retry, paused, split or refused.",
            [*flow, "why"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "jira_relay_events_dead_lettered_total",
            "Records that stand on the dead-letter topic, by why: unreadable or refused.",
            [*flow, "why"],
            registry=registry,
        )
        self.one_by_one = Counter(
            "jira_relay_events_read_singly_total",
            "Records that were read one by one because reading them together failed.",
            flow,
            registry=registry,
        )
        self.lost = Counter(
            "jira_relay_offsets_lost_total",
            "Offsets that Kafka had deleted before the destination had accepted their events.",
            flow,
            registry=registry,
        )
        self.paused = Gauge(
            "jira_relay_destination_paused",
            "1 while something must be put right before the destination can go on, 0 otherwise.",
            flow,
            registry=registry,
        )
        self.lag = Gauge(
            "jira_relay_destination_lag_events",
            "Offsets of the topic that the group has not yet committed; told by the one member that owns partition 0.",
            flow,
            registry=registry,
        )
        self.oldest = Gauge(
            "jira_relay_destination_oldest_unsent_seconds",
            "Since when the oldest event that this process holds and the destination has not accepted was in Kafka.",
            flow,
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "jira_relay_destination_lag_seconds",
            "From an event's collection to its acceptance, of the newest accepted event.",
            flow,
            registry=registry,
        )

    def state_changed(self, destination: str, state: str, reason: str | None) -> None:
        write_line = log.info if state == "active" else log.warning
        write_line(
            f"The destination is {state}.",
            destination=destination,
            **({} if reason is None else {"reason": reason}),
        )

    def for_pipeline(self, destination: str, flow: str) -> "PipelineMetrics":
        return PipelineMetrics(self, destination, flow)


class PipelineMetrics:
    """What happens to one flow of one destination: one call an event."""

    def __init__(self, metrics: ConsumerMetrics, destination: str, flow: str) -> None:
        self._metrics = metrics
        self._labels = (destination, flow)
        self._names = {"destination": destination, "flow": flow}

    def request_ended(
        self, warn: bool, outcome: Outcome, rows: int, raw: int, wire: int, seconds: float
    ) -> None:
        """A request has ended. Not `warn`: one of many under way that met the same trouble."""
        self._metrics.request.labels(*self._labels).observe(seconds)
        match outcome:
            case Sent():
                self._accepted(rows, raw, wire)
            case Retry(reason, status, _):
                self._not_accepted("retry", reason, status, rows, warn)
            case Paused(reason, status):
                self._not_accepted("paused", reason, status, rows, warn)
            case Split(reason, status):
                self._not_accepted("split", reason, status, rows, warn=False)
            case Reject(reason, status):
                self._not_accepted("refused", reason, status, rows, warn=False)

    def _accepted(self, rows: int, raw: int, wire: int) -> None:
        self._metrics.requests.labels(*self._labels, "2xx").inc()
        self._metrics.accepted.labels(*self._labels).inc(rows)
        self._metrics.raw.labels(*self._labels).inc(raw)
        self._metrics.wire.labels(*self._labels).inc(wire)
        self._metrics.rows.labels(*self._labels).observe(rows)
        log.debug("Events were accepted.", **self._names, events=rows, raw_bytes=raw, wire_bytes=wire)

    def _not_accepted(self, why: str, reason: str, status: int | None, rows: int, warn: bool) -> None:
        status_class = f"{status // 100}xx" if status else "none"
        self._metrics.requests.labels(*self._labels, status_class).inc()
        self._metrics.retries.labels(*self._labels, why).inc()
        write_line = log.warning if warn else log.debug
        write_line(reason, **self._names, why=why, status=status, events=rows)

    def body_bisected(self, reason: str, rows: int) -> None:
        """The first refusal of a body; those of its parts go without a line."""
        log.warning("A body was refused and is sent in parts.", **self._names, reason=reason, events=rows)

    def dead_lettered(self, record: Record, why: str, reason: str) -> None:
        self._metrics.dead_letters.labels(*self._labels, why).inc()
        log.error(
            "A record became a dead letter; see `jira-relay dead-letters list`.",
            **self._names,
            why=why,
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )

    def dead_letter_write_failed(self, count: int, reason: str) -> None:
        log.warning(
            "Kafka did not confirm dead letters; trying again.", **self._names, records=count, reason=reason
        )

    def decoded_singly(self, records: int) -> None:
        self._metrics.one_by_one.labels(*self._labels).inc(records)
        log.warning("Records had to be read one by one: some are damaged.", **self._names, records=records)

    def schema_unavailable(self, reason: str) -> None:
        log.warning("Events wait for their schema.", **self._names, reason=reason)

    def start_lookup_failed(self, partition: TopicPartition, reason: str) -> None:
        log.warning(
            "Where to begin could not be looked up yet.",
            **self._names,
            partition=partition.partition,
            reason=reason,
        )

    def reading_started(self, partition: TopicPartition, offset: int, reason: str) -> None:
        write_line = log.debug if reason == FROM_COMMITTED_OFFSET else log.info
        write_line(
            "Reading begins.", **self._names, partition=partition.partition, offset=offset, because_of=reason
        )

    def offsets_lost(self, partition: TopicPartition, first: int, stop: int, lost: int) -> None:
        """Of the offsets from `first` to before `stop` so many."""
        self._metrics.lost.labels(*self._labels).inc(lost)
        log.error(
            "Events were lost: Kafka had deleted them before they were accepted. Reading goes on with the first one kept.",
            **self._names,
            topic=partition.topic,
            partition=partition.partition,
            first_offset=first,
            last_offset=stop - 1,
        )

    def loss_dated(self, partition: TopicPartition, until: str) -> None:
        log.error(
            "The lost events had been collected before this time.",
            **self._names,
            topic=partition.topic,
            partition=partition.partition,
            until=until,
        )

    def log_end_lost(self, partition: TopicPartition, committed: int, end: int, start: int) -> None:
        log.error(
            "Kafka has lost the end of a partition: what the group had got to is gone, or other records stand there. Events are"
            " read again from shortly before the last one that was settled.",
            **self._names,
            topic=partition.topic,
            partition=partition.partition,
            committed=committed,
            end=end,
            offset=start,
        )

    def commit_failed(self, reason: str) -> None:
        log.warning("Offsets could not be committed yet.", **self._names, reason=reason)

    def batch_corrupt(self, partition: TopicPartition, start: int, last: int, fault: str) -> None:
        log.error(
            "A batch is damaged in Kafka: its partition is not read beyond it. Let a replica lead that has it whole, or set the"
            " group's offset behind it, which gives its events up.",
            **self._names,
            topic=partition.topic,
            partition=partition.partition,
            first=start,
            last=last,
            reason=fault,
        )

    def offset_metadata_refused(self) -> None:
        log.warning(
            "Kafka takes no text with an offset (its offset.metadata.max.bytes is below 100), so that what lies settled behind it"
            " is not known to who comes next: after a rebalance accepted events may be sent again. Set it to 4096, its default.",
            **self._names,
        )

    def half_of_retention_passed(self, days: float) -> None:
        log.error(
            "The oldest event not yet accepted is about to be deleted by Kafka: half of its time on the topic is over.",
            **self._names,
            days=round(days, 1),
        )

    def set_state(self, *, paused: bool, oldest_seconds: float) -> None:
        self._metrics.paused.labels(*self._labels).set(paused)
        self._metrics.oldest.labels(*self._labels).set(oldest_seconds)

    def set_lag_seconds(self, seconds: float) -> None:
        self._metrics.lag_seconds.labels(*self._labels).set(seconds)

    def set_group_lag(self, events: int) -> None:
        self._metrics.lag.labels(*self._labels).set(events)
