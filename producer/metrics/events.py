"""The events of the producer: each is a log line, a count, or both."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry, Gauge

from producer.metrics import catalogue
from producer.metrics.silence import SilenceMetrics
from relay.condition_log import ConditionLog
from relay.kafka.topic_copies import CopyState
from relay.status.model import Status
from relay.telemetry.metrics import Metric, MetricSet

log = structlog.get_logger("producer")

MAX_LISTED = 100
LIVE = "live"


class ProducerMetrics:
    """One method for each event; label `organization` is bounded by the organizations that this process polls."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, for the length of a condition in the log."""
        self._metrics = MetricSet(catalogue.CATALOGUE, registry)
        self.silence = SilenceMetrics(self._metrics)
        self._clock = clock
        self._polling: dict[str, ConditionLog] = {}
        """By organization; each purpose has conditions of its own."""
        self._transactions = ConditionLog(log, clock)
        self.failure_kinds: dict[str, str] = {}
        """The kind of error of each organization that fails or waits, as far as this process knows it."""
        self.shown: dict[str, object] = {}
        """What the gauges of each organization's state show. A later owner of the organization sees what a former one has set."""
        self._kinds: set[str] = set()
        """All kinds of errors so far."""

    def organization_started(
        self, organization: str, interval_seconds: float, added: int, status: Status
    ) -> None:
        """Begin the series of an organization that this process polls from now on.

        `added`: when it was added, in ms UTC. `status`: what is known of it from its former owner, so that its age shows
        before its first round here.
        """
        self._metrics.start(organization=organization)
        self._set(catalogue.ORGANIZATION_INTERVAL, organization, interval_seconds)
        self._set(catalogue.ADDED, organization, added / 1000)
        known = (
            (catalogue.LAST_POLL, status.last_poll),
            (catalogue.LAST_EVENT, status.last_event),
            (catalogue.COMPLETE_UP_TO, status.complete_up_to),
        )
        for metric, at in known:
            if at is not None:
                self._set(metric, organization, at / 1000)

    def round_ended(self, organization: str, at: int) -> None:
        self._metrics[catalogue.ROUNDS].labels(organization, "complete").inc()
        self._set(catalogue.LAST_POLL, organization, at / 1000)
        self.purpose_ended(organization, LIVE)
        log.debug("Polling round ended.", organization=organization)

    def complete_up_to(self, organization: str, at: int) -> None:
        self._set(catalogue.COMPLETE_UP_TO, organization, at / 1000)

    def events_published(self, organization: str, mode: str, count: int, newest: int) -> None:
        self._metrics[catalogue.EVENTS_PUBLISHED].labels(organization, mode).inc(count)
        self._set(catalogue.LAST_EVENT, organization, newest / 1000)
        log.debug("Events published.", organization=organization, mode=mode, events=count)

    def events_refilled(self, organization: str, count: int) -> None:
        """Count events that are published again for one replay; they are no news of the organization."""
        self._metrics[catalogue.EVENTS_PUBLISHED].labels(organization, "refill").inc(count)

    def refill_left_out(self, organization: str, replay: str, since: str, reason: str) -> None:
        """Log a record that the source failed to serve for a replay."""
        log.warning(
            "A refill left out a record. See `jira-relay replay show`.",
            organization=organization,
            replay=replay,
            since=since,
            reason=reason,
        )

    def event_latency(self, mode: str, seconds: float) -> None:
        """Observe the time from an event's creation to its transaction; of history it says nothing."""
        if mode != "backfill":
            metric = catalogue.LATE_ARRIVAL if mode == "late" else catalogue.PUBLISH_LATENCY
            self._metrics[metric].observe(seconds)

    def request_ended(self, seconds: float, answered: bool) -> None:
        result = "answered" if answered else "failed"
        self._metrics[catalogue.REQUEST_DURATION].labels(result).observe(seconds)

    def ids_reused(self, organization: str, ids: Sequence[int], *, first: bool) -> None:
        """Count events with a reused id; log only the `first` ones of an organization."""
        self._metrics[catalogue.IDS_REUSED].labels(organization).inc(len(ids))
        if first:
            log.warning(
                "The source gave ids of published records to other records. See the organization's status.",
                organization=organization,
                ids=list(ids[:MAX_LISTED]),
            )

    def dead_lettered(self, organization: str, reason: str) -> None:
        self._metrics[catalogue.RECORDS_DEAD_LETTERED].labels(organization).inc()
        log.error(
            "A record became a dead letter. See `jira-relay dead-letters list`.",
            organization=organization,
            reason=reason,
        )

    def round_failed(
        self, organization: str, kind: str, reason: str, retry_seconds: float, purpose: str = LIVE
    ) -> None:
        """Count a failed round. The failures of each purpose are a condition of their own."""
        self._metrics[catalogue.ROUNDS].labels(organization, "failed").inc()
        self._kinds.add(kind)
        self._metrics[catalogue.SOURCE_ERRORS].labels(organization, kind).inc()
        self._metrics[catalogue.SOURCE_BACKOFF_SECONDS].labels(organization).inc(retry_seconds)
        subject = {"organization": organization, "purpose": purpose, "kind": kind}
        fields = {**subject, "retry_in_seconds": round(retry_seconds, 1)}
        self._conditions_of(organization).failed(purpose, kind, reason, fields)

    def round_failed_by_defect(self, organization: str, purpose: str, error: BaseException) -> None:
        """Log a defect with its traceback, as a condition; `purpose_ended` ends it."""
        self._conditions_of(organization).failed(
            (purpose, "defect"),
            type(error).__name__,
            "A polling round failed because of a defect in the relay.",
            {"organization": organization, "purpose": purpose, "exc_info": error},
            level="error",
        )

    def purpose_ended(self, organization: str, purpose: str) -> None:
        """Note that a round of this purpose was complete, so that its condition ends."""
        if (conditions := self._polling.get(organization)) is not None:
            fields = {"organization": organization, "purpose": purpose}
            conditions.ended(purpose, "Polling works again; it had failed", fields)
            conditions.ended(
                (purpose, "defect"),
                "Polling works again; it had failed because of a defect in the relay",
                fields,
            )

    def _conditions_of(self, organization: str) -> ConditionLog:
        return self._polling.setdefault(organization, ConditionLog(log, self._clock))

    def organization_state(self, organization: str, state: str, expires: int | None) -> None:
        if state == "paused":
            self._polling.pop(organization, None)
        self._metrics.set_state(catalogue.ORGANIZATION_STATE, state, organization=organization)
        if expires is None:
            self._metrics[catalogue.CREDENTIAL_EXPIRY].remove(organization)
        else:
            self._set(catalogue.CREDENTIAL_EXPIRY, organization, expires / 1000)

    def failing_since(self, organization: str, kind: str | None, since: int) -> None:
        """Set since when (ms UTC) an organization fails or waits, and the kind of its last error. None: it does neither."""
        gauge, previous = self._metrics[catalogue.FAILING_SINCE], self.failure_kinds.pop(organization, None)
        if previous not in {None, kind}:
            gauge.remove(organization, previous)
        if kind is not None:
            self.failure_kinds[organization] = kind
            self._kinds.add(kind)
            gauge.labels(organization, kind).set(since / 1000)

    def clock_skew(self, organization: str, reason: str) -> None:
        log.warning(reason, organization=organization)

    def window_unproven(self, organization: str, instant: str, records: int) -> None:
        log.error(
            "One millisecond has more records than the source returns; some may be missing.",
            organization=organization,
            instant=instant,
            records=records,
        )

    def records_misplaced(self, organization: str, ids: Sequence[int]) -> None:
        log.warning(
            "The source shows records in answers about another time. Report them to its support.",
            organization=organization,
            ids=list(ids),
        )

    def unread_ranges(self, organization: str, seconds: float) -> None:
        self._set(catalogue.UNREAD_SECONDS, organization, seconds)

    def unread_range_opened(self, organization: str, since: str, until: str, reason: str) -> None:
        log.warning(
            "The source failed to serve a window; the relay reads it in parts.",
            organization=organization,
            since=since,
            until=until,
            reason=reason,
        )

    def unread_range_isolated(self, organization: str, since: str, until: str, reason: str) -> None:
        log.error(
            "The source fails to serve records of this time. Ask its support.",
            organization=organization,
            since=since,
            until=until,
            reason=reason,
        )

    def unread_range_closed(self, organization: str, since: str, until: str, records: int) -> None:
        log.warning(
            "The source answered for a time that it had failed to serve.",
            organization=organization,
            since=since,
            until=until,
            records=records,
        )

    def gap_found(self, organization: str, since: str, until: str) -> None:
        log.error(
            "Records were lost: the source deleted them before they were read.",
            organization=organization,
            lost_since=since,
            lost_until=until,
        )

    def transaction(self, shard: int, outcome: str, seconds: float) -> None:
        self._metrics[catalogue.TRANSACTIONS].labels(outcome).inc()
        self._metrics[catalogue.TRANSACTION_DURATION].observe(seconds)
        if outcome == "committed":
            self._transactions.ended(shard, "Transactions succeed again; they had failed", {"shard": shard})

    def publisher_failed(self, shard: int, reason: str) -> None:
        """Report that a transaction failed, or that its outcome is unknown. `transaction` reports the next success."""
        self._transactions.failed(
            shard,
            "failed",
            "Transaction outcome is unknown; reloading this shard from Kafka. Nothing is lost or repeated.",
            {"shard": shard, "reason": reason},
        )

    def transactions_fail(self, shard: int, organization: str, reason: str) -> None:
        log.error(
            "Transactions failed several times in a row. Nothing is lost; they are tried again.",
            shard=shard,
            organization=organization,
            reason=reason,
        )

    def transactions_succeed(self, shard: int, organization: str) -> None:
        log.info("Transactions succeed again.", shard=shard, organization=organization)

    def shard_loaded(self, shard: int, organizations: int, ended: int) -> None:
        self._metrics[catalogue.SHARD_LOADS].inc()
        log.debug("Shard loaded.", shard=shard, organizations=organizations)
        if ended:
            log.warning("Hanging transactions were ended.", shard=shard, partitions=ended)

    def kafka_partitions(self, counts: Mapping[CopyState, int] | None) -> None:
        """Set how many partitions lack copies, by state; None: unknown, so the series end."""
        gauge = self._metrics[catalogue.KAFKA_PARTITIONS]
        gauge.clear()
        for state, count in (counts or {}).items():
            gauge.labels(state).set(count)

    def tail_lost(self, shard: int, organizations: list[str]) -> None:
        log.error(
            "Kafka lost the end of a log. The shard rebuilds its state and reads that period again.",
            shard=shard,
            organizations=organizations[:MAX_LISTED],
        )

    def ledger_repaired(self, organization: str, day: str, lost: int) -> None:
        if lost:
            log.error(
                "Kafka lost confirmed events; reading them from the source again.",
                organization=organization,
                day=day,
                events=lost,
            )
        else:
            log.warning("Ledger was repaired from its topic.", organization=organization, day=day)

    def set_shards(self, total: int, by_state: Mapping[str, int], *, member: bool) -> None:
        """Set the shards of the relay and of this process, and whether Kafka confirms the membership of the process."""
        self._metrics[catalogue.CONFIGURED_SHARDS].set(total)
        for state, count in by_state.items():
            self._metrics[catalogue.SHARDS].labels(state).set(count)
        self._metrics.set_state(catalogue.MEMBERSHIP, "confirmed" if member else "unconfirmed")

    def remove_organization(self, organization: str) -> None:
        """Remove the series of an organization that this process no longer polls."""
        self._metrics.remove({"kind": self._kinds}, organization=organization)
        self.failure_kinds.pop(organization, None)
        self.shown.pop(organization, None)
        self._polling.pop(organization, None)

    def _set(self, metric: Metric[Gauge], organization: str, value: float) -> None:
        self._metrics[metric].labels(organization).set(value)
