"""The last transactions of a shard, which decide the size of its next one and the state of its organizations. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from producer.publishing.transaction_size import TransactionLimits, TransactionSize
from relay.kafka.publish_errors import PublishError
from relay.kafka.size_refusals import SizeRefusal
from relay.kafka.transactions import TRANSACTION_SECONDS
from relay.timestamps import to_iso_seconds

_UNLIMITED = TransactionLimits(max_events=2**31, max_dead_letters=2**31, max_bytes=2**62)


@dataclass(frozen=True, slots=True)
class OutcomeTiming:
    """When failures are a problem, and when a transaction was quick."""

    failures_until_problem: int = 3
    """Failures in a row; one or two are the restart of a broker."""
    quiet_ms: int = 300_000
    """A problem ends without a commit when no transaction has failed for so long."""
    quick_seconds: float = 2.0
    """A transaction that took less may be larger the next time; a quarter of the longest one."""
    transaction_seconds: float = TRANSACTION_SECONDS
    """How long a transaction may take, unless it is the smallest one and throttled by a quota."""
    throttled_seconds: float = 256.0
    """The longest time that a throttled one may take; a broker allows 15 minutes (transaction.max.timeout.ms)."""


DEFAULT_TIMING = OutcomeTiming()


@dataclass(slots=True)
class _Failures:
    """Failures in a row: how many, when the first and the last one were (ms), and why the last one failed."""

    count: int
    first_ms: int
    last_ms: int
    reason: str


@dataclass(slots=True)
class TransactionOutcomes:
    """The outcomes of one shard's transactions, across its publishers. Instants are ms since 1970 UTC.

    1. A transaction that did not end in time would not end the next time either. So the next one has half its size.
    2. Halving ends at one event. Sizes double again after quick commits, up to the limits of the shard.
       One event that a quota holds up gets twice the time, until it ends.
    3. Failures count by organization too: one whose records Kafka refuses stays failing while others commit.
    """

    timing: OutcomeTiming = DEFAULT_TIMING
    size_refusal: SizeRefusal | None = None
    """The last refusal of a transaction for its size, until the limits of the topics are read again."""
    longer_by: int = 1
    """How many times as long as by default the next transaction may take."""
    _limits: TransactionLimits = _UNLIMITED
    _of_organization: dict[str, _Failures] = field(default_factory=dict)
    _of_shard: _Failures | None = None

    @property
    def transaction_seconds(self) -> float:
        """How long the next transaction may take."""
        return min(self.longer_by * self.timing.transaction_seconds, self.timing.throttled_seconds)

    def limits(self, most: TransactionLimits) -> TransactionLimits:
        """Return the limits of the next transaction, at most `most`."""
        return TransactionLimits(
            min(most.max_events, self._limits.max_events),
            min(most.max_dead_letters, self._limits.max_dead_letters),
            min(most.max_bytes, self._limits.max_bytes),
        )

    def committed(self, organization: str, size: TransactionSize, seconds: float) -> bool:
        """Note a commit. Return whether it ended a problem of its organization."""
        limits = self._limits
        full = 2 * size.events >= limits.max_events or 2 * size.dead_letters >= limits.max_dead_letters
        if (full or 2 * size.bytes >= limits.max_bytes) and seconds < self.timing.quick_seconds:
            self._limits = TransactionLimits(
                2 * limits.max_events, 2 * limits.max_dead_letters, 2 * limits.max_bytes
            )
        if seconds < self.timing.quick_seconds:
            self.longer_by = 1
        ended = self._of_organization.pop(organization, None), self._of_shard
        self._of_shard = None
        return any(self._is_problem(failures) for failures in ended)

    def timed_out(self, size: TransactionSize, *, throttled: bool = False) -> None:
        """Halve the size of the next transaction; give the smallest one more time, if a quota held it up."""
        if throttled and size.events + size.dead_letters <= 1:
            self.longer_by = min(2 * self.longer_by, 64)
        limits = self._limits
        self._limits = TransactionLimits(
            max(1, size.events // 2) if size.events else limits.max_events,
            max(1, size.dead_letters // 2) if size.dead_letters else limits.max_dead_letters,
            max(1, size.bytes // 2) if size.bytes else limits.max_bytes,
        )

    def failed(self, organizations: Sequence[str], reason: str, at_ms: int) -> Sequence[str]:
        """Note the failure of one transaction with these organizations. Return those whose problem began with it."""
        self._of_shard = _after_failure(self._of_shard, reason, at_ms)
        began, until = [], self.timing.failures_until_problem
        for organization in organizations:
            own = _after_failure(self._of_organization.get(organization), reason, at_ms)
            self._of_organization[organization] = own
            if until in (own.count, self._of_shard.count):
                began.append(organization)
        return began

    def failed_by(
        self, error: PublishError, organizations: Sequence[str], size: TransactionSize, at_ms: int
    ) -> Sequence[str]:
        """Note what the error of a transaction of this size says about the next one; return as `failed`."""
        if error.timed_out:
            self.timed_out(size, throttled=error.throttled)
        self.size_refusal = error.size_refusal or self.size_refusal
        return self.failed(organizations, str(error), at_ms)

    def has_failed(self, organization: str) -> bool:
        """Return whether the last transaction of an organization failed: it, or another one of the same transaction, may be to blame."""
        return organization in self._of_organization

    def problem(self, organization: str, at_ms: int) -> str | None:
        """Return why the organization is failing; None: its transactions, and those of its shard, do not fail."""
        for failures in (self._of_organization.get(organization), self._of_shard):
            if self._is_problem(failures) and at_ms - failures.last_ms < self.timing.quiet_ms:
                return (
                    f"{organization}: transactions fail, {failures.count} in a row since "
                    f"{to_iso_seconds(failures.first_ms)}. {failures.reason} Nothing is lost; publishing is tried again."
                )
        return None

    def _is_problem(self, failures: _Failures | None) -> TypeGuard[_Failures]:
        return failures is not None and failures.count >= self.timing.failures_until_problem


def _after_failure(before: _Failures | None, reason: str, at_ms: int) -> _Failures:
    if before is None:
        return _Failures(1, at_ms, at_ms, reason)
    return replace(before, count=before.count + 1, last_ms=at_ms, reason=reason)
