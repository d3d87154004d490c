"""The events of the consumer: each is a log line, a count, or both."""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter, Histogram

from consumer.destinations.contract import OffsetRange
from consumer.destinations.outcome import Dropped, Outcome, Paused, Reject, Retry, Sent, Split
from consumer.metrics import catalogue
from consumer.metrics.acceptance_lags import AcceptanceLags
from consumer.metrics.flow_gauges import FlowGauges
from consumer.metrics.requests import RequestMetrics, log
from relay.condition_log import ConditionLog
from relay.kafka import Record, TopicPartition
from relay.telemetry.metrics import Metric, MetricSet
from relay.telemetry.traces.context import context_in
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer

FROM_COMMITTED_OFFSET = "the group's committed offset"


class PipelineMetrics:
    """The events of one flow of one destination: one method each."""

    def __init__(
        self,
        registered: MetricSet,
        failed_requests: Tally[str],
        acceptance_lags: AcceptanceLags,
        clock: Callable[[], float],
        destination: str,
        flow: str,
        tracer: Tracer = NOT_TRACED,
    ) -> None:
        """`failed_requests`: by destination, since its state was reported last. `clock`: seconds."""
        self.tracer = tracer
        self._registered = registered
        self._failed_requests = failed_requests
        self._acceptance_lags = acceptance_lags
        self._conditions = ConditionLog(log, clock)
        self._labels = (destination, flow)
        self.names = {"destination": destination, "flow": flow}
        self._registered.start(**self.names)
        self._requests = RequestMetrics(registered, self.names)
        self.gauges = FlowGauges(registered, destination, flow)
        """State, membership, lag and age, for the status reporter."""

    def _count(self, metric: Metric[Counter], amount: float = 1, *label: str) -> None:
        self._registered[metric].labels(*self._labels, *label).inc(amount)

    def _observe(self, metric: Metric[Histogram], value: float) -> None:
        self._registered[metric].labels(*self._labels).observe(value)

    def request_ended(
        self, outcome: Outcome, *, rows: int, raw_bytes: int, wire_bytes: int, seconds: float
    ) -> None:
        """Count a request. Its answer is logged at debug; the state of the destination has the line."""
        accepted = self._requests.ended(outcome, rows, raw_bytes, wire_bytes, seconds)
        if accepted:
            self._conditions.ended(
                "defect", "Delivery works again; it had failed because of a defect in the relay", self.names
            )
        if isinstance(outcome, Sent):
            self._remarked(outcome.warning)
        if isinstance(outcome, Retry | Paused | Split | Reject):
            self._failed_requests[self.names["destination"]] += 1

    def _remarked(self, warning: str) -> None:
        if warning:
            message = "Destination accepted events with a warning. Read it in its own documentation."
            self._conditions.failed("warning", warning, message, {**self.names, "reason": warning})
        else:
            self._conditions.ended("warning", "Destination gives no warning any more; it had", self.names)

    def rows_dropped(self, dropped: Dropped, offsets: Sequence[OffsetRange], rows: int) -> None:
        """Count rows of a body that the destination dropped without naming them; all `rows` of it become dead letters."""
        self._count(catalogue.EVENTS_DROPPED, dropped.count)
        log.error(
            "Destination dropped events and named none. See `jira-relay dead-letters list`.",
            **self.names,
            reason=dropped.reason,
            dropped=dropped.count,
            events=rows,
            offsets=[f"{each.topic}/{each.partition}: {each.first} to {each.last}" for each in offsets],
        )

    def body_confirmed(self, *, rows: int, raw_bytes: int, wire_bytes: int) -> None:
        """The destination says that it stored a body which it had taken before."""
        self._requests.confirmed(rows, raw_bytes, wire_bytes)
        self._conditions.ended("confirmation", "Bodies are confirmed again; some had not been", self.names)

    def body_not_confirmed(self, rows: int, reason: str) -> None:
        """The same rows are sent again, so the destination may have them twice."""
        self._requests.not_confirmed(rows)
        self._failed_requests[self.names["destination"]] += 1
        self._conditions.failed(
            "confirmation",
            "not confirmed",
            "Destination did not confirm a body; its events are sent again.",
            {**self.names, "events": rows, "reason": reason},
        )

    def _place(self, partition: TopicPartition) -> dict[str, str | int]:
        return {**self.names, "topic": partition.topic, "partition": partition.partition}

    def events_read(self, count: int) -> None:
        self._count(catalogue.EVENTS_READ, count)

    def events_skipped(self, count: int) -> None:
        self._count(catalogue.EVENTS_SKIPPED, count)

    def events_released(self, count: int) -> None:
        self._count(catalogue.EVENTS_RELEASED, count)

    def body_bisected(self, reason: str, rows: int) -> None:
        """Log the first rejection of a body; rejections of its parts have no line."""
        log.warning("Body was rejected; it is sent in parts.", **self.names, reason=reason, events=rows)

    def delivery_failed(self, step: str, defect: str) -> None:
        """Count a defect of the relay's own code."""
        self._count(catalogue.DEFECTS)
        self._conditions.failed(
            "defect",
            f"{step}: {defect}",
            "Delivery failed because of a defect in the relay; the same events are tried again.",
            {**self.names, "step": step, "defect": defect},
            level="error",
        )

    def dead_lettered(self, record: Record, category: str, reason: str) -> None:
        self._count(catalogue.EVENTS_DEAD_LETTERED, 1, category)
        self._conditions.ended("dead letters", "Kafka confirms dead letters again; it had not", self.names)
        if self.tracer.enabled and self.names["flow"] != "replay":  # the trace of its poll has ended long ago
            name = f"dead-letter {self.names['destination']}"
            attributes = {f"jira_relay.{key}": value for key, value in self.names.items()}
            self.tracer.step(context_in(record.headers), name, attributes, category)
        write_line = log.debug if category == "unnamed" else log.error  # its body has a line
        write_line(
            "Record became a dead letter. See `jira-relay dead-letters list`.",
            **self.names,
            category=category,
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )

    def dead_letter_write_failed(self, count: int, reason: str) -> None:
        self._conditions.failed(
            "dead letters",
            reason,
            "Kafka did not confirm dead letters; they are written again.",
            {**self.names, "records": count, "reason": reason},
        )

    def decoded_singly(self, records: int) -> None:
        self._count(catalogue.EVENTS_DECODED_SINGLY, records)
        log.warning(
            "Some records are corrupt; their batch was decoded singly.", **self.names, records=records
        )

    def schema_unavailable(self, reason: str) -> None:
        """Log a schema that is unavailable, at debug: the state of the destination has the operator's line."""
        log.debug("Schema is unavailable; its events wait.", **self.names, reason=reason)

    def schema_substituted(self, ref: str, source: str) -> None:
        log.warning(
            "Schema does not fit its events; the relay's own version does. If the registry was emptied or restored, put its"
            " former content back.",
            **self.names,
            schema=ref,
            source=source,
        )

    def schema_in_doubt(self, partition: TopicPartition, offset: int, reason: str) -> None:
        log.error(
            "Schema is missing or does not fit; its partition waits. See `jira-relay schemas check`.",
            **self.names,
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
            reason=reason,
        )

    def schema_doubt_cleared(self, partition: TopicPartition) -> None:
        log.info(
            "Partition resumed; its schemas were found.",
            **self.names,
            topic=partition.topic,
            partition=partition.partition,
        )

    def start_lookup_failed(self, partition: TopicPartition, reason: str) -> None:
        """Log a failed look-up, at debug: the state of the destination has the operator's line."""
        log.debug(
            "Start offset could not be looked up; trying again.",
            **self.names,
            partition=partition.partition,
            reason=reason,
        )

    def reading_started(self, offsets: Mapping[TopicPartition, int], reason: str) -> None:
        """Log the start offsets of partitions of one topic that begin for one reason."""
        write_line = log.debug if reason == FROM_COMMITTED_OFFSET else log.info
        partitions = {each.partition: offset for each, offset in sorted(offsets.items())}
        write_line("Reading started.", **self.names, because_of=reason, offsets_by_partition=partitions)

    def offsets_lost(self, partition: TopicPartition, first: int, stop: int, lost: int) -> None:
        """Count `lost` undelivered records among the offsets [first, stop), which Kafka deleted."""
        self._count(catalogue.OFFSETS_LOST, lost)
        log.error(
            "Kafka deleted events before they were accepted. Reading continues with the first event kept.",
            **self._place(partition),
            first_offset=first,
            last_offset=stop - 1,
        )

    def loss_dated(self, partition: TopicPartition, until: str) -> None:
        log.error(
            "Lost events were collected before this time.",
            **self._place(partition),
            until=until,
        )

    def log_end_lost(self, partition: TopicPartition, committed: int, end: int, start: int) -> None:
        log.error(
            "Kafka lost the end of a partition, or replaced its records. Events from shortly before the last delivered one are"
            " read again.",
            **self._place(partition),
            committed=committed,
            end=end,
            offset=start,
        )

    def offset_mismatched(self, partition: TopicPartition, start: int, reason: str) -> None:
        log.error(
            "A known offset did not fit the log of its partition.",
            **self._place(partition),
            offset=start,
            reason=reason,
        )

    def commit_failed(self, reason: str) -> None:
        self._conditions.failed(
            "commit",
            "failed",
            "Offsets could not be committed; trying again.",
            {**self.names, "reason": reason},
        )

    def offsets_committed(self) -> None:
        self._conditions.ended("commit", "Offsets are committed again; they had not been", self.names)

    def batch_corrupt(self, partition: TopicPartition, start: int, last: int, fault: str) -> None:
        self._conditions.failed(
            partition,
            fault,
            "A record batch cannot be read; its partition waits. Elect a leader that has an intact copy"
            " (`kafka-leader-election.sh`), or set the group's offset after it, which skips its events.",
            {**self._place(partition), "first": start, "last": last, "reason": fault},
            level="error",
        )

    def batch_readable(self, partition: TopicPartition) -> None:
        """End the report of a corrupt batch: records of the partition arrived, or another process owns it."""
        self._conditions.ended(
            partition, "Partition is read again; a record batch could not be", self._place(partition)
        )

    def offset_metadata_rejected(self) -> None:
        log.warning(
            "The brokers reject offset metadata (offset.metadata.max.bytes is below 100). After a rebalance, events already"
            " delivered out of order may be sent again. Set it to 4096, the default.",
            **self.names,
        )

    def half_of_retention_passed(self, days: float, kept_days: float) -> None:
        log.error(
            "The oldest event not yet accepted has passed half of its retention. Restore the destination before Kafka deletes it.",
            **self.names,
            days=round(days, 1),
            kept_days=round(kept_days, 1),
        )

    def body_delivered(self, now: int, oldest: int, newest: int, created: int | None) -> None:
        """Observe the latencies of a body that was accepted at `now`; its oldest and newest event were collected at `oldest` and `newest`.

        `created`: when its oldest event was created at the source. None: it is not live. All times are ms UTC.
        """
        self._observe(catalogue.DELIVERY_LATENCY, max(0, now - oldest) / 1000)
        self._acceptance_lags.accepted(self._labels, newest, now)
        if created is not None:
            self._observe(catalogue.EVENT_LATENCY, max(0, now - created) / 1000)
