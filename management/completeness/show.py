"""The states of days as an operator sees them: those of the seals, and of a fresh count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from management.completeness.collect import Counted
from management.completeness.day_seal import changes_since
from management.completeness.progress import end_of_lateness
from management.completeness.proof import DayState
from management.completeness.seal_store import StoredChain
from management.completeness.verifier import Statement


@dataclass(frozen=True, slots=True)
class ShownDay:
    """A day of an organization. `state` None: it has no seal, and was not counted. `seal`: its latest one."""

    day: str
    state: DayState | None
    findings: Sequence[str] = ()
    events: int | None = None
    listed: int | None = None
    """Events that the audit log lists; None: it was not asked, or did not answer."""
    seal: Statement | None = None
    account: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "day": self.day,
            "state": self.state,
            "findings": list(self.findings),
            "events": self.events,
            "listed": self.listed,
            "seal": None if self.seal is None else dict(self.seal),
            "account": None if self.account is None else dict(self.account),
        }


def days_between(first: str, last: str) -> list[str]:
    """Return the days from `first` to `last`, both included."""
    begin = date.fromisoformat(first)
    return [
        (begin + timedelta(days=each)).isoformat()
        for each in range((date.fromisoformat(last) - begin).days + 1)
    ]


def sealed_days(stored: StoredChain, days: Sequence[str]) -> list[ShownDay]:
    """Return the days of a chain as their latest seals have them."""
    return [_sealed_day(day, stored.chain.days.get(day)) for day in days]


def _sealed_day(day: str, seal: Statement | None) -> ShownDay:
    if seal is None:
        return ShownDay(day, None)
    return ShownDay(
        day, seal["state"], (seal["reason"],) if seal["reason"] else (), seal["events"], seal=seal
    )


def counted_days(
    stored: StoredChain, counted: Counted, days: Sequence[str], now_ms: int, late_days: int
) -> list[ShownDay]:
    """Return days as they were counted now, each against its latest seal."""
    return [_counted_day(stored.chain.days.get(day), counted, day, now_ms, late_days) for day in days]


def _counted_day(seal: Statement | None, counted: Counted, day: str, now_ms: int, late_days: int) -> ShownDay:
    account = counted.days[day].account
    provisional = now_ms < end_of_lateness(day, late_days) or not counted.progress.is_past_late_records(
        day, late_days
    )
    state: DayState = "provisional" if provisional and account.state != "not collected" else account.state
    findings = account.findings()
    if seal is not None and account.kafka.kept:
        findings += [f"Since its seal: {each}" for each in changes_since(seal, account)]
    source = account.source
    listed = None if source is None or source.failure is not None else len(source.events)
    return ShownDay(day, state, findings, len(account.kafka.events), listed, seal, account.document())
