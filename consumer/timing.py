"""Every wait and bound of the consumer, one frozen value a component. Durations are in seconds, sizes in bytes.

The defaults hold in production; tests pass other values.
"""

from dataclasses import dataclass, field

from relay.retry import backoff_seconds


@dataclass(frozen=True, slots=True)
class BackoffCurve:
    """Waits that double from `first` up to `cap`."""

    first: float
    cap: float

    def wait(self, attempt: int, jitter: float, minimum: float = 0.0) -> float:
        """Return the wait after failed attempt `attempt`, from 0. `jitter` is from 0 to 1, `minimum` from the other side."""
        return backoff_seconds(attempt, jitter, first=self.first, cap=self.cap, minimum=minimum)


@dataclass(frozen=True, slots=True)
class BreakerTiming:
    """Waits of the circuit breaker before a probe."""

    retry: BackoffCurve = BackoffCurve(0.5, 30.0)
    paused: BackoffCurve = BackoffCurve(5.0, 30.0)


@dataclass(frozen=True, slots=True)
class SenderTiming:
    """Waits of the deliveries of one assignment."""

    rejection: BackoffCurve = BackoffCurve(5.0, 30.0)
    """Between two attempts with a body that the destination rejects."""
    dead_letter: BackoffCurve = BackoffCurve(1.0, 10.0)
    defect: BackoffCurve = BackoffCurve(1.0, 60.0)
    """After an exception in the code of a destination, a format or a filter."""
    confirmation: BackoffCurve = BackoffCurve(1.0, 60.0)
    """Before a body is sent again that the destination took and did not confirm."""
    dead_letters_at_a_time: int = 100
    request_grace_seconds: float = 5.0
    """How much longer than its own limit a request may take before the sender gives it up."""


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """Sizes of what lies between Kafka and the request bodies."""

    decode_block_bytes: int = 4_000_000
    """Records that are decoded together: some five thousand. Half as many take a fourteenth more time, and 25 MB less."""
    record_buffer_bytes: int = 8_000_000
    """Records that were read and are not decoded: beyond them, reading pauses."""
    chunk_bytes: int = 1_000_000
    """Records enter the buffer, and leave it, in chunks of about this size."""
    aside_bytes: int = 32_000_000
    """Records of partitions that wait for a route, beside those; beyond it all partitions wait."""


@dataclass(frozen=True, slots=True)
class SchemaHoldTiming:
    """Waits and bounds of a partition whose schemas are in doubt."""

    look_up: BackoffCurve = BackoffCurve(1.0, 15.0)
    held_bytes: int = 2_000_000
    """Records that are read while a partition is held: later ones may show that the schema is right."""


@dataclass(frozen=True, slots=True)
class RouteHoldTiming:
    """Waits of partitions that a route which is not accepted holds up."""

    check_seconds: float = 1.0
    silent_seconds: float = 5.0
    """How long a body may be in delivery and keep its slot from a route that has none."""
    report_seconds: float = 10.0
    """How long a partition is held before the status names it: a short hold is flow control."""
    witness_seconds: float = 30.0
    """How often a held partition is read for a moment, while its route needs another event as evidence for a rejected one."""
    witness_reading_seconds: float = 0.25


@dataclass(frozen=True, slots=True)
class AssignmentTiming:
    """Waits of one assignment of partitions."""

    capacity_wait_seconds: float = 2.0
    """How long polling waits for room before it pauses the partitions."""
    commit_interval_seconds: float = 0.2
    """At most so often offsets are committed while rows are delivered."""
    idle_commit_interval_seconds: float = 2.0
    retry_seconds: float = 1.0
    """After a failed commit, or a failed look-up of a start offset."""
    corrupt_pause_seconds: float = 60.0
    """How long a partition with a corrupt batch is left alone."""
    answer_seconds: float = 30.0
    """How long a revocation waits for answers; below the rebalance timeout."""
    buffers: BufferLimits = field(default_factory=BufferLimits)
    schema_hold: SchemaHoldTiming = field(default_factory=SchemaHoldTiming)
    route_hold: RouteHoldTiming = field(default_factory=RouteHoldTiming)


@dataclass(frozen=True, slots=True)
class StartTiming:
    """Bounds of the look-up of start offsets."""

    log_end_wait_seconds: float = 30.0
    """How long a log that ends before the delivered offsets may take to come back."""
    recent_ms: int = 3_600_000
    """Events of this age are live at a first start with `recent`; older ones are history."""
    reread_margin_ms: int = 600_000
    """How long before the last delivered record events are read again when the end of a log is lost; for clocks that differ."""


@dataclass(frozen=True, slots=True)
class CoverageTiming:
    """How often a process looks up whether its group reads every partition."""

    interval_seconds: float = 5.0
    timeout_seconds: float = 2.0
    valid_seconds: float = 60.0
    """After so long without an answer, nothing is known."""


@dataclass(frozen=True, slots=True)
class TargetTiming:
    """Waits of the claim of a destination's name."""

    interval_seconds: float = 10.0
    handover_seconds: float = 20.0
    """How old a confirmation is before its process joins; the former target's has noticed by then."""
    release_seconds: float = 40.0
    """How long memberships may take to end: a request, and the commit."""


@dataclass(frozen=True, slots=True)
class OlderEventsTiming:
    """Waits of the group that delivers events older than an hour at a first start."""

    check_seconds: float = 1.0
    """Between two looks at the group's progress."""
    timeout_seconds: float = 5.0
    release_seconds: float = 40.0
    """How long its membership may take to end: a request, and the commit."""


@dataclass(frozen=True, slots=True)
class ReplayTiming:
    """Waits and bounds of the replays of one destination."""

    most_running: int = 4
    """Jobs that run at once; the others wait for their turn."""
    most_ranges: int = 10_000
    """Ranges that may be delivered out of order before rows that wait for a full body are sent: a record of progress has each of
    them, with some 30 bytes, and Kafka refuses one above 1 MB."""
    record_seconds: float = 2.0
    """At most so often the progress of a job that moves is written."""
    heartbeat_seconds: float = 15.0
    """At least so often it is written: a silent owner is taken for dead after a minute."""
    source: BackoffCurve = BackoffCurve(1.0, 30.0)
    """Before the records of a job are read again after a failure."""
    schema: BackoffCurve = BackoffCurve(1.0, 15.0)
    defect: BackoffCurve = BackoffCurve(1.0, 60.0)
    live_check_seconds: float = 0.2
    """Between two looks whether live events wait for the destination."""
    watch_seconds: float = 0.5
    """Between two looks at the targets of running jobs."""
    retry_seconds: float = 1.0
    """After a write of progress that failed, and before a look-up is repeated."""
    rejected_seconds: float = 120.0
    """How long the last events of a job, or all of them, may be rejected before it ends as failed."""
    place_seconds: float = 10.0
    """How long a job that only waits keeps its place while another one could run."""
    finish_seconds: float = 5.0
    """How long a job that is paused or cancelled waits for its deliveries before it gives up requests that were not made."""
    answer_seconds: float = 30.0
    """How long a job that ends waits for answers; below the rebalance timeout."""
    write_seconds: float = 5.0
    """How long the last write of progress may take at a hand-over."""


@dataclass(frozen=True, slots=True)
class LossTiming:
    """Waits of the record of lost ranges."""

    refresh_seconds: float = 30.0
    """How often a process reads the lost ranges that other consumers and operators wrote."""
    refilled_seconds: float = 10.0
    """How often the owner of the replays looks, while there are lost ranges, whether one was brought back."""


@dataclass(frozen=True, slots=True)
class ReporterTiming:
    """Intervals of the status reporter."""

    publish_seconds: float = 1.0
    offsets_seconds: float = 2.0
    offsets_timeout_seconds: float = 2.0
    unjoined_seconds: float = 60.0
    """How often the offsets are read while the destination is paused: each time opens a connection."""
    unjoined_timeout_seconds: float = 10.0
    backup_seconds: float = 60.0
    renewal_seconds: float = 15.0
    alarm_seconds: float = 3600.0
    stop_seconds: float = 4.0
    """How long the last report waits for Kafka, and the last backup of the offsets."""
    valid_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class ConsumerServiceTiming:
    """Waits of the process."""

    topic_check_seconds: float = 60.0
    """How often the settings of the topics are looked at."""
    stop_seconds: float = 15.0
    flush_seconds: float = 4.0
    """How long a stop waits for Kafka to take the last statuses."""
    heartbeat_seconds: float = 5.0
    """As old the age of the oldest event may be that consoles show."""
    report_seconds: float = 2.0
    """How long a heartbeat waits for the positions of a destination's partitions."""
    heartbeat_valid_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class ConsumerTiming:
    """The timing of every component."""

    service: ConsumerServiceTiming = field(default_factory=ConsumerServiceTiming)
    reporter: ReporterTiming = field(default_factory=ReporterTiming)
    target: TargetTiming = field(default_factory=TargetTiming)
    coverage: CoverageTiming = field(default_factory=CoverageTiming)
    older: OlderEventsTiming = field(default_factory=OlderEventsTiming)
    replay: ReplayTiming = field(default_factory=ReplayTiming)
    losses: LossTiming = field(default_factory=LossTiming)
    start: StartTiming = field(default_factory=StartTiming)
    assignment: AssignmentTiming = field(default_factory=AssignmentTiming)
    sender: SenderTiming = field(default_factory=SenderTiming)
    breaker: BreakerTiming = field(default_factory=BreakerTiming)
