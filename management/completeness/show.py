"""The states of days as an operator sees them: those of the seals, and of a fresh count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from management.completeness.counted_day import Counted
from management.completeness.day_seal import changes_since
from management.completeness.progress import end_of_lateness, marks_of
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
    broken: str | None = None
    """Why the chain of its organization is broken, so that its seals prove nothing; None: it is whole."""

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
            "broken": self.broken,
        }


def days_between(first: str, last: str) -> list[str]:
    """Return the days from `first` to `last`, both included."""
    begin = date.fromisoformat(first)
    return [
        (begin + timedelta(days=each)).isoformat()
        for each in range((date.fromisoformat(last) - begin).days + 1)
    ]


def _broken(fault: str) -> str:
    return f"The chain of seals is broken, so it proves nothing. {fault}"


def counted_days(
    stored: StoredChain, counted: Counted, days: Sequence[str], now_ms: int, late_days: int
) -> list[ShownDay]:
    """Return days as they were counted now, each against its latest seal."""
    return [_counted_day(stored, counted, day, now_ms, late_days) for day in days]


def _counted_day(stored: StoredChain, counted: Counted, day: str, now_ms: int, late_days: int) -> ShownDay:
    seal = None if stored.fault is not None else stored.chain.days.get(day)
    account = counted.days[day].account
    checkpoint = counted.progress.checkpoint
    is_past = checkpoint is not None and marks_of(checkpoint).is_past_late_records(day, late_days)
    provisional = now_ms < end_of_lateness(day, late_days) or not is_past
    state: DayState = "provisional" if provisional and account.state != "not collected" else account.state
    findings = account.findings()
    if stored.fault is not None:
        findings.append(_broken(stored.fault))
    if seal is not None and account.kafka.kept:
        findings += [f"Since its seal: {each}" for each in changes_since(seal, account)]
    source = account.source
    listed = None if source is None or source.failure is not None else len(source.events)
    events = len(account.kafka.events)
    return ShownDay(day, state, findings, events, listed, seal, account.document(), stored.fault)
