"""Every metric of the producer, and every event that is both a log line and a count."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

log = structlog.get_logger("producer")

ORGANIZATION = ("organization",)
LATE_BUCKETS = (60, 300, 900, 3_600, 14_400, 43_200, 86_400, 172_800, 345_600, 604_800)
MAX_LISTED = 100

COUNTERS = {
    "jira_relay_rounds_total": ("Polling rounds that ended, by outcome.", (*ORGANIZATION, "outcome")),
    "jira_relay_events_published_total": ("Events committed to Kafka, by mode.", (*ORGANIZATION, "mode")),
    "jira_relay_records_dead_lettered_total": (
        "Records of the source that could not become events and are on the dead-letter topic.",
        ORGANIZATION,
    ),
    "jira_relay_jira_failures_total": ("Failed requests to Jira, by kind of error.", (*ORGANIZATION, "kind")),
    "jira_relay_jira_wait_seconds_total": (
        "Seconds of back-off after failed requests to Jira.",
        ORGANIZATION,
    ),
    "jira_relay_transactions_total": ("Transactions, by outcome.", ("outcome",)),
    "jira_relay_shard_openings_total": (
        "Shards loaded from Kafka: at take-over, and after each discarded producer.",
        (),
    ),
}
GAUGES = {
    "jira_relay_last_poll_timestamp_seconds": ("Time of the last complete round.", ORGANIZATION),
    "jira_relay_last_event_timestamp_seconds": ("Creation time of the newest published event.", ORGANIZATION),
    "jira_relay_complete_up_to_timestamp_seconds": (
        "Every record created before this time that Jira showed is in Kafka.",
        ORGANIZATION,
    ),
    "jira_relay_organization_failing": (
        "1 while an organization cannot be polled, 0 otherwise.",
        ORGANIZATION,
    ),
    "jira_relay_credential_expiry_timestamp_seconds": (
        "Expiry time of the API key, as entered by the operator.",
        ORGANIZATION,
    ),
}
HISTOGRAMS = {
    "jira_relay_late_arrival_seconds": (
        "Time from the creation of a late record to its collection.",
        ORGANIZATION,
        LATE_BUCKETS,
    ),
    "jira_relay_transaction_seconds": (
        "Time from the begin of a transaction to the answer of its commit.",
        (),
        Histogram.DEFAULT_BUCKETS,
    ),
}
"""Name, help, labels, buckets. The names are a contract with operators: alerts and dashboards use them."""


class ProducerMetrics:
    """One method for each event; label `organization` is bounded by the organizations that this process polls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            name: Counter(name, text, labels, registry=registry) for name, (text, labels) in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(name, text, labels, registry=registry) for name, (text, labels) in GAUGES.items()
        }
        self._histograms = {
            name: Histogram(name, text, labels, buckets=buckets, registry=registry)
            for name, (text, labels, buckets) in HISTOGRAMS.items()
        }

    def round_ended(self, organization: str, at: int) -> None:
        self._counters["jira_relay_rounds_total"].labels(organization, "complete").inc()
        self._set_time("jira_relay_last_poll_timestamp_seconds", organization, at)
        log.debug("Polling round ended.", organization=organization)

    def complete_up_to(self, organization: str, at: int) -> None:
        self._set_time("jira_relay_complete_up_to_timestamp_seconds", organization, at)

    def events_published(self, organization: str, mode: str, count: int, newest: int) -> None:
        self._counters["jira_relay_events_published_total"].labels(organization, mode).inc(count)
        self._set_time("jira_relay_last_event_timestamp_seconds", organization, newest)
        log.info("Events published.", organization=organization, mode=mode, events=count)

    def late_arrival(self, organization: str, delay_seconds: float) -> None:
        self._histograms["jira_relay_late_arrival_seconds"].labels(organization).observe(delay_seconds)

    def dead_lettered(self, organization: str, reason: str) -> None:
        self._counters["jira_relay_records_dead_lettered_total"].labels(organization).inc()
        log.error(
            "A record became a dead letter. See `jira-relay dead-letters list`.",
            organization=organization,
            reason=reason,
        )

    def round_failed(self, organization: str, kind: str, reason: str, retry_seconds: float) -> None:
        self._counters["jira_relay_rounds_total"].labels(organization, "failed").inc()
        self._counters["jira_relay_jira_failures_total"].labels(organization, kind).inc()
        self._counters["jira_relay_jira_wait_seconds_total"].labels(organization).inc(retry_seconds)
        log.warning(reason, organization=organization, kind=kind, retry_in_seconds=round(retry_seconds, 1))

    def organization_state(self, organization: str, *, failing: bool, expires: int | None) -> None:
        self._gauges["jira_relay_organization_failing"].labels(organization).set(failing)
        if expires is not None:
            self._set_time("jira_relay_credential_expiry_timestamp_seconds", organization, expires)

    def clock_skew(self, organization: str, reason: str) -> None:
        log.warning(reason, organization=organization)

    def window_unproven(self, organization: str, instant: str, records: int) -> None:
        log.error(
            "One millisecond has more records than Jira lists; some may be missing.",
            organization=organization,
            instant=instant,
            records=records,
        )

    def gap_found(self, organization: str, since: str, until: str) -> None:
        log.error(
            "Records were lost: Jira deleted them before they were read.",
            organization=organization,
            lost_since=since,
            lost_until=until,
        )

    def transaction(self, outcome: str, seconds: float) -> None:
        self._counters["jira_relay_transactions_total"].labels(outcome).inc()
        self._histograms["jira_relay_transaction_seconds"].observe(seconds)

    def publisher_failed(self, shard: int, reason: str) -> None:
        log.warning(
            "Transaction outcome is unknown; reloading this shard from Kafka. Nothing is lost or repeated.",
            shard=shard,
            reason=reason,
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
        self._counters["jira_relay_shard_openings_total"].inc()
        log.info("Shard loaded.", shard=shard, organizations=organizations)
        if ended:
            log.warning("Hanging transactions were ended.", shard=shard, partitions=ended)

    def tail_lost(self, shard: int, organizations: list[str]) -> None:
        log.error(
            "Kafka lost the end of a log; rebuilding state and reading the lost time again.",
            shard=shard,
            organizations=organizations[:MAX_LISTED],
        )

    def ledger_repaired(self, organization: str, day: str, lost: int) -> None:
        if lost:
            log.error(
                "Kafka lost confirmed events; reading them from Jira again.",
                organization=organization,
                day=day,
                events=lost,
            )
        else:
            log.warning("Ledger was repaired from its topic.", organization=organization, day=day)

    def remove_organization(self, organization: str) -> None:
        """Remove the gauges of an organization that this process no longer polls."""
        for gauge in self._gauges.values():
            gauge.remove_by_labels({"organization": organization})

    def _set_time(self, gauge: str, organization: str, at_ms: int) -> None:
        self._gauges[gauge].labels(organization).set(at_ms / 1000)
