"""Every metric of the producer, and every event that is both a log line and a count."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

log = structlog.get_logger("producer")

LATE_BUCKETS = (60, 300, 900, 3_600, 14_400, 43_200, 86_400, 172_800, 345_600, 604_800)


class ProducerMetrics:
    """One method an event; label `organization` is bounded by the organizations that are followed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        org = ["organization"]
        self._rounds = Counter(
            "jira_relay_rounds_total",
            "Rounds of polling that ended, by outcome.",
            [*org, "outcome"],
            registry=registry,
        )
        self._published = Counter(
            "jira_relay_events_published_total",
            "Events committed to Kafka, by mode.",
            [*org, "mode"],
            registry=registry,
        )
        self._dead_letters = Counter(
            "jira_relay_records_dead_lettered_total",
            "Records of Jira that could not become events and stand on the dead-letter topic.",
            org,
            registry=registry,
        )
        self._failures = Counter(
            "jira_relay_jira_failures_total",
            "Answers of Jira that were no records, by kind.",
            [*org, "kind"],
            registry=registry,
        )
        self._waited = Counter(
            "jira_relay_jira_wait_seconds_total",
            "Time that was waited because Jira asked or failed.",
            org,
            registry=registry,
        )
        self._late = Histogram(
            "jira_relay_late_arrival_seconds",
            "From the creation of a late record to its collection.",
            org,
            buckets=LATE_BUCKETS,
            registry=registry,
        )
        self._last_poll = Gauge(
            "jira_relay_last_poll_timestamp_seconds",
            "Last answer of Jira that was understood.",
            org,
            registry=registry,
        )
        self._last_event = Gauge(
            "jira_relay_last_event_timestamp_seconds",
            "Creation of the newest event published.",
            org,
            registry=registry,
        )
        self._complete = Gauge(
            "jira_relay_complete_up_to_timestamp_seconds",
            "Every record created up to here that Jira showed is in Kafka.",
            org,
            registry=registry,
        )
        self._state = Gauge(
            "jira_relay_organization_failing",
            "1 while an organization cannot be polled, 0 otherwise.",
            org,
            registry=registry,
        )
        self._expiry = Gauge(
            "jira_relay_credential_expiry_timestamp_seconds",
            "When the key expires, as told by the operator.",
            org,
            registry=registry,
        )
        self._transactions = Counter(
            "jira_relay_transactions_total", "Transactions, by outcome.", ["outcome"], registry=registry
        )
        self._transaction = Histogram(
            "jira_relay_transaction_seconds", "Time from begin to the answer of commit.", registry=registry
        )
        self._openings = Counter(
            "jira_relay_shard_openings_total",
            "Shards opened: at take-over and after each discarded producer.",
            registry=registry,
        )

    def round_ended(self, organization: str, at: int) -> None:
        self._rounds.labels(organization, "complete").inc()
        self._last_poll.labels(organization).set(at / 1000)
        log.debug("A round ended.", organization=organization)

    def complete_up_to(self, organization: str, at: int) -> None:
        self._complete.labels(organization).set(at / 1000)

    def events_published(self, organization: str, mode: str, count: int, newest: int) -> None:
        self._published.labels(organization, mode).inc(count)
        self._last_event.labels(organization).set(newest / 1000)
        log.info("Events were published.", organization=organization, mode=mode, events=count)

    def late_arrival(self, organization: str, delay_seconds: float) -> None:
        self._late.labels(organization).observe(delay_seconds)

    def dead_lettered(self, organization: str, reason: str) -> None:
        self._dead_letters.labels(organization).inc()
        log.error(
            "A record of Jira became a dead letter; see `jira-relay dead-letters list`.",
            organization=organization,
            reason=reason,
        )

    def round_failed(self, organization: str, kind: str, reason: str, retry_seconds: float) -> None:
        self._rounds.labels(organization, "failed").inc()
        self._failures.labels(organization, kind).inc()
        self._waited.labels(organization).inc(retry_seconds)
        log.warning(reason, organization=organization, kind=kind, retry_in_seconds=round(retry_seconds, 1))

    def organization_state(self, organization: str, *, failing: bool, expires: int | None) -> None:
        self._state.labels(organization).set(failing)
        if expires is not None:
            self._expiry.labels(organization).set(expires / 1000)

    def clock_skew(self, organization: str, reason: str) -> None:
        log.warning(reason, organization=organization)

    def window_unproven(self, organization: str, instant: str, records: int) -> None:
        log.error(
            "More records in one millisecond than can be listed in one walk; some of them may be missing.",
            organization=organization,
            instant=instant,
            records=records,
        )

    def gap_found(self, organization: str, since: str, until: str) -> None:
        log.error(
            "Jira no longer keeps records of a time that was not read: they are lost.",
            organization=organization,
            lost_since=since,
            lost_until=until,
        )

    def transaction(self, outcome: str, seconds: float) -> None:
        self._transactions.labels(outcome).inc()
        self._transaction.observe(seconds)

    def publisher_failed(self, shard: int, reason: str) -> None:
        log.warning(
            "Nobody knows how a transaction ended; what is known is read from Kafka again.",
            shard=shard,
            reason=reason,
        )

    def shard_loaded(self, shard: int, organizations: int, ended: int) -> None:
        self._openings.inc()
        log.info("A shard was opened.", shard=shard, organizations=organizations)
        if ended:
            log.warning(
                "Transactions that Kafka had left without an end were ended.", shard=shard, partitions=ended
            )

    def tail_lost(self, shard: int, organizations: list[str]) -> None:
        log.error(
            "The last events of some organizations are not where progress says: Kafka has lost the end of a log. What is"
            " known of them is rebuilt from the topics, and read from Jira again.",
            shard=shard,
            organizations=organizations[:100],
        )

    def ledger_repaired(self, organization: str, day: str, lost: int) -> None:
        if lost:
            log.error(
                "Events that Kafka had confirmed are not there any more; they are read from Jira again.",
                organization=organization,
                day=day,
                events=lost,
            )
        else:
            log.warning("A ledger agrees with its topic again.", organization=organization, day=day)

    def remove_organization(self, organization: str) -> None:
        """An organization that is no longer ours leaves no gauge behind."""
        for gauge in (self._last_poll, self._last_event, self._complete, self._state, self._expiry):
            gauge.remove_by_labels({"organization": organization})
